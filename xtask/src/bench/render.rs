//! From documents to Cluster API objects: one cluster in a process of its own beside `clusterctl generate cluster`
//! of the same shape, and 2,000 clusters in one process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Figure, median, timed};
use crate::real::bed::Bed;
use crate::run::{cargo, output, target, visibly};

const RUNS: usize = 41;
const MANY: &str = "2000";

const DOCUMENTS: [(&str, &str); 2] = [
    (
        "fleet.yaml",
        "apiVersion: capstan.dev/v1alpha1\nkind: Fleet\nmetadata: {name: bench}\nspec: {management: {runtime: existing}}\n",
    ),
    (
        "web.yaml",
        "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {name: web}\nspec:\n  kubernetes: {version: v1.36.2}\n  \
         controlPlane: {replicas: 1}\n  nodeGroups: [{name: default, replicas: 1}]\n",
    ),
];

/// The whole program is beside the point here: an example renders, from the same library.
pub(super) fn run(_: &Path) -> Result<Vec<Figure>> {
    visibly(&mut cargo([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "capstan-clusters",
        "--example",
        "render",
    ]))?;
    let binary = target().join("release/examples/render");
    let folder = target().join("bench/render");
    std::fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for (name, text) in DOCUMENTS {
        let file = folder.join(name);
        std::fs::write(&file, text)?;
        files.push(file);
    }

    let generate = clusterctl(&folder);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(timed(Command::new(&binary).args(&files))?);
        if let Some(generate) = &generate {
            theirs.push(timed(&mut generate())?);
        }
    }
    let mut one =
        Figure::new("rendering one cluster, whole process", median(ours.clone()), "ms").at_most(10.0);
    one.ratio = (!theirs.is_empty()).then(|| ratio(ours, theirs));
    let many = output(Command::new(&binary).args(["--count", MANY]))?;
    let many: Value = serde_json::from_str(&many)?;
    let many = many["renderAndDiffMs"].as_f64().context("no time in the answer")?;
    let memory =
        Figure::new("rendering one cluster, memory at most", memory(&binary, &files)?, "MiB").at_most(16.0);
    let many =
        Figure::new(format!("render and diff of {MANY} clusters in one process"), many, "ms").at_most(1000.0);
    Ok(vec![one, memory, many])
}

fn ratio(ours: Vec<Duration>, theirs: Vec<Duration>) -> (f64, String) {
    let theirs = median(theirs);
    (median(ours) / theirs, format!("`clusterctl generate cluster` ({theirs:.1} ms)"))
}

/// The most memory that a run held, in MiB; the program tells it at its end.
fn memory(binary: &Path, files: &[PathBuf]) -> Result<f64> {
    let ended = Command::new(binary).args(files).output()?;
    let text = String::from_utf8_lossy(&ended.stderr);
    let kibibytes = text.split_whitespace().next().context("it tells no memory")?;
    Ok(kibibytes.parse::<f64>()? / 1024.0)
}

/// `clusterctl generate cluster` with upstream's template of the same shape, if the test bed has been built.
fn clusterctl(folder: &Path) -> Option<impl Fn() -> Command> {
    let program = Bed::new().state.join("bin/clusterctl");
    let version = program.exists().then(|| Bed::new().version("CAPO")).flatten()?;
    let module = format!("sigs.k8s.io/cluster-api-provider-openstack@{version}");
    let told = output(
        Command::new("go").args(["mod", "download", "-json", &module]).current_dir(std::env::temp_dir()),
    )
    .ok()?;
    let told: Value = serde_json::from_str(&told).ok()?;
    let template = Path::new(told["Dir"].as_str()?).join("templates/cluster-template.yaml");
    let config = folder.join("clusterctl.yaml");
    let variables = [
        "OPENSTACK_CLOUD_CACERT_B64: eA==",
        "OPENSTACK_CLOUD_YAML_B64: eA==",
        "OPENSTACK_CLOUD: openstack",
        "OPENSTACK_CONTROL_PLANE_MACHINE_FLAVOR: SCS-2V-4-20s",
        "OPENSTACK_NODE_MACHINE_FLAVOR: SCS-2V-4-20s",
        "OPENSTACK_DNS_NAMESERVERS: 192.0.2.53",
        "OPENSTACK_EXTERNAL_NETWORK_ID: 6a8a1a4e-3b1c-4b0e-8a57-6f3a5d1f2c11",
        "OPENSTACK_FAILURE_DOMAIN: nova",
        "OPENSTACK_IMAGE_NAME: ubuntu-2404-kube-v1.36.2",
        "OPENSTACK_SSH_KEY_NAME: bed",
        "CLUSTER_TOPOLOGY: \"true\"",
    ];
    std::fs::write(&config, variables.join("\n") + "\n").ok()?;
    Some(move || {
        let mut command = Command::new(&program);
        command.args([
            "generate",
            "cluster",
            "web",
            "--target-namespace",
            "bench",
            "--kubernetes-version",
            "v1.36.2",
        ]);
        command
            .args(["--control-plane-machine-count", "1", "--worker-machine-count", "1", "--config"])
            .arg(&config);
        command.arg("--from").arg(&template).env("CLUSTERCTL_DISABLE_VERSIONCHECK", "true");
        command
    })
}
