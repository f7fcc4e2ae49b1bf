//! What happens on the machines: kubeadm, the kubelet's `Node`, and what the OpenStack cloud controller manager adds to it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::queue::Origin;
use super::scope::{Next, Scope};
use super::{ids, machine};
use crate::kubernetes::Workload;
use crate::kubernetes::api::ApiServer;
use crate::kubernetes::object::{Object, Read as _, Write as _};

/// From an ACTIVE server to a running API server: cloud-init and `kubeadm init` (21 s were measured).
const INIT: Duration = Duration::from_secs(21);
/// The same for a further control plane.
const JOIN_CONTROL_PLANE: Duration = Duration::from_secs(25);
/// The same for a worker.
const JOIN: Duration = Duration::from_secs(12);
/// From a server that stopped to a node that is noticed (46 s were measured).
const NOTICED: Duration = Duration::from_secs(46);

/// How soon kubeadm tries again to join a cluster that it doesn't reach.
const RETRY: Duration = Duration::from_secs(5);

const KUBELET: &str = "kubelet";
pub(super) const CLOUD_CONTROLLER: &str = "openstack-cloud-controller-manager";
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// The Node of a machine; registered once its server has had the time to start it.
pub(super) fn of_machine(
    scope: &Scope<'_>,
    machine: &Object,
    cluster: &Object,
    infrastructure: Option<&Object>,
) -> (Option<Arc<Object>>, Next) {
    let kubernetes = scope.world.kubernetes();
    let workload = kubernetes.workload(&scope.namespace, cluster.name());
    let name = infrastructure.map_or(machine.name(), Object::name).to_owned();
    if let Some(workload) = &workload
        && let Some(node) = workload.server.get("nodes", "", &name)
    {
        let next = infrastructure
            .map_or(Next::Done, |infrastructure| heartbeat(scope, workload, &node, infrastructure));
        return (workload.server.get("nodes", "", &name), next);
    }
    let Some(infrastructure) = infrastructure.filter(|i| i.flag("status.ready")) else {
        return (None, Next::Done);
    };
    if machine.at("status.nodeRef").is_object() {
        return (None, Next::Done);
    }
    if scope.world.faults().lacks_node(machine.name()) {
        return (None, Next::Done);
    }
    if workload.as_ref().is_some_and(|workload| workload.down) {
        return (None, Next::Look(RETRY));
    }
    let control_plane = machine::is_control_plane(machine);
    let reachable = workload.as_ref().is_some_and(|workload| workload.reachable);
    let takes = match (control_plane, reachable) {
        (true, false) => INIT,
        (true, true) => JOIN_CONTROL_PLANE,
        (false, true) => JOIN,
        (false, false) => return (None, Next::Done),
    };
    let since = infrastructure.condition("InstanceReady").map_or("", |c| c.text("lastTransitionTime"));
    let left = takes.saturating_sub(age(scope, since));
    if !left.is_zero() {
        return (None, Next::Act(left));
    }
    let version = version_of(infrastructure, machine);
    let workload = kubernetes.make_workload(&scope.namespace, cluster.name(), &version);
    if control_plane && !reachable {
        initialise(cluster, &workload.server, &version);
        kubernetes.with_workload(&scope.namespace, cluster.name(), |workload| workload.reachable = true);
    }
    register(scope, &workload.server, machine, infrastructure, &version);
    (workload.server.get("nodes", "", &name), Next::Done)
}

/// How long ago a moment was.
fn age(scope: &Scope<'_>, since: &str) -> Duration {
    let since = since.parse::<Timestamp>().unwrap_or(Timestamp::MIN);
    Duration::try_from(scope.world.now().duration_since(since)).unwrap_or_default()
}

