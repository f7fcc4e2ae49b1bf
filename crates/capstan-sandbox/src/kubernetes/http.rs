//! An API server over HTTP: who asks, for what, in which form, and the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::api::ApiServer;
use super::discovery;
use super::error::{Answer, Status};
use super::form::Form;
use super::object::{Object, Read as _, Write as _};
use super::openapi;
use super::patch;
use super::protobuf;
use super::registry::Resource;
use super::reviews::{self, User};
use super::route::{Parameters, Place, Target, parse};
use super::scale;
use super::selectors::Selector;
use super::shape::Shape;
use super::watch::Watch;
use super::write::{FieldValidation, Part, Writer, Written};
use crate::World;
use crate::http::{RouteTemplate, UnknownRoute};

/// The largest body that an API server takes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// How long a watch lasts that names no limit.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1800);

/// One request, taken apart.
struct Call {
    server: Arc<ApiServer>,
    /// Where the API server is mounted.
    prefix: String,
    version: String,
    user: User,
    method: Method,
    query: Parameters,
    headers: HeaderMap,
    body: Bytes,
    world: World,
}

/// Handles every request below `/kubernetes` and `/workload/NAMESPACE/NAME`.
pub(crate) async fn handle(State(world): State<World>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (prefix, counted, rest) = mount(&path);
    let (target, template) = parse(rest);
    let unknown = matches!(target, Target::Unknown);
    let outcome = answer(&world, prefix, target, request).await;
    let unsimulated = outcome.as_ref().is_err_and(|refusal| refusal.code == 501);
    let mut response = outcome.unwrap_or_else(IntoResponse::into_response);
    response.extensions_mut().insert(RouteTemplate(format!("{counted}{template}")));
    if unknown || unsimulated {
        response.extensions_mut().insert(UnknownRoute);
    }
    response
}

/// Splits a path into where the API server is mounted, that as it is counted, and the rest.
fn mount(path: &str) -> (&str, &'static str, &str) {
    if let Some(rest) = path.strip_prefix("/kubernetes") {
        return ("/kubernetes", "/kubernetes", rest);
    }
    let end = path.match_indices('/').nth(3).map_or(path.len(), |(at, _)| at);
    let (prefix, rest) = path.split_at(end);
    (prefix, "/workload/{namespace}/{name}", rest)
}

async fn answer(world: &World, prefix: &str, target: Target, request: Request) -> Answer<Response> {
    let (head, body) = request.into_parts();
    let plane = world.kubernetes().plane(prefix)?;
    let public = matches!(target, Target::Health | Target::Version);
    let header = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let user = match header.and_then(|header| plane.authenticate(header)) {
        Some(user) => user,
        None if public => User { name: "system:anonymous", groups: &["system:unauthenticated"] },
        None => return Err(Status::unauthorized()),
    };
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| Status::payload_too_large())?;
    let call = Call {
        server: plane.server,
        prefix: prefix.to_owned(),
        version: plane.version,
        user,
        method: head.method,
        query: Parameters::of(&head.uri),
        headers: head.headers,
        body,
        world: world.clone(),
    };
    call.dispatch(target, head.uri.path())
}

fn ok(body: &Value) -> Response {
    respond(StatusCode::OK, body)
}

