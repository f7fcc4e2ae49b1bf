//! Requests straight to the sandbox, past wires and clients: what strangers do, and how the harness looks at the world.

use anyhow::{Context as _, Result, ensure};
use axum::body::Body;
use capstan_sandbox::{Sandbox, Service};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Somebody who is logged in at OpenStack and at the management plane.
pub(crate) struct Raw {
    service: Service,
    token: String,
    bearer: String,
    pub(crate) user: String,
    pub(crate) project: String,
}

impl Raw {
    /// Logs in as the user `demo`.
    pub(crate) async fn demo(sandbox: &Sandbox) -> Result<Self> {
        let kubeconfig = sandbox.kubeconfig();
        let bearer = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: "));
        let mut raw = Self {
            service: sandbox.service(),
            token: String::new(),
            bearer: bearer.context("a token in the kubeconfig")?.to_owned(),
            user: String::new(),
            project: String::new(),
        };
        let domain = json!({"name": "Default"});
        let user = json!({"name": "demo", "password": "demo-password", "domain": domain});
        let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "demo", "domain": domain}}}});
        let (head, body) = raw.answer(Method::POST, "/identity/v3/auth/tokens", Some(&login)).await?;
        let token = head.headers.get("x-subject-token").context("a token")?.to_str()?;
        raw.token = token.to_owned();
        raw.user = text(&body["token"]["user"]["id"]);
        raw.project = text(&body["token"]["project"]["id"]);
        Ok(raw)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.answer(Method::GET, path, None).await?.1)
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.answer(Method::PUT, path, Some(body)).await?.1)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.answer(Method::DELETE, path, None).await.map(drop)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.answer(Method::POST, path, Some(body)).await?.1)
    }

    /// Posts `{root: body}` and returns the id of what is made.
    pub(crate) async fn make(&self, path: &str, root: &str, body: Value) -> Result<String> {
        let made = self.post(path, &json!({ root: body })).await?;
        Ok(text(&made[root]["id"]))
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(http::response::Parts, Value)> {
        let mut request = Request::builder().method(&method).uri(format!("http://sandbox.invalid{path}"));
        if path.starts_with("/kubernetes") {
            request = request.header("authorization", format!("Bearer {}", self.bearer));
        } else {
            request = request.header("x-auth-token", &self.token);
        }
        if path.starts_with("/compute") {
            request = request.header("openstack-api-version", "compute 2.90");
        }
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        let (head, body) = self.service.clone().oneshot(request?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let shown = String::from_utf8_lossy(&body);
        ensure!(head.status.is_success(), "{method} {path} answered {}: {shown}", head.status);
        let value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).context(shown.into_owned())?
        };
        Ok((head, value))
    }
}

/// A JSON text; empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The id of the one of that name in a list.
pub(crate) fn named(list: &Value, name: &str) -> Result<String> {
    let all = list.as_array().context("a list")?;
    let found = all.iter().find(|one| one["name"] == name);
    Ok(text(&found.with_context(|| format!("no `{name}`"))?["id"]))
}