/// The Kubernetes version of a server is that of its image; the name of the image tells it, else the machine does.
fn version_of(infrastructure: &Object, machine: &Object) -> String {
    let image = infrastructure
        .text_at("spec.image.filter.name")
        .unwrap_or(infrastructure.text("spec.image.imageRef.name"));
    let version =
        image.rfind("v1.").map(|at| &image[at..]).filter(|version| version.matches('.').count() == 2);
    version.unwrap_or(machine.text("spec.version")).to_owned()
}

/// What `kubeadm init` leaves in a cluster.
fn initialise(cluster: &Object, server: &ApiServer, version: &str) {
    let configuration = format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: {}\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n",
        cluster.name()
    );
    let map = json!({"metadata": {"name": "kubeadm-config", "namespace": "kube-system"}, "data": {"ClusterConfiguration": configuration}});
    server.seed("configmaps", map);
    let labels = json!({"k8s-app": "kube-dns"});
    let coredns = json!({"metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.14.1"}]}}}});
    server.seed("deployments.apps", coredns);
    let labels = json!({"k8s-app": "kube-proxy"});
    let proxy = json!({"metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "kube-proxy", "image": format!("registry.k8s.io/kube-proxy:{version}")}]}}}});
    server.seed("daemonsets.apps", proxy);
}

/// The kubelet registers its node.
fn register(scope: &Scope<'_>, server: &ApiServer, machine: &Object, infrastructure: &Object, version: &str) {
    let name = infrastructure.name();
    let mut labels =
        json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
    let mut taints = vec![json!({"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"})];
    if machine::is_control_plane(machine) {
        labels["node-role.kubernetes.io/control-plane"] = "".into();
        taints.push(json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}));
    }
    // What Cluster API copies from a Machine to its Node.
    for (key, value) in machine.entries("metadata.labels") {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        if domain == "node-role.kubernetes.io"
            || domain.ends_with("node-restriction.kubernetes.io")
            || domain.ends_with("node.cluster.x-k8s.io")
        {
            labels[key] = value.clone();
        }
    }
    let config = scope.get(ids::KUBEADM_CONFIGS, machine.text("spec.bootstrap.configRef.name"));
    if let Some(config) = &config {
        let registration = config.at("spec.joinConfiguration.nodeRegistration");
        taints.extend(registration.items("taints").iter().cloned());
        let argument =
            registration.items("kubeletExtraArgs").iter().find(|a| a.text("name") == "node-labels");
        for pair in argument.map_or("", |a| a.text("value")).split(',') {
            if let Some((key, value)) = pair.split_once('=') {
                labels[key] = value.into();
            }
        }
    }
    let annotations = json!({"cluster.x-k8s.io/cluster-name": machine.text("spec.clusterName"),
        "cluster.x-k8s.io/cluster-namespace": scope.namespace, "cluster.x-k8s.io/machine": machine.name()});
    let mut node = json!({"metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"providerID": infrastructure.at("spec.providerID"), "taints": taints},
        "status": {"nodeInfo": {"kubeletVersion": version, "kubeProxyVersion": version, "osImage": "Ubuntu 24.04.3 LTS",
            "operatingSystem": "linux", "architecture": "amd64", "containerRuntimeVersion": "containerd://2.2.1",
            "kernelVersion": "6.8.0-88-generic", "machineID": "", "systemUUID": infrastructure.at("status.instanceID"), "bootID": ""},
            "addresses": [{"type": "Hostname", "address": name}], "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"}}});
    set_ready(&mut node, true, &scope.now);
    server.seed("nodes", node);
}

