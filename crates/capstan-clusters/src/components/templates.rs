//! Templates that nothing refers to any more are removed: each change of a machine has left one.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::{DynamicObject, Kind};

use super::{is_going, is_ours};
use crate::failure;
use crate::subject::Subject;

/// See the module.
pub struct Templates(pub Arc<Subject>);

/// What exists.
pub struct Seen {
    /// Templates that nothing refers to.
    unused: Vec<(Kind, String)>,
    /// A server group that goes first: the template is what proves it to be the cluster's.
    server_group: Option<String>,
    /// A template that only a `MachineSet` without machines refers to, which Cluster API is about to remove.
    leaving: Option<String>,
}

/// What can be done about templates.
#[derive(Debug)]
pub enum Change {
    /// Delete one.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        let Self::Delete { kind, name } = self;
        PlannedChange::new(Templates::NAME, format!("{kind} {name}"), ChangeClass::Deletes)
            .because("nothing refers to it any more")
    }
}

impl Templates {
    pub(crate) const NAME: &'static str = "templates";

    /// Names of templates that are wanted, or that a control plane or node group refers to.
    fn used(&self) -> BTreeSet<String> {
        let wanted = self.0.objects();
        let wanted =
            wanted.iter().flat_map(|objects| objects.iter()).map(|object| object["metadata"]["name"].clone());
        let wanted: Vec<_> = wanted.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        wanted
            .into_iter()
            .chain(self.referred(&[Kind::KUBEADM_CONTROL_PLANE, Kind::MACHINE_DEPLOYMENT]))
            .collect()
    }

    /// Names of the templates that objects of these kinds refer to.
    fn referred(&self, kinds: &[Kind]) -> BTreeSet<String> {
        let names = kinds.iter().flat_map(|kind| self.0.list(kind)).flat_map(|owner| {
            let spec = &owner.data["spec"];
            [
                spec["machineTemplate"]["spec"]["infrastructureRef"]["name"].clone(),
                spec["template"]["spec"]["infrastructureRef"]["name"].clone(),
                spec["template"]["spec"]["bootstrap"]["configRef"]["name"].clone(),
            ]
        });
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }
}

#[async_trait]
impl Component for Templates {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        &[super::machines::Machines::NAME, super::objects::ClusterObjects::NODE_GROUPS]
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        let none = Seen { unused: vec![], server_group: None, leaving: None };
        // Without the facts nobody knows which templates are wanted; and deleting the cluster takes them along.
        if cx.direction() == Direction::Absent || self.0.facts.get().is_none() {
            return Ok(none);
        }
        let used = self.used();
        let of_sets = self.referred(&[Kind::MACHINE_SET]);
        let (leaving, unused): (Vec<_>, Vec<_>) =
            [Kind::OPENSTACK_MACHINE_TEMPLATE, Kind::KUBEADM_CONFIG_TEMPLATE]
                .iter()
                .flat_map(|kind| self.0.list(kind).into_iter().map(move |object| (kind.clone(), object)))
                .filter(|(_, object)| is_ours(&self.0, object) && !is_going(object))
                .filter(|(_, object)| object.metadata.name.as_ref().is_some_and(|name| !used.contains(name)))
                .partition(|(_, object)| {
                    object.metadata.name.as_ref().is_some_and(|name| of_sets.contains(name))
                });
        let kept = self.0.list(&Kind::OPENSTACK_MACHINE_TEMPLATE).into_iter().filter(|template| {
            template.metadata.name.as_ref().is_some_and(|name| used.contains(name) || of_sets.contains(name))
        });
        let kept: BTreeSet<_> = kept.filter_map(|template| server_group(&template)).collect();
        let orphaned: Vec<_> = unused
            .iter()
            .filter_map(|(_, template)| server_group(template))
            .filter(|group| !kept.contains(group))
            .collect();
        let mut first = None;
        if !orphaned.is_empty() {
            // Members leave a group when their servers go, which the kept list doesn't know yet.
            self.0.project.forget_server_groups().await;
            let groups = self.0.project.server_groups().await.map_err(failure::openstack)?;
            first = orphaned.into_iter().find(|name| groups.iter().any(|group| group.name == *name));
        }
        let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
        Ok(Seen {
            unused: unused.iter().map(|(kind, object)| (kind.clone(), name(object))).collect(),
            server_group: first,
            leaving: leaving.first().map(|(_, object)| name(object)),
        })
    }

    fn plan(&self, _: Direction, seen: &Seen) -> Verdict<Change> {
        if let Some(group) = &seen.server_group {
            return Verdict::waiting(format!("server group `{group}` to be empty and deleted"), 2);
        }
        let delete =
            |(kind, name): &(Kind, String)| Change::Delete { kind: kind.clone(), name: name.clone() };
        match (&seen.leaving, seen.unused.is_empty()) {
            (Some(template), true) => {
                Verdict::waiting(format!("the last MachineSet of template `{template}` to be removed"), 5)
            }
            _ => Verdict::from_changes(seen.unused.iter().map(delete).collect()),
        }
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        let Change::Delete { kind, name } = change;
        self.0.plane.delete(kind, self.0.namespace(), name).await
    }
}

/// The server group that a machine template refers to by name.
pub(super) fn server_group(template: &Arc<DynamicObject>) -> Option<String> {
    let name = &template.data["spec"]["template"]["spec"]["serverGroup"]["filter"]["name"];
    name.as_str().map(str::to_owned)
}
