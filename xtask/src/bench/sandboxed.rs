//! The binary's own sandbox as a process, and a fleet folder beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::run::{output, pause, target};

/// Ends with this value.
pub(super) struct Sandboxed {
    child: Child,
    binary: PathBuf,
    folder: PathBuf,
}

impl Sandboxed {
    /// Starts one at full speed and waits until it has said where it is.
    pub(super) fn start(binary: &Path, name: &str) -> Result<Self> {
        let folder = target().join("bench").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(folder.join("clusters"))?;
        let child = Command::new(binary)
            .args(["sandbox", "--speed", "max"])
            .arg(folder.join("sandbox"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start the sandbox")?;
        let sandbox = Self { child, binary: binary.to_path_buf(), folder };
        let begin = Instant::now();
        while !sandbox.kubeconfig().exists() {
            ensure!(begin.elapsed() < Duration::from_secs(10), "the sandbox does not come up");
            pause(Duration::from_millis(2));
        }
        Ok(sandbox)
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("sandbox/kubeconfig")
    }

    pub(super) fn clouds(&self) -> PathBuf {
        self.folder.join("sandbox/clouds.yaml")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a fleet with so many clusters of one control plane and one worker.
    pub(super) fn write_fleet(&self, clusters: usize) -> Result<()> {
        let mut fleet =
            String::from("apiVersion: capstan.dev/v1alpha1\nkind: Fleet\nmetadata: {name: bench}\nspec:\n");
        writeln!(fleet, "  cloud: {{name: sandbox}}\n  management:\n    runtime: existing")?;
        writeln!(fleet, "    kubeconfig: {{path: {}}}", self.kubeconfig().display())?;
        std::fs::write(self.folder.join("fleet.yaml"), fleet)?;
        for number in 0..clusters {
            let text = format!(
                "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: c{number}}}\nspec:\n  \
                 kubernetes: {{version: v1.36.2}}\n  network: {{nodeCidr: 10.{number}.0.0/20, podCidrs: [172.16.0.0/16], \
                 serviceCidrs: [172.17.0.0/16]}}\n  controlPlane: {{replicas: 1}}\n  nodeGroups: [{{name: default, replicas: 1}}]\n"
            );
            std::fs::write(self.folder.join(format!("clusters/c{number}.yaml")), text)?;
        }
        Ok(())
    }

    /// The binary with this sandbox and this fleet.
    pub(super) fn capstan(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--fleet").arg(&self.folder).args(arguments);
        command.env("OS_CLIENT_CONFIG_FILE", self.clouds()).stdin(Stdio::null());
        command
    }

    /// Runs it and insists on success.
    pub(super) fn expect(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.capstan(arguments))
    }
}

impl Drop for Sandboxed {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
