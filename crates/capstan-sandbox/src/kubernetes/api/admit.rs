//! What an object has to pass before it is stored.

use super::super::crd;
use super::super::defaults;
use super::super::error::{Answer, Cause, Status};
use super::super::names;
use super::super::object::{Object, Read as _};
use super::super::prune::fill_defaults;
use super::super::registry::Resource;
use super::super::schema;
use super::super::store::State;
use super::super::write::{FieldValidation, Part, Review, Writer};
use super::ApiServer;

impl ApiServer {
    pub(super) fn check_namespace(&self, state: &State, resource: &Resource, object: &Object) -> Answer<()> {
        let namespace = object.namespace();
        let Some(found) = state.get("namespaces", "", namespace) else {
            let namespaces = state.resource("namespaces")?;
            return Err(Status::not_found(&namespaces, namespace));
        };
        if found.is_deleting() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let mut refusal = Status::forbidden(resource, object.name(), why);
            if let Some(details) = &mut refusal.details {
                details.causes.push(Cause {
                    reason: "NamespaceTerminating",
                    field: "metadata.namespace".into(),
                    message: format!("namespace {namespace} is being terminated"),
                });
            }
            return Err(refusal);
        }
        Ok(())
    }

    /// Defaults, unknown fields, schema and webhooks, in the order of the API server.
    pub(super) fn prepare(
        &self,
        resource: &Resource,
        old: Option<&Object>,
        new: &mut Object,
        writer: &Writer,
    ) -> Answer<Vec<String>> {
        let mut warnings = Vec::new();
        let unknown = resource.prune(new).into_iter().filter(|_| !writer.trusted);
        let unknown: Vec<String> = unknown.map(|field| format!("unknown field \"{field}\"")).collect();
        if writer.validation == FieldValidation::Strict && !unknown.is_empty() {
            return Err(Status::strict_decoding(resource, &unknown));
        }
        if writer.validation == FieldValidation::Warn {
            warnings = unknown;
        }
        if let Some(schema) = &resource.schema {
            fill_defaults(new, schema);
        } else {
            defaults::fill(&resource.id, new);
        }
        let admission = self.admission.filter(|_| !writer.trusted && writer.part == Part::Main);
        let admitted = admission.map_or(Ok(()), |admit| {
            let review = match old {
                None => Review::Create(new),
                Some(old) => Review::Update { old, new },
            };
            admit(resource, review, &self.sources.faults)
        });
        // Defaults of webhooks come before the schema, their refusals after it.
        if admitted.as_ref().is_err_and(|refusal| matches!(refusal.code, 400 | 500)) {
            admitted.clone()?;
        }
        let mut causes = names::check(resource, new);
        match &resource.schema {
            Some(schema) if !writer.trusted => causes.extend(schema::validate(new, old, schema)),
            None if &*resource.id == crd::ID => causes.extend(crd::check(new)),
            _ => {}
        }
        if !causes.is_empty() {
            return Err(Status::invalid(resource, new.name(), causes));
        }
        admitted.map(|()| warnings)
    }
}
