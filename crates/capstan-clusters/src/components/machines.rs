//! The machines: all there, up to date and available, their nodes ready.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::Kind;

use crate::control_plane::{self, Replicas};
use crate::diagnosis::{self, FailedMachine};
use crate::subject::Subject;
use crate::workload_api;

/// See the module. A machine that had failed before this run began is replaced: the user has mended the cause and tries
/// again. One that fails while we look is reported, not made again and again.
pub struct Machines {
    subject: Arc<Subject>,
    /// The machines that had failed when this run first looked.
    failed_before: OnceLock<BTreeSet<String>>,
}

/// What exists.
pub struct Seen {
    settled: bool,
    waits_on: String,
    failed: Vec<FailedMachine>,
    failed_before: BTreeSet<String>,
}

/// What can be done about machines.
#[derive(Debug)]
pub enum Change {
    /// Delete a failed machine, so that its group makes another.
    Replace {
        /// Name of the `Machine`.
        machine: String,
        /// Why it failed.
        cause: String,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        let Self::Replace { machine, cause } = self;
        PlannedChange::new(Machines::NAME, format!("Machine {machine}"), ChangeClass::Recreates)
            .because(format!("it failed: {cause}"))
    }
}

impl Machines {
    pub(crate) const NAME: &'static str = "machines";

    /// The machines of a cluster.
    #[must_use]
    pub const fn new(subject: Arc<Subject>) -> Self {
        Self { subject, failed_before: OnceLock::new() }
    }

    /// Whether the control plane has its first machine and wants more: it gets them only when the first has an address,
    /// which the cloud controller manager gives it.
    fn grows(&self) -> bool {
        self.subject.get(&Kind::KUBEADM_CONTROL_PLANE, &self.subject.names().control_plane()).is_some_and(
            |object| {
                let replicas = Replicas::of(&object);
                let initialised =
                    object.data["status"]["initialization"]["controlPlaneInitialized"].as_bool();
                initialised.unwrap_or_default()
                    && replicas.desired > 1
                    && replicas.up_to_date < replicas.desired
            },
        )
    }

    /// Whether every group is as wanted, and Cluster API calls the whole available: it counts a moment later than the
    /// groups do.
    fn is_settled(&self) -> bool {
        let control_planes = self.subject.list(&Kind::KUBEADM_CONTROL_PLANE);
        let groups = self.subject.list(&Kind::MACHINE_DEPLOYMENT);
        !control_planes.is_empty()
            && control_planes
                .iter()
                .chain(&groups)
                .all(|group| control_plane::is_settled(&self.subject, group))
            && diagnosis::is_available(&self.subject)
    }
}

#[async_trait]
impl Component for Machines {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        // Not after `access`: that one waits for machines, also for those that must be replaced first.
        &[super::objects::ClusterObjects::CONTROL_PLANE]
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        let settled = self.is_settled();
        if settled || cx.direction() == Direction::Absent {
            let failed_before = BTreeSet::new();
            return Ok(Seen { settled, waits_on: String::new(), failed: vec![], failed_before });
        }
        let failed = diagnosis::failed_machines(&self.subject).await?;
        let failed_before = self
            .failed_before
            .get_or_init(|| failed.iter().map(|machine| machine.uid.clone()).collect())
            .clone();
        let waits_on = match self.grows() && workload_api::lacks_cloud_controller(&self.subject).await {
            true => format!(
                "the OpenStack cloud controller manager in the cluster (nodes have no address before; {})",
                diagnosis::rolling(&self.subject)
            ),
            false => diagnosis::rolling(&self.subject),
        };
        Ok(Seen { settled, waits_on, failed, failed_before })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<Change> {
        if direction == Direction::Absent || seen.settled {
            return Verdict::InSync;
        }
        let (before, now): (Vec<_>, Vec<_>) =
            seen.failed.iter().partition(|machine| seen.failed_before.contains(&machine.uid));
        if !before.is_empty() {
            let replace = |machine: &FailedMachine| Change::Replace {
                machine: machine.name.clone(),
                cause: machine.cause.clone(),
            };
            return Verdict::Change(before.into_iter().map(replace).collect());
        }
        if now.is_empty() {
            return Verdict::waiting(seen.waits_on.clone(), 15);
        }
        let why: Vec<_> = now.iter().map(ToString::to_string).collect();
        Verdict::blocked(why.join("\n"), "mend the cause, then apply again: the machine is replaced")
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        let Change::Replace { machine, .. } = change;
        self.subject.plane.delete(&Kind::MACHINE, self.subject.namespace(), machine).await
    }
}
