//! The cluster's API: its endpoint exists, its first control plane machine answers, its kubeconfig is there.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::PlannedChange;
use capstan_engine::{Component, Direction, Failure, StepCx, Verdict};
use capstan_kube::Kind;

use crate::diagnosis;
use crate::subject::Subject;

/// See the module. Nothing is applied here: Cluster API makes it, this waits and says what for.
pub struct Access(pub Arc<Subject>);

/// What exists.
pub struct Seen {
    initialised: bool,
    kubeconfig: bool,
    waits_on: String,
    failed: Vec<diagnosis::FailedMachine>,
}

impl Access {
    pub(crate) const NAME: &'static str = "access";
}

#[async_trait]
impl Component for Access {
    type Seen = Seen;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        &[super::objects::ClusterObjects::CONTROL_PLANE]
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        let subject = &self.0;
        let cluster = subject.get(&Kind::CLUSTER, subject.names().base());
        let initialised = cluster.as_ref().is_some_and(|cluster| {
            cluster.data["status"]["initialization"]["controlPlaneInitialized"].as_bool().unwrap_or_default()
        });
        let kubeconfig = subject.get(&Kind::SECRET, &subject.names().kubeconfig_secret()).is_some();
        let waiting = cx.direction() == Direction::Present && !(initialised && kubeconfig);
        let failed = if waiting { diagnosis::failed_machines(subject).await? } else { vec![] };
        let waits_on = if waiting { diagnosis::initialising(subject) } else { String::new() };
        Ok(Seen { initialised, kubeconfig, waits_on, failed })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<PlannedChange> {
        if direction == Direction::Absent || (seen.initialised && seen.kubeconfig) {
            return Verdict::InSync;
        }
        // Machines that failed are the business of the component of that name; here they only cannot be waited for.
        match seen.failed.first() {
            Some(failed) => Verdict::waiting(format!("a replacement of {failed}"), 15),
            None => Verdict::waiting(seen.waits_on.clone(), 15),
        }
    }

    async fn apply(&self, _: &PlannedChange, _: &StepCx) -> Result<(), Failure> {
        Ok(())
    }
}
