//! The management plane as the components of a cluster see it: read from watches, written by server-side apply.

use std::sync::Arc;

use capstan_core::names::ClusterNames;
use capstan_engine::Failure;
use capstan_kube::apply::Applier;
use capstan_kube::connect::Connection;
use capstan_kube::mirror::{Mirror, Options};
use capstan_kube::{Client, DynamicObject, Kind, Target, delete};
use kube::api::{Patch, PatchParams, PropagationPolicy};
use serde::Serialize;
use serde_json::Value;

use crate::failure;

/// The kinds that clusters are made of and observed by.
const KINDS: [Kind; 14] = [
    Kind::NAMESPACE,
    Kind::WORKLOAD_CLUSTER,
    Kind::CLUSTER,
    Kind::OPENSTACK_CLUSTER,
    Kind::KUBEADM_CONTROL_PLANE,
    Kind::MACHINE_DEPLOYMENT,
    Kind::MACHINE_SET,
    Kind::MACHINE,
    Kind::MACHINE_HEALTH_CHECK,
    Kind::OPENSTACK_MACHINE_TEMPLATE,
    Kind::OPENSTACK_MACHINE,
    Kind::KUBEADM_CONFIG_TEMPLATE,
    Kind::SECRET,
    Kind::OPENSTACK_SERVER,
];

/// A management plane. Clones share connection and mirror.
#[derive(Clone)]
pub struct Plane {
    connection: Connection,
    mirror: Mirror,
}

impl Plane {
    /// Starts to follow the objects of all clusters, or of one cluster's namespace alone.
    ///
    /// # Errors
    /// The first lists failed.
    pub async fn follow(
        connection: Connection,
        namespace: Option<&str>,
    ) -> Result<Self, capstan_kube::Error> {
        let options = Options { namespace: namespace.map(str::to_owned), ..Options::default() };
        let mirror = Mirror::start(&connection.client, KINDS, &options);
        mirror.ready().await?;
        Ok(Self { connection, mirror })
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection's client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.connection.client
    }

    /// The local copy.
    #[must_use]
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// An object of a namespace, as the watch last told.
    #[must_use]
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.mirror.get(kind, if kind.namespaced { namespace } else { "" }, name)
    }

    /// The objects of a kind in a namespace, by name.
    #[must_use]
    pub fn list(&self, kind: &Kind, namespace: &str) -> Vec<Arc<DynamicObject>> {
        self.mirror.list(kind, Some(namespace))
    }

    /// Applies an object. Fields of others survive; where another manager has changed one of ours it is taken back,
    /// for the documents are the desired state (the plan has shown it).
    ///
    /// # Errors
    /// The API's refusal, or the way there.
    pub async fn apply(&self, desired: &Value) -> Result<(), Failure> {
        let applier = Applier::new(self.client().clone()).forced();
        // Whether it changed is of no interest here, so the object needn't be read before.
        let applied = applier.apply_over(desired, None).await.map_err(failure::kubernetes)?;
        if let Some(kind) = Kind::of(desired) {
            self.mirror.put(&kind, applied.object);
        }
        Ok(())
    }

    /// Applies an object unless that would change what another field manager has set.
    ///
    /// # Errors
    /// A conflict, with the managers and their fields; the API's refusal; the way there.
    pub async fn apply_unless_owned(&self, desired: &Value) -> Result<(), Failure> {
        let applied = Applier::new(self.client().clone())
            .apply_over(desired, None)
            .await
            .map_err(failure::kubernetes)?;
        if let Some(kind) = Kind::of(desired) {
            self.mirror.put(&kind, applied.object);
        }
        Ok(())
    }

    /// Writes the status of a cluster's object.
    ///
    /// # Errors
    /// The API's refusal, or the way there; that the object has gone is none.
    pub async fn write_status(
        &self,
        kind: &Kind,
        names: &ClusterNames,
        status: &impl Serialize,
    ) -> Result<(), Failure> {
        let api = kind.api(self.client().clone(), Some(names.namespace()));
        let patch = Patch::Merge(serde_json::json!({ "status": status }));
        let target = Target::new(kind, Some(names.namespace()), names.base());
        match api.patch_status(names.base(), &PatchParams::default(), &patch).await {
            Ok(object) => {
                self.mirror.put(kind, object);
                Ok(())
            }
            Err(error) => match capstan_kube::Error::decode(error, &target) {
                capstan_kube::Error::NotFound { .. } => Ok(()),
                error => Err(failure::kubernetes(error)),
            },
        }
    }

    /// Deletes an object with everything that it owns.
    ///
    /// # Errors
    /// The API's refusal, or the way there; an object that isn't there is none.
    pub async fn delete(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Failure> {
        let options =
            delete::Options { propagation: Some(PropagationPolicy::Background), ..Default::default() };
        let namespace = kind.namespaced.then_some(namespace);
        let deleted = delete::delete(self.client(), kind, namespace, name, &options).await;
        if let delete::Deleted::Going { .. } = deleted.map_err(failure::kubernetes)?
            // Its mark is seen at once and not only when the watch tells, so that nothing is deleted twice.
            && let Ok(Some(object)) = kind.api(self.client().clone(), namespace).get_opt(name).await
        {
            self.mirror.put(kind, object);
        }
        Ok(())
    }
}
