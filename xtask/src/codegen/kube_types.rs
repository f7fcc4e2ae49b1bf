//! The types of `capstan-kube-types`, written by kopium from the CRDs of the Go modules that the test bed builds.
//!
//! What Capstan never sets or reads is taken out of the schema first, because each struct costs compile time
//! everywhere: cluster topology (ClusterClass), bastions, and the v1beta1 shadow under `status.deprecated`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::{installed, output};

const CLUSTER_API: &str = "sigs.k8s.io/cluster-api@v1.14.2";
const OPENSTACK_PROVIDER: &str = "sigs.k8s.io/cluster-api-provider-openstack@v0.14.7";
const KOPIUM: &str = "kopium 0.24.1";

/// Where one type comes from.
struct Source {
    module: &'static str,
    crd: &'static str,
    version: &'static str,
    /// Properties of the schema that are left out, as paths below its root.
    without: &'static [&'static str],
}

/// The text of the module `name` (`cluster`, `machine`, …).
pub(super) fn make(name: &str) -> Result<String> {
    require_programs()?;
    let source = source(name)?;
    let crd = module_folder(source.module)?.join(source.crd);
    let text = std::fs::read_to_string(&crd).with_context(|| format!("read {}", crd.display()))?;
    let mut schema: Value =
        serde_saphyr::from_str(&text).with_context(|| format!("read {}", crd.display()))?;
    leave_out(&mut schema, source.version, source.without)?;

    let trimmed = std::env::temp_dir().join(format!("capstan-codegen-{}-{name}.json", std::process::id()));
    std::fs::write(&trimmed, serde_json::to_vec(&schema)?)?;
    let made = kopium(&trimmed, source.version);
    std::fs::remove_file(&trimmed)?;
    Ok(format!("{}\n{}", header(&source), body(&made?)))
}

fn source(name: &str) -> Result<Source> {
    let core = |crd, without| Source { module: CLUSTER_API, crd, version: "v1beta2", without };
    let openstack = |crd, without| Source { module: OPENSTACK_PROVIDER, crd, version: "v1beta1", without };
    Ok(match name {
        "cluster" => core(
            "core/config/crd/bases/cluster.x-k8s.io_clusters.yaml",
            &["spec/topology", "status/deprecated"],
        ),
        "machine" => core("core/config/crd/bases/cluster.x-k8s.io_machines.yaml", &["status/deprecated"]),
        "machine_set" => {
            core("core/config/crd/bases/cluster.x-k8s.io_machinesets.yaml", &["status/deprecated"])
        }
        "machine_deployment" => {
            core("core/config/crd/bases/cluster.x-k8s.io_machinedeployments.yaml", &["status/deprecated"])
        }
        "machine_health_check" => {
            core("core/config/crd/bases/cluster.x-k8s.io_machinehealthchecks.yaml", &["status/deprecated"])
        }
        "kubeadm_control_plane" => core(
            "controlplane/kubeadm/config/crd/bases/controlplane.cluster.x-k8s.io_kubeadmcontrolplanes.yaml",
            &["status/deprecated"],
        ),
        "kubeadm_config_template" => core(
            "bootstrap/kubeadm/config/crd/bases/bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml",
            &[],
        ),
        "openstack_cluster" => openstack(
            "config/crd/bases/infrastructure.cluster.x-k8s.io_openstackclusters.yaml",
            &["spec/bastion", "status/bastion"],
        ),
        "openstack_machine" => openstack(
            "config/crd/bases/infrastructure.cluster.x-k8s.io_openstackmachines.yaml",
            &["status/resolved"],
        ),
        "openstack_machine_template" => {
            openstack("config/crd/bases/infrastructure.cluster.x-k8s.io_openstackmachinetemplates.yaml", &[])
        }
        other => bail!("no CRD is known for `{other}`"),
    })
}

