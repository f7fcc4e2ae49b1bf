//! An API server over HTTP: who asks, for what, in which form, and the answer.

mod writes;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

use super::api::ApiServer;
use super::discovery;
use super::error::{Answer, Cause, Status};
use super::form::Form;
use super::object::{Object, Read as _, Write as _};
use super::openapi;
use super::rbac::{User, Wish};
use super::registry::Resource;
use super::reviews;
use super::route::{Parameters, Place, Target, parse};
use super::selectors::Selector;
use super::watch::Watch;
use crate::World;
use crate::faults::Refusal;
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
        Some(user) => impersonated(&plane.server, user, &head.headers)?,
        None if public => User::anonymous(),
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

/// Whom a request is made for: its user, or somebody whom that one may speak for (`kubectl --as`).
fn impersonated(server: &ApiServer, user: User, headers: &HeaderMap) -> Answer<User> {
    let texts = |name: &str| -> Vec<&str> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    };
    let Some(name) = texts("impersonate-user").first().copied() else { return Ok(user) };
    let groups = texts("impersonate-group");
    let names = [("users", name)].into_iter().chain(groups.iter().map(|group| ("groups", *group)));
    for (resource, name) in names {
        let (verb, resource, name) = ("impersonate".to_owned(), resource.to_owned(), name.to_owned());
        let wish = Wish { verb, resource, name, ..Wish::default() };
        server.read(|state| wish.insist(state, &user))?;
    }
    Ok(User::authenticated(name, &groups))
}

/// The refusal of a request that is right, as a fault asks for it.
pub(crate) fn refused(refusal: Refusal, path: &str) -> Response {
    let (_, _, rest) = mount(path);
    let status = match (refusal, parse(rest).0) {
        (Refusal::StoreTimeout, _) => Status::store_timeout(),
        (Refusal::Conflict, Target::Resource(place)) => Status::outdated_at(&place),
        (Refusal::Conflict, _) => Status::no_such_page(),
    };
    status.into_response()
}

fn ok(body: &Value) -> Response {
    respond(StatusCode::OK, body)
}

fn respond(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Call {
    fn dispatch(&self, target: Target, path: &str) -> Answer<Response> {
        let missing = Status::no_such_page;
        match &target {
            Target::Resource(place) => self.insist(place)?,
            Target::Health | Target::Version => {}
            _ => {
                let path = path.strip_prefix(&self.prefix).unwrap_or(path).to_owned();
                let wish = Wish { verb: self.method.as_str().to_lowercase(), path, ..Wish::default() };
                self.server.read(|state| wish.insist(state, &self.user))?;
            }
        }
        let registry = || self.server.read(|state| state.registry.clone());
        let body = match target {
            Target::Health => return Ok("ok".into_response()),
            Target::Root => discovery::root(&registry()),
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
                discovery::resources(&registry(), &group, &version).ok_or_else(Status::no_such_resource)?
            }
            Target::OlderOpenApi => {
                let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
                return Ok(([(header::CONTENT_TYPE, kind)], openapi::older(&self.version)).into_response());
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

    /// Refuses what the user may not do.
    fn insist(&self, place: &Place) -> Answer<()> {
        let one = !place.name.is_empty();
        let verb = match self.method {
            Method::GET if self.query.flag("watch") => "watch",
            Method::GET if one => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ => "patch",
        };
        let subresource = match place.subresource.as_str() {
            "" => String::new(),
            subresource => format!("/{subresource}"),
        };
        // A namespace is in itself.
        let namespace =
            if place.plural == "namespaces" && one { &place.name } else { &place.namespace }.clone();
        let wish = Wish {
            verb: verb.to_owned(),
            group: place.group.clone(),
            resource: place.plural.clone() + &subresource,
            namespace,
            name: place.name.clone(),
            path: String::new(),
        };
        self.server.read(|state| wish.insist(state, &self.user))
    }

    fn resource(&self, place: Place, path: &str) -> Answer<Response> {
        let found = self.server.read(|state| {
            let found = state.registry.get(&place.group, &place.version, &place.plural);
            let served = place.group.is_empty() || state.registry.groups().contains_key(place.group.as_str());
            found.ok_or_else(|| if served { Status::no_such_resource() } else { Status::no_such_page() })
        });
        let resource = found?;
        if !resource.namespaced && !place.namespace.is_empty() {
            return Err(Status::no_such_resource());
        }
        if resource.create_only {
            return self.review(&resource);
        }
        match (place.subresource.as_str(), &self.method) {
            ("", _) => {}
            ("status", &Method::GET | &Method::PUT | &Method::PATCH) if resource.status => {}
            ("scale", _) if resource.scale.is_some() => return self.scale(&resource, &place),
            ("token", &Method::POST) if &*resource.id == "serviceaccounts" => {
                return self.request_token(&resource, &place);
            }
            ("eviction", &Method::POST) if &*resource.id == "pods" => return self.evict(&resource, &place),
            ("log" | "exec" | "attach" | "portforward" | "proxy", _) if place.reaches_containers() => {
                let object = self.server.get(&resource.id, &place.namespace, &place.name);
                let object = object.ok_or_else(|| Status::not_found(&resource, &place.name))?;
                let (kind, name, what) = (&resource.singular, object.name(), &place.subresource);
                return Err(Status::bad_request(format!(
                    "the sandbox runs no containers: {kind} \"{name}\" has no {what}"
                )));
            }
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
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn form(&self) -> Answer<Form> {
        let form = Form::accepted(self.header(header::ACCEPT), self.query.text("includeObject"));
        form.ok_or_else(Status::not_acceptable)
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
        self.check_list_options()?;
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
        let asked = self.query.text("resourceVersion");
        if !asked.is_empty() {
            let current = self.server.read(|state| state.revision());
            let asked = asked.parse::<u64>().map_err(|_| {
                Status::bad_request(format!("invalid resource version: {}", unreadable_version(asked)))
            })?;
            if asked > current {
                return Err(Status::too_large_version(asked, current));
            }
        }
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

    /// Numbers have to be numbers, and a version has to be there that is to be matched.
    fn check_list_options(&self) -> Answer<()> {
        self.query.check_numbers()?;
        let forbidden = |detail: &str| {
            let cause = Cause::forbidden("resourceVersionMatch", detail);
            Err(Status::invalid_options("ListOptions", cause))
        };
        let matching = self.query.text("resourceVersionMatch");
        if self.query.flag("sendInitialEvents") && matching != "NotOlderThan" {
            return forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        let given = !self.query.text("resourceVersion").is_empty() || self.query.flag("sendInitialEvents");
        if !matching.is_empty() && !given {
            return forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        Ok(())
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
            version => {
                let parsed = version.parse();
                Some(parsed.map_err(|_| Status::without_reason(unreadable_version(version)))?)
            }
        };
        let initial_events = self.query.flag("sendInitialEvents");
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

    fn review(&self, resource: &Resource) -> Answer<Response> {
        if self.method != Method::POST {
            return Err(Status::method_not_allowed());
        }
        let mut review = self.object(resource)?;
        review.set("kind", resource.kind.clone());
        review.set("apiVersion", resource.api_version());
        let plane = self.world.kubernetes().plane(&self.prefix)?;
        let answer = self.server.read(|state| {
            reviews::answer(&resource.kind, review, &self.user, state, |token| plane.user(token))
        });
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
    key.ok_or_else(|| Status::bad_request("invalid continue token: continue key is not valid"))
}

fn unreadable_version(version: &str) -> String {
    format!(
        "resourceVersion: Invalid value: \"{version}\": strconv.ParseUint: parsing \"{version}\": invalid syntax"
    )
}
