//! The Cluster API objects: rendered, compared, applied by server-side apply, deleted with the cluster.
//!
//! Three components share this file's code: the cluster itself, its control plane, its node groups. The first is what
//! everything hangs on; the last waits for the second when Kubernetes is upgraded.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, FieldChange, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::diff::{Diff, diff};
use capstan_kube::{DynamicObject, Kind};
use serde_json::Value;

use super::{is_going, is_ours};
use crate::classify;
use crate::control_plane;
use crate::diagnosis;
use crate::subject::Subject;

/// The kinds of objects that hold nothing but what the cluster's other objects refer to, in the order of deleting.
const OWN_KINDS: [Kind; 7] = [
    Kind::CLUSTER,
    Kind::MACHINE_HEALTH_CHECK,
    Kind::MACHINE_DEPLOYMENT,
    Kind::KUBEADM_CONTROL_PLANE,
    Kind::OPENSTACK_CLUSTER,
    Kind::OPENSTACK_MACHINE_TEMPLATE,
    Kind::KUBEADM_CONFIG_TEMPLATE,
];

/// See the module.
pub struct ClusterObjects {
    subject: Arc<Subject>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Cluster,
    ControlPlane,
    NodeGroups,
}

/// What exists.
pub struct Seen {
    /// Absent while the facts are not known.
    wanted: Option<Vec<Compared>>,
    /// Objects of ours that the document doesn't want any more.
    unwanted: Vec<Arc<DynamicObject>>,
    /// Machine deployments of which machines may not be changed yet, and why.
    held: Option<String>,
    /// Objects of ours of every kind, to be deleted.
    own: Vec<(Kind, Arc<DynamicObject>)>,
    dry: bool,
}

/// A wanted object beside the one that is there.
pub(crate) struct Compared {
    pub(crate) desired: Value,
    pub(crate) live: Option<Arc<DynamicObject>>,
    pub(crate) diff: Diff,
}

/// What can be done about an object.
#[derive(Debug)]
pub enum Change {
    /// Make it as wanted.
    Apply {
        /// The whole object.
        desired: Box<Value>,
        /// What that means.
        planned: PlannedChange,
    },
    /// Delete it.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// What that means.
        planned: PlannedChange,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        match self {
            Self::Apply { planned, .. } | Self::Delete { planned, .. } => planned.clone(),
        }
    }
}

impl ClusterObjects {
    pub(crate) const CLUSTER: &'static str = "cluster";
    pub(crate) const CONTROL_PLANE: &'static str = "control plane";
    pub(crate) const NODE_GROUPS: &'static str = "node groups";

    /// `Cluster` and `OpenStackCluster`.
    #[must_use]
    pub const fn cluster(subject: Arc<Subject>) -> Self {
        Self { subject, stage: Stage::Cluster }
    }

    /// `KubeadmControlPlane` with its template and health check.
    #[must_use]
    pub const fn control_plane(subject: Arc<Subject>) -> Self {
        Self { subject, stage: Stage::ControlPlane }
    }

    /// `MachineDeployment`s with their templates and health checks.
    #[must_use]
    pub const fn node_groups(subject: Arc<Subject>) -> Self {
        Self { subject, stage: Stage::NodeGroups }
    }

    fn compare(&self, desired: Value) -> Compared {
        let live = Kind::of(&desired).and_then(|kind| {
            self.subject.get(&kind, desired["metadata"]["name"].as_str().unwrap_or_default())
        });
        let value = live.as_deref().and_then(|live| serde_json::to_value(live).ok());
        let diff = value.map(|value| diff(&desired, &value)).unwrap_or_default();
        Compared { desired, live, diff }
    }