fn set_ready(node: &mut Object, ready: bool, now: &str) {
    let condition = if ready {
        Condition::yes("Ready", "KubeletReady").message("kubelet is posting ready status")
    } else {
        Condition::unknown("Ready", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    };
    conditions::set(node, &condition, now);
}

/// A node is ready while its server runs.
fn heartbeat(scope: &Scope<'_>, workload: &Workload, node: &Object, infrastructure: &Object) -> Next {
    let server = scope.get(ids::OPENSTACK_SERVERS, infrastructure.name());
    let Some(server) = server.filter(|server| !server.is_deleting()) else { return Next::Done };
    let runs = server.text("status.instanceState") == "ACTIVE" && server.is_condition_true("InstanceReady");
    if runs == node.is_condition_true("Ready") {
        return Next::Done;
    }
    if !runs {
        let since = server.condition("InstanceReady").map_or("", |c| c.text("lastTransitionTime"));
        let left = NOTICED.saturating_sub(age(scope, since));
        if !left.is_zero() {
            return Next::Act(left);
        }
    }
    workload.server.modify("nodes", "", node.name(), KUBELET, |node| set_ready(node, runs, &scope.now));
    Next::Done
}

/// A machine is gone: its Node goes, and with the last control plane the API.
pub(super) fn remove(scope: &Scope<'_>, cluster: &Object, workload: &Workload, node: &str) {
    workload.server.delete("nodes", "", node);
    let control_planes = workload.server.list("nodes", "").into_iter();
    let left =
        control_planes.filter(|node| node.label("node-role.kubernetes.io/control-plane").is_some()).count();
    if left == 0 {
        scope
            .world
            .kubernetes()
            .with_workload(&scope.namespace, cluster.name(), |workload| workload.reachable = false);
    }
}

/// Whether a cloud controller manager runs in a cluster.
pub(super) fn has_cloud_controller(scope: &Scope<'_>, server: &ApiServer) -> bool {
    scope.world.config().assume_cloud_controller
        || server.get("daemonsets.apps", "kube-system", CLOUD_CONTROLLER).is_some()
}

/// The workload cluster that a change was in.
pub(super) fn workload_of(scope: &Scope<'_>) -> Option<(Workload, Arc<Object>)> {
    let Origin::Workload(namespace, name) = &scope.origin else { return None };
    let workload = scope.world.kubernetes().workload(namespace, name)?;
    let cluster = scope.server.get(ids::CLUSTERS, namespace, name)?;
    Some((workload, cluster))
}

/// The cloud controller manager initialises a node: addresses, zone, flavor; the taint goes.
pub(super) fn reconcile(scope: &Scope<'_>) -> Next {
    let Some((workload, cluster)) = workload_of(scope) else { return Next::Done };
    let Some(node) = workload.server.get("nodes", "", &scope.name) else { return Next::Done };
    let tainted = node.items("spec.taints").iter().any(|taint| taint.text("key") == UNINITIALIZED);
    if !tainted || !has_cloud_controller(scope, &workload.server) {
        return Next::Done;
    }
    let Some(infrastructure) = scope.server.get(ids::OPENSTACK_MACHINES, cluster.namespace(), &scope.name)
    else {
        return Next::Done;
    };
    let server = scope.server.get(ids::OPENSTACK_SERVERS, cluster.namespace(), &scope.name);
    let zone = server.as_ref().and_then(|s| s.text_at("spec.availabilityZone")).unwrap_or("nova").to_owned();
    let flavor = infrastructure.text("spec.flavor").to_owned();
    workload.server.modify("nodes", "", &scope.name, CLOUD_CONTROLLER, |node| {
        node.list_mut("spec.taints").retain(|taint| taint.text("key") != UNINITIALIZED);
        for prefix in ["topology.kubernetes.io", "failure-domain.beta.kubernetes.io"] {
            node.set_entry("metadata.labels", &format!("{prefix}/zone"), zone.clone());
            node.set_entry("metadata.labels", &format!("{prefix}/region"), "RegionOne");
        }
        node.set_entry("metadata.labels", "node.kubernetes.io/instance-type", flavor.clone());
        let known = |address: &&Value| matches!(address.text("type"), "InternalIP" | "ExternalIP");
        let mut addresses: Vec<Value> =
            infrastructure.items("status.addresses").iter().filter(known).cloned().collect();
        addresses.push(json!({"type": "Hostname", "address": scope.name}));
        node.set("status.addresses", addresses);
    });
    Next::Done
}
