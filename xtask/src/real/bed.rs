//! The test bed: where it lies, how it starts, and commands inside of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::{output, repository, visibly};

/// The two parts of `testbed/`, and where they keep their state.
pub(crate) struct Bed {
    scripts: PathBuf,
    /// State of the management plane and of the machines.
    pub state: PathBuf,
    /// State of the OpenStack.
    pub openstack: PathBuf,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let folder = |variable, default| {
            std::env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        Self {
            scripts: repository().join("testbed"),
            state: folder("MANAGEMENT_BED_DIR", "/var/tmp/management-bed"),
            openstack: folder("OPENSTACK_REAL_DIR", "/var/tmp/openstack-real"),
        }
    }

    /// Builds what is missing and starts what is not running; every part is quick when it has nothing to do.
    pub(crate) fn up(&self) -> Result<()> {
        ensure!(
            output(Command::new("id").arg("-u"))?.trim() == "0",
            "the test bed makes network namespaces: it needs root"
        );
        for (what, script, arguments) in [
            ("OpenStack", "openstack/up.sh", &[][..]),
            ("programs", "management/build.sh", &["core"][..]),
            ("management plane", "management/up.sh", &[]),
            ("images, quotas, credential", "management/seed.sh", &[]),
        ] {
            let begin = Instant::now();
            visibly(Command::new(self.scripts.join(script)).args(arguments))
                .with_context(|| what.to_owned())?;
            println!("bed: {what} in {:.0} s", begin.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Stops it; the state is kept.
    pub(crate) fn down(&self) -> Result<()> {
        visibly(&mut Command::new(self.scripts.join("management/down.sh")))?;
        visibly(&mut Command::new(self.scripts.join("openstack/down.sh")))
    }

    /// Stops a service of the OpenStack and starts it again.
    pub(crate) fn restart(&self, service: &str) -> Result<()> {
        output(Command::new(self.scripts.join("openstack/restart.sh")).arg(service)).map(drop)
    }

    /// The address of the management plane's API server in the bed.
    pub(crate) fn management_address(&self) -> Result<String> {
        let kubeconfig = self.kubeconfig();
        let text =
            std::fs::read_to_string(&kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
        let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://"));
        let server = server.with_context(|| format!("no server in {}", kubeconfig.display()))?;
        Ok(server.split(':').next().unwrap_or(server).to_owned())
    }

    /// A version of `versions.sh`.
    pub(crate) fn version(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.scripts.join("management/versions.sh")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        line.split_whitespace().next().map(str::to_owned)
    }

    /// `clouds.yaml` with the clouds `capi` and `admin`.
    pub(crate) fn clouds(&self) -> PathBuf {
        self.openstack.join("clouds.yaml")
    }

    /// The kubeconfig of the management plane, as seen from inside.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// A command in the bed's network, where floating addresses and the management plane are reachable.
    pub(crate) fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(self.scripts.join("management/inside.sh"));
        command.arg(program);
        command
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        output(self.inside("kubectl").args(arguments))
    }

    /// `kubectl get … --output=json`.
    pub(crate) fn get(&self, arguments: &[&str]) -> Result<Value> {
        let text = output(self.inside("kubectl").arg("get").args(arguments).arg("--output=json"))?;
        serde_json::from_str(&text)
            .with_context(|| format!("read what `kubectl get {}` printed", arguments.join(" ")))
    }

    /// The items of a list of one or several kinds in a namespace; none when the namespace is not there.
    pub(crate) fn list(&self, kinds: &str, namespace: &str) -> Result<Vec<Value>> {
        let mut list = self.get(&[kinds, "--namespace", namespace])?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => anyhow::bail!("`kubectl get {kinds}` printed {other} instead of a list"),
        }
    }

    /// What `clusterctl describe cluster` says.
    pub(crate) fn describe(&self, namespace: &str, cluster: &str) -> Result<String> {
        output(self.inside("clusterctl").args([
            "describe",
            "cluster",
            cluster,
            "--namespace",
            namespace,
            "--color=false",
        ]))
    }

    /// Installs the OpenStack cloud controller manager with the cluster's own credential.
    pub(crate) fn install_cloud_controller(&self, namespace: &str, cluster: &str) -> Result<()> {
        let secret = format!("{cluster}-cloud-config");
        let template = "--output=go-template={{index .data \"clouds.yaml\" | base64decode}}";
        let clouds = self.kubectl(&["get", "secret", &secret, "--namespace", namespace, template])?;
        let file = self.state.join(format!("{cluster}.clouds.yaml"));
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?
            .write_all(clouds.as_bytes())?;
        let mut install = Command::new(self.scripts.join("management/addons.sh"));
        install.arg(cluster).env("NAMESPACE", namespace).env("ADDONS", "occm").env("CLOUD_CONFIG", &file);
        output(&mut install).map(drop)
    }
}

/// Looks again and again until `ready` is true, at most so long.
pub(crate) fn wait(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begin = Instant::now();
    loop {
        if ready().with_context(|| what.to_owned())? {
            return Ok(begin.elapsed());
        }
        ensure!(begin.elapsed() < limit, "{what}: not within {} s", limit.as_secs());
        crate::run::pause(Duration::from_millis(300));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_when_it_is_ready_or_too_late() {
        let mut looks = 0;
        let ready = wait("third look", Duration::from_secs(60), || {
            looks += 1;
            Ok(looks == 3)
        });
        assert!(ready.is_ok());
        let late = wait("never", Duration::ZERO, || Ok(false)).unwrap_err().to_string();
        assert_eq!(late, "never: not within 0 s");
    }
}
