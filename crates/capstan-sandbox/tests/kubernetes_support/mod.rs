//! What the tests of the Kubernetes half share: a sandbox whose time is stepped, a client, and the manifests of a cluster.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    clippy::print_stderr
)]

pub mod tool;

use std::path::{Path, PathBuf};

use capstan_sandbox::{Config, Sandbox, Speed};
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub struct Plane {
    pub sandbox: Sandbox,
    client: Client,
    base: String,
    token: String,
}

/// Status and body of an answer.
pub type Answer = (u16, Value);

impl Plane {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let sandbox = Sandbox::start(Config { speed: Speed::Manual, seed: 1, ..config }).await.unwrap();
        let kubeconfig = sandbox.kubeconfig();
        let token =
            kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap().to_owned();
        let base = sandbox.auth_url().replace("/identity/v3", "");
        Self { sandbox, client: Client::new(), base, token }
    }

    pub fn url(&self, path: &str) -> String {
        if path.starts_with("/workload") {
            format!("{}{path}", self.base)
        } else {
            format!("{}/kubernetes{path}", self.base)
        }
    }

    pub async fn send(&self, method: Method, path: &str, media: &str, body: Option<&Value>) -> Answer {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", media).body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A request that may find nobody.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<u16> {
        let response = self.client.get(self.url(path)).bearer_auth(&self.token).send().await?;
        Ok(response.status().as_u16())
    }

    /// A request of the administrator's on behalf of somebody.
    pub async fn get_as(&self, user: &str, path: &str) -> Answer {
        let request = self.client.get(self.url(path)).bearer_auth(&self.token);
        let response = request.header("impersonate-user", user).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, "application/json", Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, "application/json", Some(body)).await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, "application/merge-patch+json", Some(body)).await
    }

    pub async fn apply(&self, path: &str, manager: &str, body: &Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}");
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", None).await
    }

    /// A request to OpenStack, as the project's user.
    pub async fn cloud(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
            {"name": "demo", "password": self.password(), "domain": {"id": "default"}}}},
            "scope": {"project": {"name": "demo", "domain": {"id": "default"}}}}});
        let url = format!("{}/identity/v3/auth/tokens", self.base);
        let answer = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(login.to_string())
            .send()
            .await
            .unwrap();
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).header("x-auth-token", token);
        request = request.header("openstack-api-version", "compute 2.60");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    fn password(&self) -> String {
        let clouds = self.sandbox.clouds_yaml();
        let line = clouds.lines().find_map(|line| line.trim().strip_prefix("password: ")).unwrap().to_owned();
        line.trim_matches(['"', '\'']).to_owned()
    }

    /// Creates every object; each must be accepted.
    pub async fn create_all(&self, objects: &[Value]) {
        for object in objects {
            let (status, answer) = self.post(&collection(object), object).await;
            assert_eq!(status, 201, "{answer:#}");
        }
    }

    /// A namespace with the manifests of a cluster in it, run until nothing is to come.
    pub async fn cluster(&self, name: &str, control_planes: i64, workers: i64) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.create_all(&[namespace]).await;
        self.create_all(&manifests(&self.sandbox.clouds_yaml(), name, control_planes, workers, "v1.36.2"))
            .await;
        self.sandbox.drain();
    }

    /// Nothing was asked for that the sandbox doesn't simulate.
    pub fn knew_every_route(&self) {
        let unknown = self.sandbox.requests().unknown;
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    pub async fn object(&self, path: &str) -> Value {
        let (status, object) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {object:#}");
        object
    }

    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.object(path).await["items"].as_array().unwrap().clone()
    }
}

/// Status, reason and message of a condition.
pub fn condition<'v>(object: &'v Value, kind: &str) -> (&'v str, &'v str, &'v str) {
    let list = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = list.iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null);
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    (text("status"), text("reason"), text("message"))
}

pub const CAPI: &str = "/apis/cluster.x-k8s.io/v1beta2";
pub const KCP: &str = "/apis/controlplane.cluster.x-k8s.io/v1beta2";
pub const CAPO: &str = "/apis/infrastructure.cluster.x-k8s.io/v1beta1";

/// Where an object of the manifests is created.
pub fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

pub fn machine_template(namespace: &str, name: &str, flavor: &str, version: &str) -> Value {
    json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "OpenStackMachineTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"flavor": flavor, "image": {"filter": {"name": format!("ubuntu-capi-image-{version}")}}}}}})
}