fn respond(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Call {
    fn dispatch(&self, target: Target, path: &str) -> Answer<Response> {
        let missing = || Status::no_such_path(path);
        let registry = || self.server.read(|state| state.registry.clone());
        let body = match target {
            Target::Health => return Ok("ok".into_response()),
            Target::Version => discovery::version(&self.version),
            Target::Groups { core } if self.header(header::ACCEPT).contains("apidiscovery.k8s.io;v=v2;") => {
                let body = discovery::aggregated(&registry(), core).to_string();
                let kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
                return Ok(([(header::CONTENT_TYPE, kind)], body).into_response());
            }
            Target::Groups { core: true } => discovery::core_versions(),
            Target::Groups { core: false } => discovery::groups(&registry()),
            Target::Group(name) => discovery::one_group(&registry(), &name).ok_or_else(missing)?,
            Target::Resources { group, version } => {
                discovery::resources(&registry(), &group, &version).ok_or_else(missing)?
            }
            Target::OpenApi => {
                self.server.read(|state| openapi::index(&state.registry, &self.prefix, state.revision()))
            }
            Target::OpenApiDocument { group, version } => {
                openapi::document(&registry(), &group, &version).ok_or_else(missing)?
            }
            Target::Resource(place) => return self.resource(place, path),
            Target::Unknown => return Err(Status::not_simulated(&format!("`{} {path}`", self.method))),
        };
        Ok(ok(&body))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn resource(&self, place: Place, path: &str) -> Answer<Response> {
        let found = self.server.read(|state| state.registry.get(&place.group, &place.version, &place.plural));
        let resource = found.ok_or_else(|| Status::no_such_path(path))?;
        if !resource.namespaced && !place.namespace.is_empty() {
            return Err(Status::no_such_path(path));
        }
        if resource.create_only {
            return self.review(&resource);
        }
        match (place.subresource.as_str(), &self.method) {
            ("", _) => {}
            ("status", &Method::GET | &Method::PUT | &Method::PATCH) if resource.status => {}
            ("scale", _) if resource.scale.is_some() => return self.scale(&resource, &place),
            _ => return Err(Status::not_simulated(&format!("`{} {path}`", self.method))),
        }
        match (&self.method, place.name.is_empty()) {
            (&Method::GET, true) => self.list(&resource, &place),
            (&Method::GET, false) if self.query.flag("watch") => self.list(&resource, &place),
            (&Method::GET, false) => {
                let object = self.server.get(&resource.id, &place.namespace, &place.name);
                let object = object.ok_or_else(|| Status::not_found(&resource, &place.name))?;
                Ok(ok(&self.form()?.one(&self.server, &resource, &object)))
            }
            (&Method::POST, true) => self.create(&resource, &place),
            (&Method::PUT, false) => self.update(&resource, &place),
            (&Method::PATCH, false) => self.patch(&resource, &place),
            (&Method::DELETE, false) => self.delete(&resource, &place),
            (&Method::DELETE, true) => self.delete_collection(&resource, &place),
            (method, _) => Err(Status::method_not_allowed(&resource, method.as_str())),
        }
    }

    fn form(&self) -> Answer<Form> {
        Form::accepted(self.header(header::ACCEPT), self.query.text("includeObject")).ok_or_else(|| Status {
            code: 406,
            reason: "NotAcceptable",
            message: "only the following media types are accepted: application/json".to_owned(),
            details: None,
        })
    }

    fn selector(&self, resource: &Resource, place: &Place) -> Answer<Selector> {
        let mut fields = self.query.text("fieldSelector").to_owned();
        if !place.name.is_empty() {
            fields = format!("metadata.name={}", place.name);
        }
        Selector::parse(resource, self.query.text("labelSelector"), &fields)
    }

    fn list(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let selector = self.selector(resource, place)?;
        let form = self.form()?;
        if self.query.flag("watch") {
            return self.watch(resource, place, selector, form);
        }
        let after = match self.query.text("continue") {
            "" => None,
            token => Some(read_continue(token)?),
        };
        let limit = self
            .query
            .number("limit")
            .filter(|limit| *limit > 0)
            .map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX));
        let (revision, mut objects) = self.server.read(|state| {
            let all = state.list(&resource.id, &place.namespace);
            let rest = all.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
            let selected = rest.map(|(_, object)| object).filter(|object| selector.matches(object)).cloned();
            (state.revision(), selected.collect::<Vec<_>>())
        });
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if objects.len() > limit {
            metadata["remainingItemCount"] = (objects.len() - limit).into();
            objects.truncate(limit);
            if let Some(last) = objects.last() {
                metadata["continue"] = write_continue(last).into();
            }
        }
        Ok(ok(&form.list(&self.server, resource, &objects, metadata)))
    }

    fn watch(
        &self,
        resource: &Arc<Resource>,
        place: &Place,
        selector: Selector,
        form: Form,
    ) -> Answer<Response> {
        let asked = self.query.text("resourceVersion");
        let since = match asked {
            "" | "0" => None,
            version => Some(
                version
                    .parse()
                    .map_err(|_| Status::bad_request(format!("invalid resource version: \"{version}\"")))?,
            ),
        };
        let initial_events = self.query.flag("sendInitialEvents");
        if initial_events && !self.query.flag("allowWatchBookmarks") {
            return Err(Status::bad_request("sendInitialEvents requires setting allowWatchBookmarks"));
        }
        let watch = Watch {
            server: Arc::clone(&self.server),
            resource: Arc::clone(resource),
            namespace: place.namespace.clone(),
            selector,
            form,
            bookmarks: self.query.flag("allowWatchBookmarks"),
            initial_events,
            since,
            timeout: self.query.number("timeoutSeconds").map_or(WATCH_TIMEOUT, Duration::from_secs),
        };
        Ok(([(header::CONTENT_TYPE, "application/json")], watch.stream()).into_response())
    }

    /// The body as an object; JSON or YAML.
    fn object(&self) -> Answer<Object> {
        let given = self.header(header::CONTENT_TYPE);
        let media = given.split(';').next().unwrap_or_default().trim();
        if media.ends_with("yaml") {
            let text =
                std::str::from_utf8(&self.body).map_err(|error| Status::bad_request(error.to_string()))?;
            return serde_saphyr::from_str(text)
                .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")));
        }
        if media == "application/vnd.kubernetes.protobuf" {
            return protobuf::read(&self.body).ok_or_else(|| Status::unsupported_media(given));
        }
        if media.is_empty() || media.ends_with("json") {
            let json = serde_json::from_slice(&self.body);
            return json.map_err(|error| {
                Status::bad_request(format!(
                    "the object provided is unrecognized (must be of type object): {error}"
                ))
            });
        }
        Err(Status::unsupported_media(given))
    }

    fn writer(&self, place: &Place) -> Answer<Writer> {
        let agent = self.header(header::USER_AGENT).split('/').next().unwrap_or_default();
        let manager = match self.query.text("fieldManager") {
            "" if agent.is_empty() => "unknown",
            "" => agent,
            manager => manager,
        };
        let dry_run = match self.query.text("dryRun") {
            "" => false,
            "All" => true,
            other => return Err(Status::bad_request(format!("invalid dryRun value \"{other}\""))),
        };
        let validation = match self.query.text("fieldValidation") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            other => return Err(Status::bad_request(format!("invalid fieldValidation value \"{other}\""))),
        };
        let part = if place.subresource == "status" { Part::Status } else { Part::Main };
        Ok(Writer { manager: manager.to_owned(), part, dry_run, validation, trusted: false })
    }

    /// Checks that the body is what the path says, and takes names over from the path.
    fn checked(&self, resource: &Resource, place: &Place, mut object: Object) -> Answer<Object> {
        if !object.is_object() {
            return Err(Status::bad_request("the object provided is unrecognized (must be of type object)"));
        }
        let (kind, version) = (object.text("kind"), object.text("apiVersion"));
        if (!kind.is_empty() && kind != resource.kind)
            || (!version.is_empty() && version != resource.api_version())
        {
            let (wanted, at) = (&resource.kind, resource.api_version());
            return Err(Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {wanted} in version \"{at}\""
            )));
        }
        if !object.at("metadata").is_object() {
            object.set("metadata", json!({}));
        }
        if !place.name.is_empty() {
            let name = object.name();
            if !name.is_empty() && name != place.name {
                let (given, wanted) = (name, &place.name);
                return Err(Status::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({wanted})"
                )));
            }
            object.set("metadata.name", place.name.clone());
        }
        if resource.namespaced {
            let namespace = object.namespace();
            if !namespace.is_empty() && namespace != place.namespace {
                return Err(Status::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            object.set("metadata.namespace", place.namespace.clone());
        }
        Ok(object)
    }

    fn written(&self, resource: &Resource, written: &Written) -> Answer<Response> {
        let body = self.form()?.one(&self.server, resource, &written.object);
        let mut response = respond(if written.created { StatusCode::CREATED } else { StatusCode::OK }, &body);
        for warning in &written.warnings {
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{}\"", warning.replace('"', "\\\""))) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        Ok(response)
    }

    fn create(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        if resource.namespaced && place.namespace.is_empty() {
            return Err(Status::method_not_allowed(resource, "POST"));
        }
        let object = self.checked(resource, place, self.object()?)?;
        let written = self.server.create_as(resource, object, &self.writer(place)?)?;
        self.written(resource, &written)
    }

    fn update(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let object = self.checked(resource, place, self.object()?)?;
        let writer = self.writer(place)?;
        let written =
            self.server.update_as(resource, &place.namespace, &place.name, &writer, |_| Ok(object))?;
        self.written(resource, &written)
    }

    fn patch(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let media = self.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
        let body = self.object()?;
        let writer = self.writer(place)?;
        if media == "application/apply-patch+yaml" {
            if self.query.text("fieldManager").is_empty() {
                let cause = super::error::Cause::required("fieldManager", "is required for apply patch");
                return Err(Status {
                    message: format!(
                        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {}",
                        cause.message
                    ),
                    ..Status::invalid(resource, "", vec![cause])
                });
            }
            let config = self.checked(resource, place, body)?;
            let force = self.query.flag("force");
            let written =
                self.server.apply_as(resource, &place.namespace, &place.name, config, force, &writer)?;
            return self.written(resource, &written);
        }
        let custom = resource.is_custom();
        let change = |old: &Object| -> Answer<Object> {
            let mut new = old.clone();
            match media.as_str() {
                "application/merge-patch+json" => patch::merge(&mut new, &body),
                "application/json-patch+json" => patch::json(&mut new, &body)?,
                "application/strategic-merge-patch+json" if !custom => {
                    patch::strategic(&mut new, &body, Shape::of(None));
                }
                other => return Err(Status::unsupported_media(other)),
            }
            Ok(new)
        };
        let written = self.server.update_as(resource, &place.namespace, &place.name, &writer, change)?;
        self.written(resource, &written)
    }

    /// `DeleteOptions` from the body, else from the query.
    fn delete_options(&self) -> Answer<(Value, bool)> {
        let mut options = if self.body.is_empty() { json!({}) } else { self.object()? };
        if let policy @ ("Foreground" | "Background" | "Orphan") = self.query.text("propagationPolicy") {
            options.set("propagationPolicy", policy);
        }
        let dry_run =
            self.query.text("dryRun") == "All" || options.items("dryRun").iter().any(|value| value == "All");
        Ok((options, dry_run))
    }

    fn delete(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let (options, dry_run) = self.delete_options()?;
        let (object, gone) =
            self.server.delete_as(resource, &place.namespace, &place.name, &options, dry_run)?;
        if !gone {
            return Ok(ok(&self.form()?.one(&self.server, resource, &object)));
        }
        let details = json!({"name": object.name(), "group": resource.group, "kind": resource.plural, "uid": object.uid()});
        Ok(ok(
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
        ))
    }

    fn delete_collection(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let selector = self.selector(resource, place)?;
        let (options, dry_run) = self.delete_options()?;
        let all = self.server.list(&resource.id, &place.namespace);
        let selected: Vec<Arc<Object>> = all.into_iter().filter(|object| selector.matches(object)).collect();
        for object in &selected {
            match self.server.delete_as(resource, object.namespace(), object.name(), &options, dry_run) {
                // Gone meanwhile, as a dependent of another of the collection.
                Err(refusal) if refusal.code == 404 => {}
                outcome => drop(outcome?),
            }
        }
        let metadata = json!({"resourceVersion": self.server.read(|state| state.revision()).to_string()});
        Ok(ok(&self.form()?.list(&self.server, resource, &selected, metadata)))
    }

    fn scale(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let writer = self.writer(place)?;
        let change = |old: &Object| -> Answer<Object> {
            let before = scale::read(resource, old);
            let mut wanted = before.clone();
            match (&self.method, self.header(header::CONTENT_TYPE)) {
                (&Method::PUT, _) => wanted = self.object()?,
                (_, "application/json-patch+json") => patch::json(&mut wanted, &self.object()?)?,
                _ => patch::merge(&mut wanted, &self.object()?),
            }
            scale::write(resource, old, &before, &wanted)
        };
        let object = match self.method {
            Method::GET => {
                let found = self.server.get(&resource.id, &place.namespace, &place.name);
                found.ok_or_else(|| Status::not_found(resource, &place.name))?
            }
            Method::PUT | Method::PATCH => {
                self.server.update_as(resource, &place.namespace, &place.name, &writer, change)?.object
            }
            _ => return Err(Status::method_not_allowed(resource, self.method.as_str())),
        };
        Ok(ok(&scale::read(resource, &object)))
    }

    fn review(&self, resource: &Resource) -> Answer<Response> {
        if self.method != Method::POST {
            return Err(Status::method_not_allowed(resource, self.method.as_str()));
        }
        let mut review = self.object()?;
        review.set("kind", resource.kind.clone());
        review.set("apiVersion", resource.api_version());
        let plane = self.world.kubernetes().plane(&self.prefix)?;
        let answer = reviews::answer(&resource.kind, review, &self.user, |token| plane.user(token));
        Ok(respond(StatusCode::CREATED, &answer))
    }
}

fn write_continue(last: &Object) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(json!([last.namespace(), last.name()]).to_string())
}

fn read_continue(token: &str) -> Answer<(String, String)> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).ok();
    let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    key.ok_or_else(|| Status::bad_request("continue key is not valid"))
}
