//! Capstan's own resources: `kubectl get workloadclusters` shows phase, version, nodes and age.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::crd;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Direction, Failure, StepCx, Verdict};
use capstan_kube::apply::Applier;
use capstan_kube::capstan::is_established;
use capstan_kube::diff::{Diff, diff};
use capstan_kube::{DynamicObject, Error, Kind, Target};

use crate::provider::{ProviderKind, failure};
use crate::subject::ManagementPlane;

/// See the module. Several fleets share the definition, and deleting it would delete their clusters' records: it stays.
pub struct Definitions(pub Arc<ManagementPlane>);

/// What exists.
pub struct Seen {
    definition: Option<DynamicObject>,
    diff: Diff,
}

impl Definitions {
    pub(crate) const NAME: &'static str = "definitions";
}

#[async_trait]
impl Component for Definitions {
    type Seen = Seen;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        // A plane without Cluster API is no management plane: nothing of ours is left in it.
        const { &[ProviderKind::ClusterApi.name()] }
    }

    async fn observe(&self, _: &StepCx) -> Result<Seen, Failure> {
        let wanted = crd::crd();
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let target = Target::new(&Kind::CUSTOM_RESOURCE_DEFINITION, None, name);
        let found = Kind::CUSTOM_RESOURCE_DEFINITION.api(self.0.client.clone(), None).get_opt(name).await;
        let definition = found.map_err(|error| failure(Error::decode(error, &target)))?;
        let live = definition.as_ref().and_then(|definition| serde_json::to_value(definition).ok());
        Ok(Seen { diff: live.map(|live| diff(&wanted, &live)).unwrap_or_default(), definition })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<PlannedChange> {
        let change = |class| {
            let object = format!("CustomResourceDefinition {}.{}", crd::PLURAL, capstan_core::API_GROUP);
            Verdict::Change(vec![PlannedChange::new(Self::NAME, object, class)])
        };
        match (direction, &seen.definition) {
            (Direction::Absent, _) => Verdict::InSync,
            (Direction::Present, None) => change(ChangeClass::Creates),
            (Direction::Present, Some(_)) if !seen.diff.is_empty() => change(ChangeClass::InPlace),
            (Direction::Present, definition) if !is_established(definition.as_ref()) => {
                Verdict::waiting("the API server to serve WorkloadCluster", 1)
            }
            (Direction::Present, Some(_)) => Verdict::InSync,
        }
    }

    async fn apply(&self, _: &PlannedChange, _: &StepCx) -> Result<(), Failure> {
        // Forced: the definition is ours alone, whoever has edited it.
        let applier = Applier::new(self.0.client.clone()).forced();
        applier.apply_over(&crd::crd(), None).await.map_err(failure)?;
        Ok(())
    }
}
