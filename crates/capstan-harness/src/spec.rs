//! What is wanted of the cluster, and the changes that a user makes to it.

use std::fmt;

use crate::chance::Chance;

/// A cluster's specification, as far as the harness changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub(crate) version: &'static str,
    pub(crate) control_plane: u32,
    pub(crate) groups: Vec<Group>,
    pub(crate) allowed: Option<&'static str>,
    /// The node image comes from the fleet's folder.
    pub(crate) own_image: bool,
    pub(crate) node_cidr: Option<&'static str>,
}

/// A group of workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) replicas: u32,
    pub(crate) flavor: &'static str,
    pub(crate) label: Option<&'static str>,
    pub(crate) tainted: bool,
    pub(crate) metadata: Option<&'static str>,
    pub(crate) anti_affinity: &'static str,
}

const SMALL: &str = "SCS-2V-4-20s";
const LARGE: &str = "SCS-4V-8-20";
/// The releases that the sandbox has images of, oldest first.
const RELEASES: [&str; 3] = ["v1.36.1", "v1.36.2", "v1.36.3"];

impl Group {
    const fn new(name: &'static str, replicas: u32) -> Self {
        Self {
            name,
            replicas,
            flavor: SMALL,
            label: None,
            tainted: false,
            metadata: None,
            anti_affinity: "soft",
        }
    }
}

impl Spec {
    /// The smallest cluster: one control plane machine, one worker.
    #[must_use]
    pub fn small() -> Self {
        Self {
            version: "v1.36.2",
            control_plane: 1,
            groups: vec![Group::new("default", 1)],
            allowed: None,
            own_image: false,
            node_cidr: None,
        }
    }

    /// Any cluster that is cheap enough to be made often.
    pub(crate) fn any(chance: &Chance) -> Self {
        let mut spec = Self::small();
        spec.version = chance.one_of(&RELEASES[..2]);
        spec.control_plane = chance.one_of(&[1, 1, 1, 3]);
        spec.own_image = chance.percent(10);
        spec.groups[0].replicas = chance.one_of(&[0, 1, 1, 2]);
        spec.groups[0].anti_affinity = chance.one_of(&["soft", "soft", "none", "hard"]);
        spec
    }

    /// How many machines it has.
    pub(crate) fn machines(&self) -> u32 {
        self.control_plane + self.groups.iter().map(|group| group.replicas).sum::<u32>()
    }

    /// How many server groups it has.
    pub(crate) fn server_groups(&self) -> usize {
        1 + self.groups.iter().filter(|group| group.anti_affinity != "none").count()
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, control_plane, .. } = self;
        write!(f, "{{kubernetes: {{version: {version}}}, controlPlane: {{replicas: {control_plane}}}")?;
        if let Some(cidr) = self.allowed {
            write!(f, ", api: {{allowedCidrs: [{cidr}]}}")?;
        }
        if let Some(cidr) = self.node_cidr {
            write!(f, ", network: {{nodeCidr: {cidr}}}")?;
        }
        if self.own_image {
            write!(
                f,
                ", image: {{name: 'mine-{{version}}', source: node.raw, sha256: {IMAGE_SUM}, format: raw}}"
            )?;
        }
        let groups: Vec<_> = self.groups.iter().map(ToString::to_string).collect();
        write!(f, ", nodeGroups: [{}]}}", groups.join(", "))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, replicas, flavor, anti_affinity, .. } = self;
        write!(f, "{{name: {name}, replicas: {replicas}, flavor: {flavor}, antiAffinity: {anti_affinity}")?;
        if let Some(label) = self.label {
            write!(f, ", labels: {{node.example.org/kind: {label}}}")?;
        }
        if self.tainted {
            write!(f, ", taints: [{{key: only, value: mine, effect: NoSchedule}}]")?;
        }
        if let Some(metadata) = self.metadata {
            write!(f, ", metadata: {{team: {metadata}}}")?;
        }
        write!(f, "}}")
    }
}

/// What the own image holds, and its SHA-256.
pub(crate) const IMAGE: &[u8] = b"abcdef";
const IMAGE_SUM: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

/// A change that a user makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One worker more.
    ScaleUp,
    /// One worker less.
    ScaleDown,
    /// Another flavor: the group is rolled.
    Flavor,
    /// A node group more.
    AddGroup,
    /// A node group less.
    RemoveGroup,
    /// Another label on the nodes.
    Label,
    /// A taint on the nodes, or none.
    Taint,
    /// Other metadata of the servers: the group is rolled.
    Metadata,
    /// Another anti-affinity.
    AntiAffinity,
    /// Who may connect to the API.
    AllowedCidrs,
    /// One control plane machine, or three.
    ControlPlane,
    /// The next release.
    Upgrade,
    /// An image of the fleet's own, or the published one: everything is rolled.
    Image,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::ScaleUp,
        Self::ScaleDown,
        Self::Flavor,
        Self::AddGroup,
        Self::RemoveGroup,
        Self::Label,
        Self::Taint,
        Self::Metadata,
        Self::AntiAffinity,
        Self::AllowedCidrs,
        Self::ControlPlane,
        Self::Upgrade,
        Self::Image,
    ];

    /// The specification after the change.
    #[must_use]
    pub fn of(self, before: &Spec) -> Spec {
        let mut spec = before.clone();
        match self {
            Self::AddGroup if spec.groups.len() == 1 => spec.groups.push(Group::new("more", 1)),
            Self::RemoveGroup => spec.groups.truncate(1),
            Self::AllowedCidrs => {
                spec.allowed = if spec.allowed.is_some() { None } else { Some("198.51.100.0/24") };
            }
            Self::ControlPlane => spec.control_plane = if spec.control_plane == 1 { 3 } else { 1 },
            Self::Upgrade => {
                let next = RELEASES.iter().skip_while(|release| **release != spec.version).nth(1);
                spec.version = next.copied().unwrap_or(spec.version);
            }
            Self::Image => spec.own_image = !spec.own_image,
            _ => {
                if let Some(group) = spec.groups.last_mut() {
                    self.of_group(group);
                }
            }
        }
        spec
    }

    fn of_group(self, group: &mut Group) {
        match self {
            Self::ScaleUp => group.replicas = (group.replicas + 1).min(3),
            Self::ScaleDown => group.replicas = group.replicas.saturating_sub(1),
            Self::Flavor => group.flavor = if group.flavor == SMALL { LARGE } else { SMALL },
            Self::Label => {
                group.label = match group.label {
                    None => Some("one"),
                    Some("one") => Some("two"),
                    Some(_) => None,
                };
            }
            Self::Taint => group.tainted = !group.tainted,
            Self::Metadata => group.metadata = if group.metadata.is_some() { None } else { Some("red") },
            Self::AntiAffinity if group.replicas == 0 => {
                group.anti_affinity = if group.anti_affinity == "soft" { "hard" } else { "soft" };
            }
            _ => {}
        }
    }
}
