//! The fleet folder of the run: what a user would write.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::bed::Bed;

pub(super) const FLEET: &str = "real";
pub(super) const OLD: &str = "v1.36.2";
pub(super) const NEW: &str = "v1.36.3";
pub(super) const SMALL: &str = "SCS-2V-4-20s";
pub(super) const LARGE: &str = "SCS-4V-8-20";

/// What a cluster is to look like.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub name: &'static str,
    pub version: &'static str,
    pub control_planes: u64,
    pub groups: Vec<Group>,
    /// Clusters of one project may share a range; the run gives each its own, so that logs can be told apart.
    pub node_cidr: &'static str,
}

/// A node group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub name: &'static str,
    pub replicas: u64,
    pub flavor: &'static str,
}

impl Shape {
    /// One control plane and one worker.
    pub(super) fn small(name: &'static str, node_cidr: &'static str) -> Self {
        let groups = vec![Group { name: "blue", replicas: 1, flavor: SMALL }];
        Self { name, version: OLD, control_planes: 1, groups, node_cidr }
    }

    /// The namespace, the name of the Cluster object and the prefix of everything in OpenStack.
    pub(super) fn full_name(&self) -> String {
        format!("{FLEET}-{}", self.name)
    }

    pub(super) fn workers(&self) -> u64 {
        self.groups.iter().map(|group| group.replicas).sum()
    }

    fn document(&self) -> String {
        let Self { name, version, control_planes, node_cidr, .. } = self;
        // Three fake hypervisors: a rollout of three control planes needs room for a fourth on one of them.
        let mut text = format!(
            "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: {name}}}\nspec:\n  \
             kubernetes: {{version: {version}}}\n  network: {{nodeCidr: {node_cidr}}}\n  \
             controlPlane: {{replicas: {control_planes}, flavor: {SMALL}, antiAffinity: soft}}\n  nodeGroups:\n"
        );
        for Group { name, replicas, flavor } in &self.groups {
            let _ = writeln!(
                text,
                "  - {{name: {name}, replicas: {replicas}, flavor: {flavor}, antiAffinity: soft}}"
            );
        }
        text
    }
}

/// Writes `fleet.yaml`, and forgets clusters of an earlier run.
pub(super) fn write_fleet(folder: &Path, bed: &Bed) -> Result<()> {
    let clusters = folder.join("clusters");
    if clusters.exists() {
        std::fs::remove_dir_all(&clusters)?;
    }
    std::fs::create_dir_all(&clusters)?;
    let kubeconfig = bed.kubeconfig();
    let text = format!(
        "apiVersion: capstan.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: {FLEET}}}\nspec:\n  cloud: {{name: capi}}\n  \
         management:\n    runtime: existing\n    kubeconfig: {{path: {}}}\n  network: {{external: ext}}\n  defaults:\n    \
         image: {{name: \"ubuntu-2404-kube-{{version}}\"}}\n    sshKeyName: bed\n    network: {{dnsServers: [192.0.2.53]}}\n",
        kubeconfig.display()
    );
    let file = folder.join("fleet.yaml");
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("clusters").join(format!("{name}.yaml"))
}

/// Writes or changes the document of a cluster.
pub(super) fn write_cluster(folder: &Path, shape: &Shape) -> Result<()> {
    write_document(folder, shape.name, &shape.document())
}

/// Writes or changes the document of a cluster that is no [`Shape`].
pub(super) fn write_document(folder: &Path, name: &str, document: &str) -> Result<()> {
    let file = file(folder, name);
    std::fs::write(&file, document).with_context(|| format!("write {}", file.display()))
}

/// Takes the document of a cluster out of the folder again.
pub(super) fn forget_cluster(folder: &Path, name: &str) -> Result<()> {
    match std::fs::remove_file(file(folder, name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_yaml_with_every_group() {
        let mut shape = Shape::small("web", "10.8.0.0/20");
        shape.groups.push(Group { name: "red", replicas: 2, flavor: LARGE });
        assert_eq!(shape.workers(), 3);
        let document: serde_json::Value = serde_saphyr::from_str(&shape.document()).unwrap();
        assert_eq!(document["spec"]["nodeGroups"][1]["flavor"], LARGE);
        assert_eq!(document["spec"]["network"]["nodeCidr"], "10.8.0.0/20");
    }
}