fn require_programs() -> Result<()> {
    if !installed("go", "version") {
        bail!("Go is missing: it downloads the modules that hold the CRDs");
    }
    if !installed("kopium", "--version") {
        bail!("kopium is missing: cargo install kopium --locked");
    }
    let version = output(Command::new("kopium").arg("--version"))?;
    if version.trim() != KOPIUM {
        bail!("`{}` would write other text than {KOPIUM}", version.trim());
    }
    Ok(())
}

/// The folder in Go's module cache; downloads the module when it isn't there.
fn module_folder(module: &str) -> Result<PathBuf> {
    let told = output(
        Command::new("go").args(["mod", "download", "-json", module]).current_dir(std::env::temp_dir()),
    )?;
    let told: Value = serde_json::from_str(&told)?;
    let folder = told["Dir"].as_str().with_context(|| format!("go tells no folder of {module}"))?;
    Ok(PathBuf::from(folder))
}

/// Takes properties out of the schema of one version; a path that isn't there is an error, because then the CRD
/// has changed and this table is old.
fn leave_out(crd: &mut Value, version: &str, without: &[&str]) -> Result<()> {
    let versions = crd["spec"]["versions"].as_array_mut().context("the CRD has no versions")?;
    let schema = versions
        .iter_mut()
        .find(|candidate| candidate["name"] == version)
        .with_context(|| format!("the CRD has no version `{version}`"))?;
    for path in without {
        let (parent, property) = path.rsplit_once('/').unwrap_or(("", path));
        let mut node = &mut schema["schema"]["openAPIV3Schema"];
        for step in parent.split('/').filter(|step| !step.is_empty()) {
            node = &mut node["properties"][step];
        }
        let removed = node["properties"].as_object_mut().and_then(|properties| properties.remove(property));
        if removed.is_none() {
            bail!("the CRD has no `{path}` to leave out");
        }
    }
    Ok(())
}

fn kopium(crd: &Path, version: &str) -> Result<String> {
    output(
        Command::new("kopium")
            .args(["--docs", "--derive", "Default", "--derive", "PartialEq", "--api-version", version, "-f"])
            .arg(crd),
    )
}

fn header(source: &Source) -> String {
    let mut text = format!(
        "// Generated by `cargo xtask codegen` with {KOPIUM}; do not edit.\n// {} of {}, {}.\n",
        source.crd, source.module, source.version
    );
    if !source.without.is_empty() {
        text.push_str(&format!("// Left out: {}.\n", source.without.join(", ")));
    }
    text
}

/// Kopium's text without its own header (it names a file of this machine), and with a default for each enum
/// (kopium derives none): its first value, as a required string would be empty.
fn body(made: &str) -> String {
    let mut text = String::with_capacity(made.len());
    let mut lines = made.lines().skip_while(|line| line.starts_with("//") || line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let enum_follows = lines.peek().is_some_and(|next| next.starts_with("pub enum "));
        if enum_follows && line.starts_with("#[derive(") && !line.contains("Default") {
            text.push_str(&line.replace("Debug,", "Debug, Default,"));
        } else {
            text.push_str(line.trim_end());
        }
        text.push('\n');
        if line.starts_with("pub enum ") {
            text.push_str("    #[default]\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_enum_gets_a_default_and_the_header_goes() {
        let made = "// WARNING\n// kopium command: /tmp/x\n\n#[derive(Serialize, Clone, Debug, PartialEq)]\npub enum A {\n    B,\n}\n";
        assert_eq!(
            body(made),
            "#[derive(Serialize, Clone, Debug, Default, PartialEq)]\npub enum A {\n    #[default]\n    B,\n}\n"
        );
    }

    #[test]
    fn what_is_left_out_must_have_been_there() {
        let mut crd = serde_json::json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
            "properties": {"spec": {"properties": {"a": {}, "b": {}}}}}}}]}});
        leave_out(&mut crd, "v1", &["spec/a"]).unwrap();
        assert_eq!(
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"],
            serde_json::json!({"properties": {"b": {}}})
        );
        assert!(leave_out(&mut crd, "v1", &["spec/a"]).is_err());
        assert!(leave_out(&mut crd, "v2", &[]).is_err());
    }
}
