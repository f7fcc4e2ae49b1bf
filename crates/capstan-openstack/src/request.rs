//! Calls, from what a group of endpoints says to what is decoded from the answer.

use std::collections::HashSet;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::answer::Answer;
use crate::catalog::ServiceType;
use crate::catalog::{is_version, version_root};
use crate::cloud::Cloud;
use crate::error::{CallName, Error, Result};

/// What a request carries.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// JSON under another media type, such as a JSON patch.
    JsonAs(&'static str, Value),
}

/// One request, complete but for the token.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) name: CallName,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
    /// Sent twice it does the same as sent once.
    pub(crate) repeatable: bool,
    pub(crate) limit: Duration,
    pub(crate) is_login: bool,
}

impl Request {
    pub(crate) fn new(service: ServiceType, method: Method, path: String, url: Url, limit: Duration) -> Self {
        let repeatable = is_repeatable(&method);
        let is_login = service == ServiceType::Identity && path == "auth/tokens" && method == Method::POST;
        let name = CallName { service, method, path };
        Self { name, url, headers: Vec::new(), body: Body::Empty, repeatable, limit, is_login }
    }

    pub(crate) fn with_body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    pub(crate) fn unexpected(&self, what: String) -> Error {
        self.judge(Error::Unexpected { call: self.name.clone(), what })
    }

    /// An answer that cannot be read leaves open whether the call took effect.
    pub(crate) fn judge(&self, error: Error) -> Error {
        if self.repeatable {
            error
        } else {
            Error::Uncertain { call: self.name.clone(), source: Box::new(error) }
        }
    }
}

/// One service of a cloud. The groups of endpoints are made of it; what they lack can be called directly:
///
/// ```no_run
/// # async fn example(cloud: capstan_openstack::Cloud) -> capstan_openstack::Result<()> {
/// use capstan_openstack::{ServiceType, network::Network};
/// let body = serde_json::json!({ "network": { "name": "mine" } });
/// let network: Network = cloud.service(ServiceType::Network)?.post(&["networks"]).json(body).one("network").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) cloud: Cloud,
    pub(crate) service: ServiceType,
}

impl Service {
    /// A call that reads. `path` is given in segments below the endpoint; they are escaped.
    pub fn get(&self, path: &[&str]) -> Call {
        self.call(Method::GET, path)
    }

    /// A call to the root of the service, above the versions of its API.
    pub(crate) fn get_root(&self) -> Call {
        Call { root: true, ..self.call(Method::GET, &[]) }
    }

    /// A call that makes something.
    pub fn post(&self, path: &[&str]) -> Call {
        self.call(Method::POST, path)
    }

    /// A call that sets something.
    pub fn put(&self, path: &[&str]) -> Call {
        self.call(Method::PUT, path)
    }

    /// A call that changes something.
    pub fn patch(&self, path: &[&str]) -> Call {
        self.call(Method::PATCH, path)
    }

    /// A call that removes something.
    pub fn delete(&self, path: &[&str]) -> Call {
        self.call(Method::DELETE, path)
    }

    fn call(&self, method: Method, path: &[&str]) -> Call {
        let repeatable = is_repeatable(&method);
        Call {
            service: self.clone(),
            method,
            path: path.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            body: Body::Empty,
            repeatable,
            root: false,
        }
    }
}

/// A call under construction; the last method sends it.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until `one`, `list`, `whole`, `done` or `gone` sends it"]
pub struct Call {
    service: Service,
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Body,
    repeatable: bool,
    root: bool,
}

impl Call {
    /// Adds a query parameter.
    pub fn query(mut self, key: &str, value: impl Into<String>) -> Self {
        self.query.push((key.to_owned(), value.into()));
        self
    }

    /// Adds a query parameter if there is a value.
    pub fn filter(self, key: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// Sends this body.
    pub fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    /// Sends this body as another media type.
    pub(crate) fn json_as(mut self, media_type: &'static str, body: Value) -> Self {
        self.body = Body::JsonAs(media_type, body);
        self
    }

    /// Sent twice the call does the same as sent once, although its method does not say so.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The object under `key` of the answer.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn one<T: DeserializeOwned>(self, key: &str) -> Result<T> {
        let (request, answer) = self.send(&[]).await?;
        let mut body: Value = answer.decode(&request)?;
        let value = body.get_mut(key).map(Value::take);
        let value = value.ok_or_else(|| request.unexpected(format!("an answer without `{key}`")))?;
        from_value(&request, value)
    }

