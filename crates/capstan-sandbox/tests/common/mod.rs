//! A sandbox and a client for it, written against the documentation of OpenStack and nothing of Capstan's.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use capstan_sandbox::{Config, Sandbox, Speed};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// An id that nothing has.
pub(crate) const NOBODY: &str = "6f0c7b7e-5b0e-4a2c-8f0a-000000000000";
pub(crate) const MICROVERSION: &str = "compute 2.90";

pub(crate) async fn start(speed: Speed) -> Sandbox {
    start_with(Config { speed, ..Config::default() }).await
}

pub(crate) async fn start_with(config: Config) -> Sandbox {
    let start = config.start.or_else(|| Some("2026-01-01T00:00:00Z".parse().unwrap()));
    Sandbox::start(Config { start, ..config }).await.unwrap()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The text in which the service says what is wrong.
    pub(crate) fn message(&self) -> String {
        let body = &self.body;
        let texts = [
            body["NeutronError"]["message"].as_str(),
            body["error"]["message"].as_str(),
            body["faultstring"].as_str(),
            body.as_object().and_then(|map| map.values().next()).and_then(|first| first["message"].as_str()),
        ];
        texts.into_iter().flatten().next().unwrap_or(&self.text).to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Asserts a refusal and gives its text.
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.message()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A logged-in client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: String,
    pub(crate) project: String,
    pub(crate) user: String,
}

pub(crate) fn password_login(user: &str, password: &str, project: &str) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user":
            {"name": user, "domain": {"id": "default"}, "password": password}}},
        "scope": {"project": {"name": project, "domain": {"id": "default"}}},
    }})
}

impl Client {
    pub(crate) async fn demo(sandbox: &Sandbox) -> Self {
        Self::log_in(sandbox, &password_login("demo", "demo-password", "demo")).await
    }

    pub(crate) async fn admin(sandbox: &Sandbox) -> Self {
        Self::log_in(sandbox, &password_login("admin", "admin-password", "admin")).await
    }

    pub(crate) async fn log_in(sandbox: &Sandbox, login: &Value) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let base = format!("http://{}", sandbox.address());
        let mut client =
            Self { http, base, token: String::new(), project: String::new(), user: String::new() };
        let answer = client.post("/identity/v3/auth/tokens", login).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        client.token = answer.header("x-subject-token").to_owned();
        client.project = answer.body["token"]["project"]["id"].as_str().unwrap().to_owned();
        client.user = answer.body["token"]["user"]["id"].as_str().unwrap().to_owned();
        client
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if path.starts_with("/compute") {
            request = request.header("openstack-api-version", HeaderValue::from_static(MICROVERSION));
        }
        if self.token.is_empty() { request } else { request.header("x-auth-token", &self.token) }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        assert!(headers.contains_key("x-openstack-request-id"), "{status} without a request id: {text}");
        Answer { status, headers, text, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Posts `{root: body}` and gives what is made.
    #[track_caller]
    pub(crate) fn make(&self, path: &str, root: &str, body: Value) -> impl Future<Output = Value> {
        let (client, path, root) = (self.clone(), path.to_owned(), root.to_owned());
        let at = std::panic::Location::caller();
        async move {
            let answer = client.post(&path, &json!({ root.clone(): body })).await;
            assert!((200..300).contains(&answer.status), "{at}: {} {}", answer.status, answer.text);
            answer.body[&root].clone()
        }
    }

    pub(crate) async fn public_network(&self) -> String {
        let found = self.get("/network/v2.0/networks?router:external=true").await.expect(200);
        id(&found["networks"][0])
    }

    pub(crate) async fn flavor(&self, name: &str) -> String {
        named(&self.get("/compute/v2.1/flavors").await.expect(200)["flavors"], name)
    }

    pub(crate) async fn image(&self, name: &str) -> String {
        named(&self.get("/image/v2/images").await.expect(200)["images"], name)
    }

    /// A network with a subnet behind a router to the outside.
    pub(crate) async fn network(&self, cidr: &str) -> Network {
        let public = self.public_network().await;
        let network = id(&self.make("/network/v2.0/networks", "network", json!({"name": "net"})).await);
        let wanted = json!({"network_id": network, "cidr": cidr, "ip_version": 4});
        let subnet = id(&self.make("/network/v2.0/subnets", "subnet", wanted).await);
        let wanted = json!({"name": "router", "external_gateway_info": {"network_id": public}});
        let router = id(&self.make("/network/v2.0/routers", "router", wanted).await);
        let path = format!("/network/v2.0/routers/{router}/add_router_interface");
        self.put(&path, &json!({"subnet_id": subnet})).await.expect(200);
        Network { public, network, subnet, router }
    }
}

pub(crate) struct Network {
    pub(crate) public: String,
    pub(crate) network: String,
    pub(crate) subnet: String,
    pub(crate) router: String,
}

#[track_caller]
pub(crate) fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_else(|| panic!("no id: {resource}")).to_owned()
}

#[track_caller]
fn named(list: &Value, name: &str) -> String {
    let found = list.as_array().unwrap().iter().find(|each| each["name"] == name);
    id(found.unwrap_or_else(|| panic!("no {name} in {list}")))
}
