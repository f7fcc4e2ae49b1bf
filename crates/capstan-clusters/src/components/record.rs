//! The cluster's `WorkloadCluster` resource in the management plane: the desired state that outlasts files and
//! processes, and the status that `kubectl get workloadclusters` shows.
//!
//! The component stands in the list twice. At the beginning it writes the desired state and the status as it is at that
//! moment; at the end, when everything is settled, the final status. When a cluster is deleted, the end comes first: it
//! is where protection says no, before anything is touched.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::names;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_core::status::WorkloadClusterStatus;
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::diff::{Diff, diff};
use capstan_kube::{DynamicObject, Kind};
use serde_json::{Value, json};

use super::is_going;
use super::objects::fields;
use crate::status;
use crate::subject::Subject;

/// See the module.
pub struct Record {
    subject: Arc<Subject>,
    late: bool,
}

/// What exists.
pub struct Seen {
    record: Option<Arc<DynamicObject>>,
    diff: Diff,
    /// The status that is told, where it is another than the one that is written.
    status: Option<Box<WorkloadClusterStatus>>,
    protected: bool,
}

/// What can be done about the record.
#[derive(Debug)]
pub enum Change {
    /// Write the desired state.
    Write(PlannedChange),
    /// Write the status.
    Status(Box<WorkloadClusterStatus>),
    /// Delete it.
    Delete(String),
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        let object = |name: &str| format!("WorkloadCluster {name}");
        match self {
            Self::Write(planned) => planned.clone(),
            Self::Status(status) => PlannedChange::new(Record::EARLY, object("status"), ChangeClass::InPlace)
                .because(status.phase.to_string()),
            Self::Delete(name) => PlannedChange::new(Record::EARLY, object(name), ChangeClass::Deletes),
        }
    }

    fn is_bookkeeping(&self) -> bool {
        matches!(self, Self::Status(_))
    }
}

impl Record {
    pub(crate) const EARLY: &'static str = "record";
    pub(crate) const LATE: &'static str = "status";

    /// The one at the beginning.
    #[must_use]
    pub const fn early(subject: Arc<Subject>) -> Self {
        Self { subject, late: false }
    }

    /// The one at the end.
    #[must_use]
    pub const fn late(subject: Arc<Subject>) -> Self {
        Self { subject, late: true }
    }

    fn desired(&self) -> Value {
        let names = self.subject.names();
        let mut metadata = json!({
            "name": names.base(), "namespace": names.namespace(), "labels": crate::render::labels(names),
        });
        if let Some(cloud) = &self.subject.cluster.cloud {
            // What the document takes from its fleet is kept beside it, for whoever has only the record.
            metadata["annotations"] = json!({ CLOUD_ANNOTATION: cloud });
        }
        let document = self.subject.cluster.document();
        json!({
            "apiVersion": Kind::WORKLOAD_CLUSTER.api_version(),
            "kind": Kind::WORKLOAD_CLUSTER.kind,
            "metadata": metadata,
            "spec": document.spec,
        })
    }

    fn title(&self) -> String {
        format!("WorkloadCluster {}", self.subject.names().base())
    }
}

/// Annotation with the entry of `clouds.yaml` that the cluster was made in.
pub(crate) const CLOUD_ANNOTATION: &str = "capstan.dev/cloud";

#[async_trait]
impl Component for Record {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        if self.late { Self::LATE } else { Self::EARLY }
    }

    fn after(&self) -> &'static [&'static str] {
        if self.late {
            &[super::templates::Templates::NAME, super::access::Access::NAME, super::workload::Workload::NAME]
        } else {
            &[super::namespace::Namespace::NAME]
        }
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        let record = self.subject.get(&Kind::WORKLOAD_CLUSTER, self.subject.names().base());
        let live = record.as_deref().and_then(|record| serde_json::to_value(record).ok());
        let diff = live.as_ref().map(|live| diff(&self.desired(), live)).unwrap_or_default();
        let told = live.as_ref().and_then(|live| serde_json::from_value(live["status"].clone()).ok());
        let now = status::of(&self.subject, record.as_deref(), cx.direction());
        let changed = record.is_some() && !cx.is_dry() && told.as_ref() != Some(&now);
        Ok(Seen {
            protected: self.subject.cluster.spec.deletion_protection,
            status: changed.then(|| Box::new(now)),
            record,
            diff,
        })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<Change> {
        let status = seen.status.iter().map(|status| Change::Status(status.clone()));
        match (direction, &seen.record) {
            (Direction::Absent, _) if self.late && seen.protected => Verdict::blocked(
                format!("cluster `{}` is protected against deletion", self.subject.names().cluster()),
                "set `deletionProtection: false` in its document and apply that first",
            ),
            (Direction::Absent, Some(record)) if self.late && !is_going(record) => {
                Verdict::from_changes(status.collect())
            }
            (Direction::Absent, Some(record)) if !self.late && !is_going(record) => {
                Verdict::Change(vec![Change::Delete(self.subject.names().base().to_owned())])
            }
            (Direction::Absent, _) => Verdict::InSync,
            (Direction::Present, None) if !self.late => {
                let planned = PlannedChange::new(Self::EARLY, self.title(), ChangeClass::Creates);
                Verdict::Change(vec![Change::Write(planned)])
            }
            (Direction::Present, None) => Verdict::InSync,
            (Direction::Present, Some(_)) => {
                let mut changes = Vec::new();
                if !self.late && !seen.diff.is_empty() {
                    let planned = PlannedChange::new(Self::EARLY, self.title(), ChangeClass::InPlace);
                    changes.push(Change::Write(PlannedChange { fields: fields(&seen.diff), ..planned }));
                }
                changes.extend(status);
                Verdict::from_changes(changes)
            }
        }
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        let (plane, names) = (&self.subject.plane, self.subject.names());
        match change {
            // Not forced: who has changed the resource by other means is told to whom the fields belong.
            Change::Write(_) => plane.apply_unless_owned(&self.desired()).await,
            Change::Status(status) => plane.write_status(&Kind::WORKLOAD_CLUSTER, names, status).await,
            Change::Delete(name) => plane.delete(&Kind::WORKLOAD_CLUSTER, names.namespace(), name).await,
        }
    }
}

/// The label selector for a fleet's records.
#[must_use]
pub fn selector(fleet: &str) -> String {
    format!("{}={fleet}", names::FLEET_LABEL)
}