    /// The whole answer.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn whole<T: DeserializeOwned>(self) -> Result<T> {
        let (request, answer) = self.send(&[]).await?;
        answer.decode(&request)
    }

    /// Nothing but that it was done.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn done(self) -> Result<()> {
        self.send(&[]).await.map(drop)
    }

    /// As `done`; what does not exist (any more) is as good as removed.
    ///
    /// # Errors
    /// The service's but 404, or those of the way there.
    pub async fn gone(self) -> Result<()> {
        match self.done().await {
            Err(error) if error.is_not_found() => Ok(()),
            result => result,
        }
    }

    /// The objects under `key`, of all pages.
    ///
    /// # Errors
    /// The service's, or those of the way there; pages that lead in a circle.
    pub async fn list<T: DeserializeOwned>(self, key: &str) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut next: Vec<(String, String)> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (request, answer) = self.send(&next).await?;
            let mut page: Value = answer.decode(&request)?;
            let Some(Value::Array(items)) = page.get_mut(key).map(Value::take) else {
                return Err(request.unexpected(format!("a list without `{key}`")));
            };
            for item in items {
                all.push(from_value(&request, item)?);
            }
            let Some(link) = next_link(&page, key) else { return Ok(all) };
            next = query_of(&link);
            if next.is_empty() || !seen.insert(next.clone()) {
                return Err(Error::PagesInCircle { call: request.name });
            }
        }
    }

    /// Sends the call, or the page of it that `next` names.
    async fn send(&self, next: &[(String, String)]) -> Result<(Request, Answer)> {
        let cloud = &self.service.cloud;
        let microversion = cloud.microversion(self.service.service).await?;
        let session = cloud.session().await?;
        let mut request = self.request(&cloud.endpoint(&session, self.service.service)?, next);
        if let Some(version) = microversion
            && let Ok(value) = HeaderValue::try_from(format!("{} {version}", self.service.service.as_str()))
        {
            request.headers.push((HeaderName::from_static("openstack-api-version"), value));
        }
        let answer = cloud.deliver_in(&session, &request).await?.successful(&request)?;
        Ok((request, answer))
    }

    fn request(&self, endpoint: &Url, next: &[(String, String)]) -> Request {
        let mut url = endpoint.clone();
        if self.root {
            url.set_path(&format!("{}/", above_version(endpoint.path())));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        // The link to the next page holds the whole query. Its host and path are not used: behind a proxy they are
        // often those of the inside.
        let query = if next.is_empty() { &self.query[..] } else { next };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let limit = self.service.cloud.0.options.call_limit;
        let mut request =
            Request::new(self.service.service, self.method.clone(), self.path.join("/"), url, limit);
        request.body = self.body.clone();
        request.repeatable = self.repeatable;
        request
    }
}

/// Sent twice it does the same as sent once, by the meaning of the method.
fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE)
}

/// The part of an endpoint's path above its version: `/load-balancer` of `/load-balancer/v2.0`.
fn above_version(path: &str) -> &str {
    let root = version_root(path);
    match root.rsplit_once('/') {
        Some((above, last)) if is_version(last) => above,
        _ => root,
    }
}

fn from_value<T: DeserializeOwned>(request: &Request, value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|source| request.judge(Error::Decode { call: request.name.clone(), source }))
}

/// The link to the next page, in whichever of its three forms.
fn next_link(page: &Value, key: &str) -> Option<String> {
    // Nova, Cinder, Neutron, Octavia: `"servers_links": [{"rel": "next", "href": "…"}]`.
    let listed = page.get(format!("{key}_links")).and_then(Value::as_array).and_then(|links| {
        links.iter().find(|link| link.get("rel").and_then(Value::as_str) == Some("next"))?.get("href")
    });
    // Glance: `"next": "/v2/images?marker=…"`. Keystone: `"links": {"next": null}`.
    let link = listed.or_else(|| page.get("next")).or_else(|| page.get("links")?.get("next"))?;
    link.as_str().filter(|link| !link.is_empty()).map(str::to_owned)
}

fn query_of(link: &str) -> Vec<(String, String)> {
    let query = link.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
