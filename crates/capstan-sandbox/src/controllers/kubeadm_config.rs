//! The kubeadm bootstrap provider's `KubeadmConfig` controller: the Secret with a server's user data.

use std::time::Duration;

use serde_json::json;

use super::conditions::{self, Condition};
use super::machine;
use super::openstack_server::encoded;
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _, controller_reference};

const MANAGER: &str = "manager";
const RETRY: Duration = Duration::from_secs(30);

pub(super) fn reconcile(scope: &Scope<'_>, config: &Object) -> Next {
    if config.is_deleting() || config.flag("status.initialization.dataSecretCreated") {
        return Next::Done;
    }
    let Some(machine) = machine::owner_of(scope, config) else { return Next::Done };
    let Some(cluster) = scope.cluster_of(&machine) else { return Next::Done };
    if !cluster.flag("status.initialization.infrastructureProvisioned") {
        return wait(
            scope,
            "NotAvailable",
            "Waiting for Cluster status.initialization.infrastructureProvisioned to be true",
        );
    }
    let first = machine::is_control_plane(&machine) && !cluster.is_condition_true("ControlPlaneInitialized");
    if !first && !cluster.is_condition_true("ControlPlaneInitialized") {
        return wait(scope, "NotAvailable", "Waiting for Cluster control plane to be initialized");
    }
    if first {
        // The lock of the first control plane machine: another one has to wait.
        let others =
            scope.machines(cluster.name(), |m| machine::is_control_plane(m) && m.name() != machine.name());
        if others.iter().any(|other| other.text_at("spec.bootstrap.dataSecretName").is_some()) {
            return wait(scope, "NotAvailable", "Waiting for Cluster control plane to be initialized");
        }
    }
    let data = user_data(config, &machine, first);
    let secret = json!({"metadata": {"name": scope.name, "namespace": scope.namespace, "labels": {CLUSTER_NAME: cluster.name()},
            "ownerReferences": [controller_reference(config)]},
        "type": "cluster.x-k8s.io/secret", "data": {"value": encoded(&data), "format": encoded("cloud-config")}});
    scope.create("secrets", MANAGER, secret);
    scope.update(MANAGER, |config| {
        let name = config.name().to_owned();
        config.set("status.dataSecretName", name);
        config.set("status.initialization.dataSecretCreated", true);
        for (kind, reason) in
            [("CertificatesAvailable", "Available"), ("DataSecretAvailable", "Available"), ("Ready", "Ready")]
        {
            conditions::set(config, &Condition::yes(kind, reason), &scope.now);
        }
    });
    Next::Done
}

fn wait(scope: &Scope<'_>, reason: &str, message: &str) -> Next {
    scope.update(MANAGER, |config| {
        conditions::set(config, &Condition::no("DataSecretAvailable", reason, message), &scope.now);
        conditions::set(
            config,
            &Condition::no("Ready", "NotReady", format!("* DataSecretAvailable: {message}")),
            &scope.now,
        );
    });
    Next::Look(RETRY)
}

/// The cloud-init data in outline: the files and commands of the configuration around the `kubeadm` line.
fn user_data(config: &Object, machine: &Object, first: bool) -> String {
    let line = if first {
        "kubeadm init --config /run/kubeadm/kubeadm.yaml"
    } else {
        "kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml"
    };
    let content =
        config.at(if first { "spec.initConfiguration" } else { "spec.joinConfiguration" }).to_string();
    let path = line.rsplit(' ').next().unwrap_or_default();
    let mut files = config.items("spec.files").to_vec();
    files.push(json!({"path": path, "owner": "root:root", "permissions": "0640", "content": content}));
    let mut commands: Vec<String> = Vec::new();
    for field in ["spec.preKubeadmCommands", "", "spec.postKubeadmCommands"] {
        if field.is_empty() {
            commands.push(format!("{line}  && echo success > /run/cluster-api/bootstrap-success.complete"));
        } else {
            commands.extend(config.items(field).iter().filter_map(|c| c.as_str()).map(str::to_owned));
        }
    }
    let body =
        json!({"write_files": files, "runcmd": commands, "kubernetes_version": machine.text("spec.version")});
    format!("## template: jinja\n#cloud-config\n{body}\n")
}