    /// Node groups and health checks that are there and not wanted any more.
    fn unwanted(&self, wanted: &[Value]) -> Vec<Arc<DynamicObject>> {
        if self.stage != Stage::NodeGroups {
            return vec![];
        }
        let is_wanted = |kind: &Kind, object: &DynamicObject| {
            wanted.iter().any(|desired| {
                desired["kind"] == kind.kind.as_ref()
                    && desired["metadata"]["name"].as_str() == object.metadata.name.as_deref()
            })
        };
        [Kind::MACHINE_HEALTH_CHECK, Kind::MACHINE_DEPLOYMENT]
            .iter()
            .flat_map(|kind| self.subject.list(kind).into_iter().map(move |object| (kind, object)))
            .filter(|(kind, object)| {
                is_ours(&self.subject, object) && !is_going(object) && !is_wanted(kind, object)
            })
            .map(|(_, object)| object)
            .collect()
    }

    fn change(&self, compared: &Compared) -> Option<Change> {
        let planned = match &compared.live {
            None => PlannedChange::new(self.name(), classify::title(&compared.desired), ChangeClass::Creates),
            Some(live) if !compared.diff.is_empty() => {
                classify::change(&self.subject, self.name(), compared, live)
            }
            Some(_) => return None,
        };
        Some(Change::Apply { desired: Box::new(compared.desired.clone()), planned })
    }

    fn present(&self, seen: &Seen) -> Verdict<Change> {
        let Some(wanted) = &seen.wanted else {
            return Verdict::waiting("preflight to find out what the cloud has", 10);
        };
        let foreign = wanted
            .iter()
            .filter_map(|compared| compared.live.as_ref())
            .find(|live| !is_ours(&self.subject, live));
        if let Some(foreign) = foreign {
            let name = foreign.metadata.name.as_deref().unwrap_or_default();
            return Verdict::blocked(
                format!("`{name}` in namespace `{}` was not made by this fleet", self.subject.namespace()),
                "give the cluster another name, or label the object with the fleet and cluster to have it adopted",
            );
        }
        let going = wanted.iter().filter_map(|compared| compared.live.as_ref()).find(|live| is_going(live));
        if let Some(going) = going {
            let name = going.metadata.name.as_deref().unwrap_or_default();
            return Verdict::waiting(format!("`{name}` to be gone, which is being deleted"), 10);
        }
        let (held, free): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|compared| seen.held.is_some() && classify::moves_kubelet(compared));
        let mut changes: Vec<_> = free.iter().filter_map(|compared| self.change(compared)).collect();
        if seen.dry {
            changes.extend(held.iter().filter_map(|compared| self.change(compared)));
        }
        changes.extend(seen.unwanted.iter().map(|object| self.delete(object)));
        let refusals: Vec<_> =
            changes.iter().filter_map(|change| classify::refusal(&change.describe())).collect();
        if !refusals.is_empty() && !seen.dry {
            return Verdict::blocked(
                refusals.join("\n"),
                "nothing of it was changed; `plan` shows the fields",
            );
        }
        match (&seen.held, changes.is_empty()) {
            (Some(on), true) if !held.is_empty() => Verdict::waiting(on.clone(), 15),
            _ => Verdict::from_changes(changes),
        }
    }

    /// The cluster goes as a whole: Cluster API deletes what belongs to it in its own order. What a half-made one has
    /// left beside it is deleted object by object.
    fn absent(&self, seen: &Seen) -> Verdict<Change> {
        if self.stage != Stage::Cluster {
            return Verdict::InSync;
        }
        let cluster = seen.own.iter().find(|(kind, _)| *kind == Kind::CLUSTER);
        match cluster {
            Some((_, cluster)) if is_going(cluster) => {
                Verdict::waiting(diagnosis::deleting(&self.subject), 15)
            }
            Some((kind, cluster)) => Verdict::Change(vec![delete_of(self.name(), kind, cluster)]),
            None => {
                let (going, staying): (Vec<_>, Vec<_>) =
                    seen.own.iter().partition(|(_, object)| is_going(object));
                if staying.is_empty() && !going.is_empty() {
                    return Verdict::waiting(diagnosis::deleting(&self.subject), 15);
                }
                Verdict::from_changes(
                    staying.into_iter().map(|(kind, object)| delete_of(self.name(), kind, object)).collect(),
                )
            }
        }
    }

    fn delete(&self, object: &DynamicObject) -> Change {
        let kind = serde_json::to_value(object).ok().and_then(|value| Kind::of(&value));
        delete_of(self.name(), &kind.unwrap_or(Kind::MACHINE_DEPLOYMENT), object)
    }
}

