//! The namespace for what belongs to the fleet as a whole: the Leases of its writers.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::names::SYSTEM_NAMESPACE;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Direction, Failure, StepCx, Verdict};
use capstan_kube::apply::Applier;
use capstan_kube::{Error, Kind, Target};
use serde_json::json;

use crate::provider::ProviderKind;
use crate::subject::ManagementPlane;

/// See the module. Several fleets may share a management plane, so it belongs to none of them and stays.
pub struct SystemNamespace(pub Arc<ManagementPlane>);

impl SystemNamespace {
    pub(crate) const NAME: &'static str = "system namespace";
}

#[async_trait]
impl Component for SystemNamespace {
    type Seen = bool;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        // A plane without Cluster API is no management plane: nothing of ours is left in it.
        const { &[ProviderKind::ClusterApi.name()] }
    }

    async fn observe(&self, _: &StepCx) -> Result<bool, Failure> {
        let found = Kind::NAMESPACE.api(self.0.client.clone(), None).get_opt(SYSTEM_NAMESPACE).await;
        let target = Target::new(&Kind::NAMESPACE, None, SYSTEM_NAMESPACE);
        Ok(found.map_err(|error| crate::provider::failure(Error::decode(error, &target)))?.is_some())
    }

    fn plan(&self, direction: Direction, seen: &bool) -> Verdict<PlannedChange> {
        match (direction, seen) {
            (Direction::Present, false) => Verdict::Change(vec![PlannedChange::new(
                Self::NAME,
                format!("Namespace {SYSTEM_NAMESPACE}"),
                ChangeClass::Creates,
            )]),
            _ => Verdict::InSync,
        }
    }

    async fn apply(&self, _: &PlannedChange, _: &StepCx) -> Result<(), Failure> {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": SYSTEM_NAMESPACE, "labels": { "app.kubernetes.io/managed-by": "capstan" } },
        });
        let applier = Applier::new(self.0.client.clone());
        applier.apply_over(&namespace, None).await.map_err(crate::provider::failure)?;
        tracing::debug!(fleet = self.0.fleet, "made the system namespace");
        Ok(())
    }
}
