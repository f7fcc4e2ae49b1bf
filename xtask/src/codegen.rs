//! `cargo xtask codegen`: files that programs write and people only read. Each names the function that makes it;
//! the same function tells whether the committed file is current.

mod kube_types;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::repository;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only tell whether the files are current.
    #[arg(long)]
    check: bool,
}

/// A generated file: where it lies, and what it has to hold.
struct Generated {
    path: &'static str,
    make: fn() -> Result<String>,
}

#[rustfmt::skip]
const FILES: &[Generated] = &[
    Generated { path: "crates/capstan-kube-types/src/cluster.rs", make: || kube_types::make("cluster") },
    Generated { path: "crates/capstan-kube-types/src/kubeadm_config_template.rs", make: || kube_types::make("kubeadm_config_template") },
    Generated { path: "crates/capstan-kube-types/src/kubeadm_control_plane.rs", make: || kube_types::make("kubeadm_control_plane") },
    Generated { path: "crates/capstan-kube-types/src/machine.rs", make: || kube_types::make("machine") },
    Generated { path: "crates/capstan-kube-types/src/machine_deployment.rs", make: || kube_types::make("machine_deployment") },
    Generated { path: "crates/capstan-kube-types/src/machine_health_check.rs", make: || kube_types::make("machine_health_check") },
    Generated { path: "crates/capstan-kube-types/src/machine_set.rs", make: || kube_types::make("machine_set") },
    Generated { path: "crates/capstan-kube-types/src/openstack_cluster.rs", make: || kube_types::make("openstack_cluster") },
    Generated { path: "crates/capstan-kube-types/src/openstack_machine.rs", make: || kube_types::make("openstack_machine") },
    Generated { path: "crates/capstan-kube-types/src/openstack_machine_template.rs", make: || kube_types::make("openstack_machine_template") },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check();
    }
    for file in FILES {
        let path = repository().join(file.path);
        let text = (file.make)().with_context(|| format!("make {}", file.path))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| format!("write {}", file.path))?;
        println!("{}", file.path);
    }
    Ok(())
}

/// Fails with the names of the files that `cargo xtask codegen` would change.
pub(crate) fn check() -> Result<()> {
    stale(&repository(), FILES)
}

fn stale(root: &Path, files: &[Generated]) -> Result<()> {
    let mut stale = Vec::new();
    for file in files {
        let made = (file.make)().with_context(|| format!("make {}", file.path))?;
        if std::fs::read_to_string(root.join(file.path)).ok().as_deref() != Some(&made) {
            stale.push(file.path);
        }
    }
    if !stale.is_empty() {
        bail!("not current, run `cargo xtask codegen`: {}", stale.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_or_is_missing_is_stale() {
        let root = std::env::temp_dir().join(format!("capstan-codegen-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let files = [
            Generated { path: "current", make: || Ok("1".into()) },
            Generated { path: "old", make: || Ok("2".into()) },
            Generated { path: "missing", make: || Ok("3".into()) },
        ];
        std::fs::write(root.join("current"), "1").unwrap();
        std::fs::write(root.join("old"), "1").unwrap();
        let error = stale(&root, &files).unwrap_err().to_string();
        std::fs::remove_dir_all(&root).unwrap();
        assert!(error.ends_with(": old, missing"), "{error}");
    }
}
