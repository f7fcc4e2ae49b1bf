//! Requests that change something.

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::super::error::{Answer, Cause, Status};
use super::super::kinds;
use super::super::object::{Object, Read as _, Write as _};
use super::super::patch;
use super::super::protobuf;
use super::super::registry::Resource;
use super::super::route::Place;
use super::super::scale;
use super::super::shape::Shape;
use super::super::write::{FieldValidation, Part, Writer, Written};
use super::{Call, ok, respond};

impl Call {
    /// The body as an object of a kind; JSON, YAML or protobuf.
    pub(super) fn object(&self, resource: &Resource) -> Answer<Object> {
        let given = self.header(header::CONTENT_TYPE);
        let media = given.split(';').next().unwrap_or_default().trim();
        if media.ends_with("yaml") {
            let text =
                std::str::from_utf8(&self.body).map_err(|error| Status::bad_request(error.to_string()))?;
            return serde_saphyr::from_str(text).map_err(|error| {
                Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}"))
            });
        }
        let unrecognized = |why: &str| {
            let kind = &resource.kind;
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {why}"
            ))
        };
        if media == "application/vnd.kubernetes.protobuf" && !resource.is_custom() {
            return protobuf::read(&self.body).ok_or_else(|| unrecognized("proto: illegal wireType"));
        }
        if !media.is_empty() && media != "application/json" {
            return Err(Status::unsupported_media(if resource.is_custom() {
                "application/json, application/yaml"
            } else {
                "application/json, application/yaml, application/vnd.kubernetes.protobuf"
            }));
        }
        match self.json() {
            Ok(Value::Null) => Ok(json!({})),
            Ok(Value::Object(map)) if resource.is_custom() && !map.contains_key("kind") => {
                Err(unrecognized(&format!("Object 'Kind' is missing in '{}'", self.text())))
            }
            Ok(object @ Value::Object(_)) => Ok(object),
            Ok(_) => Err(unrecognized("couldn't get version/kind; json parse error: not an object")),
            Err(error) => Err(unrecognized(&format!("couldn't get version/kind; json parse error: {error}"))),
        }
    }

    fn json(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.body)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a patch.
    fn patch_body(&self, media: &str) -> Answer<Value> {
        let decoding = |why: &str| Status::bad_request(format!("error decoding patch: {why}"));
        let patch = self.json().map_err(|error| decoding(&error.to_string()))?;
        let json_patch = media == "application/json-patch+json";
        match (&patch, json_patch) {
            (Value::Array(_), true) | (Value::Object(_), false) => Ok(patch),
            (_, true) => {
                Err(decoding("json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"))
            }
            (_, false) => {
                Err(decoding("json: cannot unmarshal array into Go value of type map[string]interface {}"))
            }
        }
    }

    /// The name of the parameters of this request.
    fn options(&self) -> &'static str {
        match self.method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            Method::DELETE => "DeleteOptions",
            _ => "PatchOptions",
        }
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
            other => {
                let message = format!("Unsupported value: [\"{other}\"]: supported values: \"All\"");
                let cause = Cause { reason: "FieldValueNotSupported", field: "dryRun".to_owned(), message };
                return Err(Status::invalid_options(self.options(), cause));
            }
        };
        let validation = match self.query.text("fieldValidation") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            other => {
                let message = format!(
                    "Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
                );
                let field = "fieldValidation".to_owned();
                let cause = Cause { reason: "FieldValueNotSupported", field, message };
                return Err(Status::invalid_options(self.options(), cause));
            }
        };
        if manager.len() > 128 {
            let message = "Too long: may not be more than 128 bytes".to_owned();
            let cause = Cause { reason: "FieldValueTooLong", field: "fieldManager".to_owned(), message };
            return Err(Status::invalid_options(self.options(), cause));
        }
        let part = if place.subresource == "status" { Part::Status } else { Part::Main };
        Ok(Writer { manager: manager.to_owned(), part, dry_run, validation, trusted: false })
    }

    /// Checks that the body is what the path says, and takes names over from the path.
    fn checked(&self, resource: &Resource, place: &Place, mut object: Object) -> Answer<Object> {
        if !object.is_object() {
            return Err(Status::unreadable(resource, "not an object"));
        }
        let (kind, version) = (object.text("kind"), object.text("apiVersion"));
        if (!kind.is_empty() && kind != resource.kind)
            || (!version.is_empty() && version != resource.api_version())
        {
            let wanted = &resource.kind;
            return Err(Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {wanted}: no kind \"{kind}\" is registered for version \"{version}\" as a {wanted}"
            )));
        }
        if let Some(kind) = resource.built_in()
            && let Some(why) = kinds::wrong_type(&object, kind)
        {
            return Err(Status::unreadable(resource, &why));
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

    pub(super) fn create(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        if resource.namespaced && place.namespace.is_empty() {
            return Err(Status::method_not_allowed());
        }
        let object = self.checked(resource, place, self.object(resource)?)?;
        if object.text_at("metadata.resourceVersion").is_some() {
            return Err(Status::without_reason("resourceVersion should not be set on objects to be created"));
        }
        let written = self.server.create_as(resource, object, &self.writer(place)?)?;
        self.written(resource, &written)
    }

    pub(super) fn update(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let object = self.checked(resource, place, self.object(resource)?)?;
        let writer = self.writer(place)?;
        let written =
            self.server.update_as(resource, &place.namespace, &place.name, &writer, |_| Ok(object))?;
        self.written(resource, &written)
    }

    pub(super) fn patch(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let media = self.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
        let writer = self.writer(place)?;
        let force = self.query.flag("force");
        if media == "application/apply-patch+yaml" {
            if self.query.text("fieldManager").is_empty() {
                let cause = Cause::required("fieldManager", "is required for apply patch");
                return Err(Status::invalid_options("PatchOptions", cause));
            }
            let body = self.object(resource)?;
            if body.text("apiVersion").is_empty() || body.text("kind").is_empty() {
                let (version, kind) = (body.text("apiVersion"), body.text("kind"));
                return Err(Status::bad_request(format!("invalid object type: {version}/, Kind={kind}")));
            }
            let config = self.checked(resource, place, body)?;
            let written =
                self.server.apply_as(resource, &place.namespace, &place.name, config, force, &writer)?;
            return self.written(resource, &written);
        }
        if force {
            let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
            return Err(Status::invalid_options("PatchOptions", cause));
        }
        let custom = resource.is_custom();
        match media.as_str() {
            "application/merge-patch+json" | "application/json-patch+json" => {}
            "application/strategic-merge-patch+json" if !custom => {}
            "application/strategic-merge-patch+json" => {
                let accepted =
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
                return Err(Status::unsupported_media(accepted));
            }
            _ => return Err(Status::unknown_media()),
        }
        let body = self.patch_body(&media)?;
        let change = |old: &Object| -> Answer<Object> {
            let mut new = old.clone();
            match media.as_str() {
                "application/merge-patch+json" => patch::merge(&mut new, &body),
                "application/json-patch+json" => patch::json(&mut new, &body)?,
                _ => patch::strategic(&mut new, &body, Shape::of(None)),
            }
            if new.name() != old.name() {
                let (given, wanted) = (new.name(), old.name());
                return Err(Status::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({wanted})"
                )));
            }
            if let Some(kind) = resource.built_in()
                && let Some(why) = kinds::wrong_type(&new, kind)
            {
                return Err(Status::invalid_patch(&new, &why));
            }
            Ok(new)
        };
        let written = self.server.update_as(resource, &place.namespace, &place.name, &writer, change)?;
        self.written(resource, &written)
    }

    /// `DeleteOptions` from the body, else from the query.
    fn delete_options(&self) -> Answer<(Value, bool)> {
        self.query.check_numbers()?;
        let media = self.header(header::CONTENT_TYPE);
        let mut options = if self.body.is_empty() {
            json!({})
        } else if media.contains("protobuf") {
            protobuf::read(&self.body).ok_or_else(|| Status::bad_request("proto: illegal wireType"))?
        } else {
            self.json().map_err(|error| {
                Status::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })?
        };
        if !self.query.text("propagationPolicy").is_empty() {
            options.set("propagationPolicy", self.query.text("propagationPolicy"));
        }
        let policy = options.text("propagationPolicy");
        if !matches!(policy, "" | "Foreground" | "Background" | "Orphan") {
            let message = format!(
                "Unsupported value: \"{policy}\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            );
            let field = "propagationPolicy".to_owned();
            let cause = Cause { reason: "FieldValueNotSupported", field, message };
            return Err(Status::invalid_options("DeleteOptions", cause));
        }
        let dry_run =
            self.query.text("dryRun") == "All" || options.items("dryRun").iter().any(|value| value == "All");
        Ok((options, dry_run))
    }

    pub(super) fn delete(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
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

    pub(super) fn delete_collection(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
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

    pub(super) fn scale(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        let writer = self.writer(place)?;
        let change = |old: &Object| -> Answer<Object> {
            let before = scale::read(resource, old);
            let mut wanted = before.clone();
            match (&self.method, self.header(header::CONTENT_TYPE)) {
                (&Method::PUT, _) => wanted = self.patch_body("application/json")?,
                (_, media) if media.starts_with("application/json-patch") => {
                    patch::json(&mut wanted, &self.patch_body("application/json-patch+json")?)?;
                }
                _ => patch::merge(&mut wanted, &self.patch_body("application/merge-patch+json")?),
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
            _ => return Err(Status::method_not_allowed()),
        };
        Ok(ok(&scale::read(resource, &object)))
    }

    /// A token of a service account.
    pub(super) fn request_token(&self, resource: &Resource, place: &Place) -> Answer<Response> {
        let mut request = self.object(resource)?;
        if self.server.get(&resource.id, &place.namespace, &place.name).is_none() {
            return Err(Status::not_found(resource, &place.name));
        }
        let seconds = request.int("spec.expirationSeconds").unwrap_or(3600);
        if seconds < 600 {
            let detail = "may not specify a duration less than 10 minutes";
            let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), detail);
            let (kind, group) = ("TokenRequest".to_owned(), "authentication.k8s.io".to_owned());
            let named = Resource { kind, group, ..resource.clone() };
            return Err(Status::invalid(&named, "", vec![cause]));
        }
        let (token, expires) = self.server.issue_token(&place.namespace, &place.name, seconds);
        request.set("kind", "TokenRequest");
        request.set("apiVersion", "authentication.k8s.io/v1");
        request.set("spec.expirationSeconds", seconds);
        request.set("status", json!({"token": token, "expirationTimestamp": expires}));
        Ok(respond(StatusCode::CREATED, &request))
    }

    /// An evicted pod is a deleted one: nothing runs that could be disturbed.
    pub(super) fn evict(&self, resource: &Arc<Resource>, place: &Place) -> Answer<Response> {
        self.server.delete_as(resource, &place.namespace, &place.name, &json!({}), false)?;
        let success =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(respond(StatusCode::CREATED, &success))
    }
}
