//! Server groups: which machines may share a hypervisor.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::documents::AntiAffinity;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::Kind;
use capstan_openstack::compute::{Policy, ServerGroup};

use crate::failure;
use crate::subject::Subject;

/// See the module. Nova's server groups have no tags, so the name and the cluster's machine templates that refer to it
/// are the proof; names start with fleet and cluster.
pub struct ServerGroups(pub Arc<Subject>);

/// What exists.
pub struct Seen {
    groups: Vec<ServerGroup>,
    /// Names of the server groups that machine templates of the cluster refer to.
    referred: BTreeSet<String>,
}

/// What can be done about server groups.
#[derive(Debug)]
pub enum Change {
    /// Make one.
    Create {
        /// Its name.
        name: String,
        /// How its servers are placed.
        policy: Policy,
    },
    /// Delete one.
    Delete {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        match self {
            Self::Create { name, policy } => {
                PlannedChange::new(ServerGroups::NAME, format!("server group {name}"), ChangeClass::Creates)
                    .because(policy.as_str())
            }
            Self::Delete { name, .. } => {
                PlannedChange::new(ServerGroups::NAME, format!("server group {name}"), ChangeClass::Deletes)
            }
        }
    }
}

impl ServerGroups {
    pub(crate) const NAME: &'static str = "server groups";

    /// The wanted groups: one for the control plane and one for each node group that wants anti-affinity.
    fn wanted(&self) -> Vec<(String, Policy)> {
        let spec = &self.0.cluster.spec;
        let groups = spec
            .node_groups
            .iter()
            .map(|group| (self.0.names().node_group(&group.name), group.anti_affinity));
        std::iter::once((self.0.names().control_plane(), spec.control_plane.anti_affinity))
            .chain(groups)
            .filter_map(|(name, anti_affinity)| Some((name, policy(anti_affinity)?)))
            .collect()
    }

    /// Every name that a group of this cluster can have, now or before a change of the document.
    fn is_own_name(&self, seen: &Seen, name: &str) -> bool {
        let documented = self.wanted().iter().any(|(wanted, _)| wanted == name);
        documented || seen.referred.contains(name) || name == self.0.names().control_plane()
    }
}

const fn policy(anti_affinity: AntiAffinity) -> Option<Policy> {
    match anti_affinity {
        AntiAffinity::Hard => Some(Policy::AntiAffinity),
        AntiAffinity::Soft => Some(Policy::SoftAntiAffinity),
        AntiAffinity::None => None,
    }
}

#[async_trait]
impl Component for ServerGroups {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        &[super::namespace::Namespace::NAME]
    }

    async fn observe(&self, _: &StepCx) -> Result<Seen, Failure> {
        let groups = self.0.project.server_groups().await.map_err(failure::openstack)?;
        let prefix = format!("{}-", self.0.names().base());
        let referred = self
            .0
            .list(&Kind::OPENSTACK_MACHINE_TEMPLATE)
            .iter()
            .filter_map(super::templates::server_group)
            .collect();
        Ok(Seen {
            groups: groups.iter().filter(|group| group.name.starts_with(&prefix)).cloned().collect(),
            referred,
        })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<Change> {
        if direction == Direction::Absent {
            let mine = seen.groups.iter().filter(|group| self.is_own_name(seen, &group.name));
            let deletes = mine.map(|group| Change::Delete { name: group.name.clone(), id: group.id.clone() });
            return Verdict::from_changes(deletes.collect());
        }
        let mut changes = Vec::new();
        for (name, policy) in self.wanted() {
            let found: Vec<_> = seen.groups.iter().filter(|group| group.name == name).collect();
            match found[..] {
                [] => changes.push(Change::Create { name, policy }),
                [group] if group.policy() == Some(policy) => {}
                [group] if group.members.is_empty() => {
                    changes.push(Change::Delete { name: group.name.clone(), id: group.id.clone() });
                    changes.push(Change::Create { name, policy });
                }
                [group] => {
                    return Verdict::blocked(
                        format!(
                            "server group `{name}` is `{}` and has servers; Nova cannot change it to `{}`",
                            group.policy().map_or("of an unknown policy", Policy::as_str),
                            policy.as_str()
                        ),
                        "take `antiAffinity` back, or move the workload to a node group of another name",
                    );
                }
                // The answer to a create was lost, or two made it at once: an unused twin goes.
                _ => match found.iter().find(|group| group.members.is_empty()) {
                    Some(twin) => changes.push(Change::Delete { name, id: twin.id.clone() }),
                    None => {
                        return Verdict::blocked(
                            format!(
                                "there are {} server groups `{name}`, and all of them have servers",
                                found.len()
                            ),
                            "delete all but one of them",
                        );
                    }
                },
            }
        }
        // A group that the document no longer wants goes when its last server has gone.
        let unwanted = seen.groups.iter().filter(|group| {
            let wanted = self.wanted().iter().any(|(name, _)| *name == group.name);
            seen.referred.contains(&group.name) && !wanted && group.members.is_empty()
        });
        changes
            .extend(unwanted.map(|group| Change::Delete { name: group.name.clone(), id: group.id.clone() }));
        Verdict::from_changes(changes)
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        let compute = self.0.project.cloud().compute().map_err(failure::openstack)?;
        let done = match change {
            Change::Create { name, policy } => compute.create_server_group(name, *policy).await.map(drop),
            Change::Delete { id, .. } => compute.delete_server_group(id).await,
        };
        self.0.project.forget_server_groups().await;
        done.map_err(failure::openstack)
    }
}