/// Deleting an object, with what goes with it.
fn delete_of(component: &str, kind: &Kind, object: &DynamicObject) -> Change {
    let name = object.metadata.name.clone().unwrap_or_default();
    let machines = object.data["status"]["replicas"].as_u64().unwrap_or_default();
    let class = match kind.kind.as_ref() {
        "Cluster" => ChangeClass::Destroys { data: vec!["everything that runs in the cluster".to_owned()] },
        "MachineDeployment" if machines > 0 => {
            ChangeClass::Destroys { data: vec![format!("the local disks of {machines} machines")] }
        }
        _ => ChangeClass::Deletes,
    };
    let planned = PlannedChange::new(component, format!("{kind} {name}"), class);
    Change::Delete { kind: kind.clone(), name, planned }
}

#[async_trait]
impl Component for ClusterObjects {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        match self.stage {
            Stage::Cluster => Self::CLUSTER,
            Stage::ControlPlane => Self::CONTROL_PLANE,
            Stage::NodeGroups => Self::NODE_GROUPS,
        }
    }

    fn after(&self) -> &'static [&'static str] {
        match self.stage {
            Stage::Cluster => &[
                super::credential::Credential::NAME,
                super::image::NodeImage::NAME,
                super::server_groups::ServerGroups::NAME,
                super::leftovers::Leftovers::NAME,
            ],
            Stage::ControlPlane => &[Self::CLUSTER],
            Stage::NodeGroups => &[Self::CONTROL_PLANE],
        }
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        let objects = self.subject.objects();
        let unwanted = match &objects {
            Some(objects) => self.unwanted(&objects.iter().cloned().collect::<Vec<_>>()),
            None => vec![],
        };
        let wanted = objects.map(|objects| {
            let objects = match self.stage {
                Stage::Cluster => objects.cluster,
                Stage::ControlPlane => objects.control_plane,
                Stage::NodeGroups => objects.node_groups,
            };
            objects.into_iter().map(|desired| self.compare(desired)).collect()
        });
        let held = match self.stage {
            Stage::NodeGroups => control_plane::behind(&self.subject),
            Stage::Cluster | Stage::ControlPlane => None,
        };
        let own = OWN_KINDS
            .iter()
            .flat_map(|kind| self.subject.list(kind).into_iter().map(move |object| (kind.clone(), object)))
            .filter(|(_, object)| is_ours(&self.subject, object))
            .collect();
        Ok(Seen { wanted, unwanted, held, own, dry: cx.is_dry() })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<Change> {
        match direction {
            Direction::Present => self.present(seen),
            Direction::Absent => self.absent(seen),
        }
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        match change {
            Change::Apply { desired, .. } => self.subject.plane.apply(desired).await,
            Change::Delete { kind, name, .. } => {
                self.subject.plane.delete(kind, self.subject.namespace(), name).await
            }
        }
    }
}

/// The fields of a difference, for the plan.
pub(crate) fn fields(diff: &Diff) -> Vec<FieldChange> {
    let text = |value: &Option<Value>| {
        value.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let changed = diff.fields.iter().map(|field| FieldChange {
        path: field.path.clone(),
        from: text(&field.live),
        to: text(&field.desired),
    });
    let removed = diff.removed.iter().map(|path| FieldChange { path: path.clone(), from: None, to: None });
    changed.chain(removed).collect()
}
