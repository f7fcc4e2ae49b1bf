//! Server-side apply: the whole of what Capstan wants of an object, in one idempotent call.

use http::StatusCode;
use kube::Client;
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::client::Body;
use kube::core::{DynamicObject, Request, Status};
use serde::Serialize;
use serde_json::Value;

use crate::{Error, Kind, MANAGER, Target};

/// What an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object is new.
    Created,
    /// Its content changed.
    Changed,
    /// It was as desired.
    Unchanged,
}

/// An applied object.
#[derive(Clone)]
pub struct Applied {
    /// The object as the server stored it, defaults included.
    pub object: DynamicObject,
    /// What the call did.
    pub outcome: Outcome,
}

impl std::fmt::Debug for Applied {
    // The object may be a Secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applied").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// Applies objects as one field manager.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    parameters: PatchParams,
}

impl Applier {
    /// Applies as [`MANAGER`], without force; unknown fields are refused instead of dropped.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        Self { client, parameters }
    }

    /// Takes over fields that other managers own, instead of ending in [`Error::Conflict`].
    #[must_use]
    pub fn forced(mut self) -> Self {
        self.parameters.force = true;
        self
    }

    /// Lets the server do everything (defaults, admission) except store it.
    #[must_use]
    pub fn dry(mut self) -> Self {
        self.parameters.dry_run = true;
        self
    }

    /// Another field manager than Capstan's.
    #[must_use]
    pub fn as_manager(mut self, manager: &str) -> Self {
        self.parameters.field_manager = Some(manager.to_owned());
        self
    }

    /// Applies a JSON value or a typed object. Reads the object first, to tell whether it changed; who has it at hand
    /// (from a mirror) spares that with [`Self::apply_over`].
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Refused`] and the others.
    pub async fn apply(&self, desired: &impl Serialize) -> Result<Applied, Error> {
        let (desired, target) = prepare(desired)?;
        let api = target.kind.api(self.client.clone(), target.namespace.as_deref());
        let live = api.get_opt(&target.name).await.map_err(|error| Error::decode(error, &target))?;
        self.send(&desired, &target, live.as_ref()).await
    }

    /// Applies over an object that the caller knows; `None`: it knows of none.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_over(
        &self,
        desired: &impl Serialize,
        live: Option<&DynamicObject>,
    ) -> Result<Applied, Error> {
        let (desired, target) = prepare(desired)?;
        self.send(&desired, &target, live).await
    }

    async fn send(
        &self,
        desired: &Value,
        target: &Target,
        live: Option<&DynamicObject>,
    ) -> Result<Applied, Error> {
        let url =
            <DynamicObject as kube::Resource>::url_path(&target.kind.resource(), target.namespace.as_deref());
        let request = Request::new(url)
            .patch(&target.name, &self.parameters, &Patch::Apply(desired))
            .map_err(|error| Error::Unsendable { why: error.to_string() })?;
        // kube's own `patch` doesn't tell 201 from 200.
        let below = |error| Error::decode(error, target);
        let response = self.client.send(request.map(Body::from)).await.map_err(below)?;
        let status = response.status();
        let body = response.into_body().collect_bytes().await.map_err(below)?;
        if !status.is_success() {
            return Err(Error::from_status(&read_status(status, &body), target));
        }
        let object: DynamicObject =
            serde_json::from_slice(&body).map_err(|error| below(kube::Error::SerdeError(error)))?;
        let outcome = match live {
            _ if status == StatusCode::CREATED => Outcome::Created,
            Some(live) if same(live, &object) => Outcome::Unchanged,
            _ => Outcome::Changed,
        };
        Ok(Applied { object, outcome })
    }
}

/// The object as JSON without what must not be applied, and what it is.
fn prepare(desired: &impl Serialize) -> Result<(Value, Target), Error> {
    let unsendable = |why: &str| Error::Unsendable { why: why.to_owned() };
    let mut desired = serde_json::to_value(desired).map_err(|error| unsendable(&error.to_string()))?;
    let kind = Kind::of(&desired).ok_or_else(|| unsendable("it has no apiVersion and kind"))?;
    let name = desired["metadata"]["name"].as_str().ok_or_else(|| unsendable("it has no name"))?.to_owned();
    let namespace = desired["metadata"]["namespace"].as_str().map(str::to_owned);
    if kind.namespaced && namespace.is_none() {
        return Err(unsendable("it has no namespace"));
    }
    // Typed objects carry an empty status; and what a server stored can't be applied as it is.
    if let Some(object) = desired.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = desired["metadata"].as_object_mut() {
        for key in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
            metadata.remove(key);
        }
    }
    Ok((desired, Target { kind, namespace, name }))
}

/// Whether two states of an object differ in nothing that an apply writes.
fn same(before: &DynamicObject, after: &DynamicObject) -> bool {
    let (old, new) = (&before.metadata, &after.metadata);
    if old.resource_version == new.resource_version {
        return true;
    }
    // The known object may be older than the stored one by status updates of controllers.
    let without_status = |object: &DynamicObject| {
        let mut data = object.data.clone();
        if let Some(data) = data.as_object_mut() {
            data.remove("status");
        }
        data
    };
    old.uid == new.uid
        && old.labels == new.labels
        && old.annotations == new.annotations
        && old.owner_references == new.owner_references
        && old.finalizers == new.finalizers
        && without_status(before) == without_status(after)
}

fn read_status(code: StatusCode, body: &[u8]) -> Status {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        // A proxy's page, or the plain text of an unknown path.
        let text = String::from_utf8_lossy(body);
        Status::failure(text.trim(), "").with_code(code.as_u16())
    })
}

#[cfg(test)]
mod tests {
    use capstan_kube_types::openstack_cluster::{
        OpenStackCluster, OpenStackClusterIdentityRef, OpenStackClusterSpec,
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn a_typed_object_is_sent_without_its_empty_parts() {
        let mut cluster = OpenStackCluster::new(
            "f-c",
            OpenStackClusterSpec {
                identity_ref: OpenStackClusterIdentityRef {
                    name: "f-c-cloud-config".into(),
                    cloud_name: "openstack".into(),
                    ..Default::default()
                },
                ..Default::default()
            },
        );
        cluster.metadata.namespace = Some("f-c".into());
        let (sent, target) = prepare(&cluster).unwrap();
        assert_eq!(target.to_string(), "OpenStackCluster f-c/f-c");
        assert_eq!(
            sent,
            json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "OpenStackCluster",
                "metadata": {"name": "f-c", "namespace": "f-c"},
                "spec": {"identityRef": {"cloudName": "openstack", "name": "f-c-cloud-config", "type": "Secret"}}})
        );
    }

    #[test]
    fn what_cannot_be_sent_says_what_is_missing() {
        let why = |object: Value| prepare(&object).unwrap_err().to_string();
        assert!(why(json!({"metadata": {"name": "a"}})).contains("apiVersion"));
        assert!(
            why(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}))
                .contains("namespace")
        );
        assert!(why(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}})).contains("name"));
    }

    #[test]
    fn a_newer_status_alone_is_no_change() {
        let object = |version: &str, replicas: u8, ready: bool| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": version},
                "spec": {"replicas": replicas}, "status": {"ready": ready}}))
            .unwrap()
        };
        assert!(same(&object("1", 1, false), &object("3", 1, true)));
        assert!(!same(&object("1", 1, false), &object("3", 2, false)));
    }
}