/// A cluster as `testbed/management/cluster.sh` writes it, in a namespace of its name.
pub fn manifests(clouds: &str, name: &str, control_planes: i64, workers: i64, version: &str) -> Vec<Value> {
    let metadata = |name: &str, namespace: &str| json!({"name": name, "namespace": namespace});
    let registration =
        json!({"nodeRegistration": {"kubeletExtraArgs": [{"name": "cloud-provider", "value": "external"}]}});
    let infrastructure = |kind: &str, name: &str| json!({"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": kind, "name": name});
    let (plane, group) = (format!("{name}-control-plane"), format!("{name}-md-0"));
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("cloud", name), "stringData": {"clouds.yaml": clouds}}),
        json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": metadata(name, name), "spec": {
            "clusterNetwork": {"pods": {"cidrBlocks": ["10.244.0.0/16"]}},
            "infrastructureRef": infrastructure("OpenStackCluster", name),
            "controlPlaneRef": {"apiGroup": "controlplane.cluster.x-k8s.io", "kind": "KubeadmControlPlane", "name": plane}}}),
        json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "OpenStackCluster", "metadata": metadata(name, name), "spec": {
            "identityRef": {"name": "cloud", "cloudName": "sandbox"}, "apiServerLoadBalancer": {"enabled": true}, "tags": ["mine"],
            "externalNetwork": {"filter": {"name": "public"}}, "managedSubnets": [{"cidr": "10.6.0.0/24", "dnsNameservers": ["192.0.2.53"]}],
            "managedSecurityGroups": {"allowAllInClusterTraffic": true}}}),
        json!({"apiVersion": "controlplane.cluster.x-k8s.io/v1beta2", "kind": "KubeadmControlPlane", "metadata": metadata(&plane, name), "spec": {
            "replicas": control_planes, "version": version,
            "machineTemplate": {"spec": {"infrastructureRef": infrastructure("OpenStackMachineTemplate", &plane)}},
            "kubeadmConfigSpec": {"initConfiguration": registration, "joinConfiguration": registration}}}),
        machine_template(name, &plane, "SCS-2V-4-20s", version),
        json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "MachineDeployment", "metadata": metadata(&group, name), "spec": {
            "clusterName": name, "replicas": workers, "selector": {"matchLabels": {}}, "template": {"spec": {
                "clusterName": name, "version": version, "infrastructureRef": infrastructure("OpenStackMachineTemplate", &group),
                "bootstrap": {"configRef": {"apiGroup": "bootstrap.cluster.x-k8s.io", "kind": "KubeadmConfigTemplate", "name": group}}}}}}),
        json!({"apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2", "kind": "KubeadmConfigTemplate", "metadata": metadata(&group, name),
            "spec": {"template": {"spec": {"joinConfiguration": registration}}}}),
        machine_template(name, &group, "SCS-2V-4-20s", version),
    ]
}

/// A watch, line by line.
pub struct Watch {
    response: reqwest::Response,
    text: String,
}

impl Watch {
    pub async fn start(plane: &Plane, path: &str) -> Self {
        let kubeconfig = plane.sandbox.kubeconfig();
        let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
        let response = reqwest::Client::new().get(plane.url(path)).bearer_auth(token).send().await.unwrap();
        Self { response, text: String::new() }
    }

    /// The next event; nothing once the watch has ended.
    pub async fn next(&mut self) -> Option<Value> {
        while !self.text.contains('\n') {
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let (line, rest) = self.text.split_once('\n').unwrap();
        let event = serde_json::from_str(line).unwrap();
        self.text = rest.to_owned();
        Some(event)
    }

    pub async fn kind(&mut self) -> String {
        self.next().await.map_or_else(String::new, |event| event["type"].as_str().unwrap().to_owned())
    }

    /// Whether the connection breaks before anything else comes.
    pub async fn is_cut(&mut self) -> bool {
        self.response.chunk().await.is_err()
    }
}

/// A program of the test bed, if it was built, else one on the PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let bed = std::env::var("MANAGEMENT_BED_DIR").unwrap_or_else(|_| "/var/tmp/management-bed".to_owned());
    let path = Path::new(&bed).join("bin").join(name);
    if path.exists() {
        return Some(path);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|p| p.exists())
    {
        return Some(found);
    }
    eprintln!("skipped: {} was not built (testbed/management/build.sh)", path.display());
    None
}
