//! The `KubeadmControlPlane` controller: one machine first, then one after another, and never two at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::ids;
use super::openstack_server::encoded;
use super::replicas::{self, Blueprint, Counts};
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _, controller_reference};
use crate::kubernetes::write_kubeconfig;

const FINALIZER: &str = "kubeadm.controlplane.cluster.x-k8s.io";
const MANAGER: &str = "capi-kubeadmcontrolplane";
const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
const CONTROL_PLANE_NAME: &str = "cluster.x-k8s.io/control-plane-name";
const CLUSTER_CONFIGURATION: &str = "controlplane.cluster.x-k8s.io/kubeadm-cluster-configuration";

/// While the control plane is not as healthy as the next step needs it.
const UNHEALTHY: Duration = Duration::from_secs(15);
/// While machines are being deleted.
const DELETING: Duration = Duration::from_secs(30);

/// Why etcd is not reached without the addresses that the cloud controller manager gives to nodes.
const NO_ADDRESS: &str = "Failed to connect to etcd: error upgrading connection: no preferred addresses found; the Node has no InternalIP address";

/// A control plane with its machines.
struct Plane<'s, 'w> {
    scope: &'s Scope<'w>,
    object: &'s Object,
    cluster: Arc<Object>,
    /// Its machines, oldest first.
    machines: Vec<Arc<Object>>,
    /// Why machines are not as they should be, by name.
    outdated: BTreeMap<String, Vec<String>>,
}

pub(super) fn reconcile(scope: &Scope<'_>, object: &Object) -> Next {
    let owner = object.items("metadata.ownerReferences").iter().find(|owner| owner.text("kind") == "Cluster");
    let Some(cluster) = owner.and_then(|owner| scope.get(ids::CLUSTERS, owner.text("name"))) else {
        return Next::Done;
    };
    if !object.is_deleting() && !object.has_finalizer(FINALIZER) {
        scope.update(MANAGER, |object| object.add_finalizer(FINALIZER));
        return Next::Done;
    }
    let machines = scope.machines(cluster.name(), |machine| machine.is_owned_by(object.uid()));
    let mut plane = Plane { scope, object, cluster, machines, outdated: BTreeMap::new() };
    plane.find_outdated();
    let (next, blocked) = if object.is_deleting() { (plane.delete(), Vec::new()) } else { plane.advance() };
    plane.report(&blocked);
    next
}

impl Plane<'_, '_> {
    fn wanted(&self) -> i64 {
        self.object.int("spec.replicas").unwrap_or(1)
    }

    /// Compares every machine with the specification.
    fn find_outdated(&mut self) {
        let version = self.object.text("spec.version");
        let template = self.object.text("spec.machineTemplate.spec.infrastructureRef.name");
        let configuration = self.object.at("spec.kubeadmConfigSpec.clusterConfiguration").to_string();
        for machine in &self.machines {
            let mut reasons = Vec::new();
            let has = machine.text("spec.version");
            if has != version {
                reasons.push(format!("Version {has}, {version} required"));
            }
            let infrastructure =
                self.scope.get(ids::OPENSTACK_MACHINES, machine.text("spec.infrastructureRef.name"));
            let from =
                infrastructure.as_ref().and_then(|i| i.annotation("cluster.x-k8s.io/cloned-from-name"));
            if from.is_some_and(|from| from != template) {
                reasons.push("OpenStackMachine is not up-to-date".to_owned());
            }
            let config = self.scope.get(ids::KUBEADM_CONFIGS, machine.text("spec.bootstrap.configRef.name"));
            let changed = config.as_ref().is_some_and(|config| {
                !same_bootstrap(config.at("spec"), self.object.at("spec.kubeadmConfigSpec"))
            });
            if changed
                || machine.annotation(CLUSTER_CONFIGURATION).is_some_and(|known| known != configuration)
            {
                reasons.push("KubeadmConfig is not up-to-date".to_owned());
            }
            if !reasons.is_empty() {
                self.outdated.insert(machine.name().to_owned(), reasons);
            }
        }
        for machine in self.machines.iter().filter(|machine| !machine.is_deleting()) {
            let reasons = self.outdated.get(machine.name()).map_or(&[][..], Vec::as_slice);
            replicas::mark_up_to_date(self.scope, machine, MANAGER, reasons);
            self.mark_components(machine);
        }
        self.machines =
            self.scope.machines(self.cluster.name(), |machine| machine.is_owned_by(self.object.uid()));
    }

    /// Takes one step. The texts say what holds the next one up.
    fn advance(&self) -> (Next, Vec<String>) {
        let provisioned = self.cluster.flag("status.initialization.infrastructureProvisioned");
        if !provisioned || self.cluster.text_at("spec.controlPlaneEndpoint.host").is_none() {
            return (Next::Done, Vec::new());
        }
        self.make_secrets();
        let initialized = self.is_initialized();
        if self.machines.is_empty() {
            if self.wanted() > 0 {
                self.add_machine();
            }
            return (Next::Done, Vec::new());
        }
        if !initialized {
            return (Next::Done, Vec::new());
        }
        if let Some(next) = self.remediate() {
            return (next, Vec::new());
        }
        let count = i64::try_from(self.machines.len()).unwrap_or(0);
        let outdated = !self.outdated.is_empty();
        let surge = self.object.at("spec.rollout.strategy.rollingUpdate.maxSurge").as_i64().unwrap_or(1);
        let grow = count < self.wanted() || (outdated && count < self.wanted() + surge);
        let shrink = count > self.wanted() || (outdated && count >= self.wanted() + surge);
        if !grow && !shrink {
            return (Next::Done, Vec::new());
        }
        let blocked = self.blockers();
        if !blocked.is_empty() {
            return (Next::Look(UNHEALTHY), blocked);
        }
        if grow {
            self.add_machine();
        } else {
            self.remove_machine();
        }
        (Next::Done, Vec::new())
    }

    fn is_initialized(&self) -> bool {
        self.object.flag("status.initialization.controlPlaneInitialized") || self.workload().is_some()
    }

    fn workload(&self) -> Option<crate::kubernetes::Workload> {
        let workload = self.scope.world.kubernetes().workload(&self.scope.namespace, self.cluster.name())?;
        workload.answers().then_some(workload)
    }

    /// The preflight checks before the number of machines changes.
    fn blockers(&self) -> Vec<String> {
        if self.machines.iter().any(|machine| machine.is_deleting()) {
            return vec!["* waiting for a control plane Machine to complete deletion".to_owned()];
        }
        let mut blocked = Vec::new();
        let healthy = |machine: &Arc<Object>| {
            machine.at("status.nodeRef").is_object() && machine.is_condition_true("NodeHealthy")
        };
        if !self.machines.iter().all(healthy) {
            blocked.push("* waiting for control plane components to become healthy".to_owned());
        }
        // The API server reaches kubelets, and through them etcd, at the nodes' internal addresses.
        if !self.machines.iter().all(|machine| healthy(machine) && self.has_address(machine)) {
            blocked.push("* waiting for etcd cluster to become healthy".to_owned());
        }
        blocked
    }

    /// The conditions of a machine about what kubeadm runs on it.
    fn mark_components(&self, machine: &Object) {
        let up = machine.at("status.nodeRef").is_object() && machine.is_condition_true("NodeHealthy");
        let reached = up && (self.wanted() <= 1 || self.has_address(machine));
        let waiting = match machine.text_at("spec.providerID") {
            _ if !self.is_initialized() => "Waiting for Cluster control plane to be initialized".to_owned(),
            Some(id) => format!("Waiting for a Node with spec.providerID {id} to exist"),
            None => "Waiting for OpenStackMachine to report spec.providerID".to_owned(),
        };
        self.scope.server.modify(ids::MACHINES, &self.scope.namespace, machine.name(), MANAGER, |machine| {
            for kind in [
                "APIServerPodHealthy",
                "ControllerManagerPodHealthy",
                "EtcdPodHealthy",
                "SchedulerPodHealthy",
            ] {
                let condition = match up {
                    true => Condition::yes(kind, "Running"),
                    false => Condition::unknown(kind, "InspectionFailed", waiting.clone()),
                };
                conditions::set(machine, &condition, &self.scope.now);
            }
            let member = match (reached, up) {
                (true, _) => Condition::yes("EtcdMemberHealthy", "Healthy"),
                (false, true) => Condition::unknown("EtcdMemberHealthy", "InspectionFailed", NO_ADDRESS),
                (false, false) => Condition::unknown("EtcdMemberHealthy", "InspectionFailed", waiting),
            };
            conditions::set(machine, &member, &self.scope.now);
        });
    }

    fn has_address(&self, machine: &Object) -> bool {
        let node = self
            .workload()
            .and_then(|workload| workload.server.get("nodes", "", machine.text("status.nodeRef.name")));
        node.is_some_and(|node| {
            node.items("status.addresses").iter().any(|address| address.text("type") == "InternalIP")
        })
    }

    /// Replaces a machine that a health check has marked, one at a time, if the others are enough for etcd.
    fn remediate(&self) -> Option<Next> {
        let waits = |machine: &&Arc<Object>| {
            machine.condition("OwnerRemediated").is_some_and(|c| c.text("status") == "False")
                && !machine.is_deleting()
        };
        let marked = self.machines.iter().find(waits)?;
        if self.machines.len() < 3 || self.machines.iter().any(|machine| machine.is_deleting()) {
            return None;
        }
        self.scope.server.delete(ids::MACHINES, &self.scope.namespace, marked.name());
        Some(Next::Done)
    }

    /// Zones for control planes, each with the number of machines in it.
    fn zones(&self) -> BTreeMap<&str, usize> {
        let domains =
            self.cluster.items("status.failureDomains").iter().filter(|domain| domain.flag("controlPlane"));
        let mut zones: BTreeMap<&str, usize> = domains.map(|domain| (domain.text("name"), 0)).collect();
        for machine in self.machines.iter().filter(|machine| !self.outdated.contains_key(machine.name())) {
            if let Some(count) = machine.text_at("spec.failureDomain").and_then(|zone| zones.get_mut(zone)) {
                *count += 1;
            }
        }
        zones
    }

    fn add_machine(&self) {
        let zones = self.zones();
        let zone = zones.iter().min_by_key(|(_, count)| **count).map(|(zone, _)| *zone);
        let template = self.object.at("spec.machineTemplate");
        let mut labels = labels_of(template, self.object.name());
        labels[CONTROL_PLANE] = "".into();
        let configuration = self.object.at("spec.kubeadmConfigSpec.clusterConfiguration").to_string();
        let mut annotations = if template.at("metadata.annotations").is_object() {
            template.at("metadata.annotations").clone()
        } else {
            json!({})
        };
        annotations[CLUSTER_CONFIGURATION] = configuration.into();
        let mut bootstrap = self.object.at("spec.kubeadmConfigSpec").clone();
        bootstrap.unset(if self.machines.is_empty() { "joinConfiguration" } else { "initConfiguration" });
        if !self.machines.is_empty() {
            bootstrap.set("joinConfiguration.controlPlane", json!({}));
        }
        let blueprint = Blueprint {
            owner: self.object,
            manager: MANAGER,
            name: format!("{}-{}", self.object.name(), self.scope.world.ids().suffix(5)),
            labels,
            annotations,
            cluster: self.cluster.name(),
            version: self.object.text("spec.version"),
            failure_domain: zone,
            infrastructure: template.at("spec.infrastructureRef"),
            bootstrap,
            bootstrap_template: None,
            more: template.at("spec"),
        };
        blueprint.build(self.scope);
    }

    /// Outdated machines go first, among them the oldest in the fullest zone.
    fn remove_machine(&self) {
        let candidates = || {
            self.machines
                .iter()
                .filter(|machine| self.outdated.is_empty() || self.outdated.contains_key(machine.name()))
        };
        let asked =
            candidates().find(|machine| machine.annotation("cluster.x-k8s.io/delete-machine").is_some());
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        for machine in &self.machines {
            *zones.entry(machine.text("spec.failureDomain")).or_default() += 1;
        }
        let fullest =
            |machine: &&Arc<Object>| zones.get(machine.text("spec.failureDomain")).copied().unwrap_or(0);
        let most = candidates().map(|machine| fullest(&machine)).max();
        let chosen = asked.or_else(|| candidates().find(|machine| Some(fullest(machine)) == most));
        if let Some(machine) = chosen {
            self.scope.server.delete(ids::MACHINES, &self.scope.namespace, machine.name());
        }
    }

    /// Certificates and kubeconfig.
    fn make_secrets(&self) {
        let cluster = self.cluster.name();
        let secret = |suffix: &str, data: Value| {
            json!({"metadata": {"name": format!("{cluster}-{suffix}"), "namespace": self.scope.namespace, "labels": {CLUSTER_NAME: cluster},
                "ownerReferences": [controller_reference(self.object)]}, "type": "cluster.x-k8s.io/secret", "data": data})
        };
        if self.scope.get("secrets", &format!("{cluster}-kubeconfig")).is_some() {
            return;
        }
        for suffix in ["ca", "etcd", "proxy", "sa"] {
            // The sandbox speaks plain HTTP: there is nothing to certify.
            let text = encoded(&format!("the sandbox has no certificates ({suffix})\n"));
            self.scope.create("secrets", MANAGER, secret(suffix, json!({"tls.crt": text, "tls.key": text})));
        }
        let kubernetes = self.scope.world.kubernetes();
        let workload =
            kubernetes.make_workload(&self.scope.namespace, cluster, self.object.text("spec.version"));
        let path = format!("/workload/{}/{cluster}", self.scope.namespace);
        let context = format!("{cluster}-admin@{cluster}");
        let config = write_kubeconfig(cluster, self.scope.world.base_url(), &path, &workload.token, &context);
        self.scope.create("secrets", MANAGER, secret("kubeconfig", json!({"value": encoded(&config)})));
    }

    /// Waits for the workers, then for the machines.
    fn delete(&self) -> Next {
        if !self.object.has_finalizer(FINALIZER) {
            return Next::Done;
        }
        let workers =
            self.scope.machines(self.cluster.name(), |machine| machine.label(CONTROL_PLANE).is_none());
        if !workers.is_empty() {
            let names = workers
                .iter()
                .map(|machine| format!("* Machine {}", machine.name()))
                .collect::<Vec<_>>()
                .join("\n");
            self.say_deleting(
                "WaitingForWorkersDeletion",
                &format!(
                    "KubeadmControlPlane deletion blocked because following objects still exist:\n{names}"
                ),
            );
            return Next::Look(DELETING);
        }
        if self.machines.is_empty() {
            self.say_deleting("DeletionCompleted", "Deletion completed");
            self.scope.world.kubernetes().remove_workload(&self.scope.namespace, self.cluster.name());
            self.scope.update(MANAGER, |object| object.remove_finalizer(FINALIZER));
            return Next::Done;
        }
        for machine in self.machines.iter().filter(|machine| !machine.is_deleting()) {
            self.scope.server.delete(ids::MACHINES, &self.scope.namespace, machine.name());
        }
        let names: Vec<&str> = self.machines.iter().map(|machine| machine.name()).collect();
        let plural = if names.len() == 1 { "Machine" } else { "Machines" };
        self.say_deleting(
            "WaitingForMachineDeletion",
            &format!("Deleting {} {plural}: {}", names.len(), names.join(", ")),
        );
        Next::Done
    }

    fn say_deleting(&self, reason: &str, message: &str) {
        self.scope.update(MANAGER, |object| {
            conditions::set(object, &Condition::yes("Deleting", reason).message(message), &self.scope.now);
        });
    }

    /// Writes the status.
    fn report(&self, blocked: &[String]) {
        let machines =
            self.scope.machines(self.cluster.name(), |machine| machine.is_owned_by(self.object.uid()));
        let counts = Counts::of(&machines);
        let workload = self.workload();
        let initialized = self.is_initialized() && !self.machines.is_empty();
        let healthy = machines.iter().filter(|machine| machine.is_condition_true("NodeHealthy")).count();
        let addressed = self.wanted() <= 1 || machines.iter().all(|machine| self.has_address(machine));
        let wanted = self.wanted();
        let lowest = machines.iter().map(|m| m.text("spec.version")).min_by_key(|v| replicas::version(v));
        self.scope.update(MANAGER, |object| {
            counts.write(object, "status");
            let generation = object.int("metadata.generation").unwrap_or(1);
            object.set("status.observedGeneration", generation);
            object.set("status.selector", format!("{CLUSTER_NAME}={},{CONTROL_PLANE}", self.cluster.name()));
            if initialized {
                object.set("status.initialization.controlPlaneInitialized", true);
            }
            if let Some(version) = lowest {
                object.set("status.version", version);
            }
            let set = |object: &mut Object, condition: Condition| {
                conditions::set(object, &condition, &self.scope.now)
            };
            let done = object.flag("status.initialization.controlPlaneInitialized");
            set(object, Condition::is("Initialized", done, "Initialized", "NotInitialized", ""));
            set(object, Condition::is("CertificatesAvailable", true, "Available", "NotAvailable", ""));
            for condition in health(done, workload.is_some() && healthy * 2 > machines.len(), addressed) {
                set(object, condition);
            }
            set(object, replicas::about(&machines, "MachinesReady", "Ready", "Ready"));
            set(object, replicas::about(&machines, "MachinesUpToDate", "UpToDate", "UpToDate"));
            let outdated = self.outdated.len();
            let rolling = match outdated {
                0 => Condition::no("RollingOut", "NotRollingOut", ""),
                count => Condition::yes("RollingOut", "RollingOut")
                    .message(format!("Rolling out {count} not up-to-date replicas")),
            };
            set(object, rolling);
            let because = if blocked.is_empty() {
                String::new()
            } else {
                format!(" is blocked because:\n{}", blocked.join("\n"))
            };
            let now = self.scope.now.clone();
            let target = if object.is_deleting() { 0 } else { wanted };
            replicas::scaling(object, &now, counts.all, target, &because);
            set(object, Condition::no("Remediating", "NotRemediating", ""));
            set(object, Condition::no("Paused", "NotPaused", ""));
            if !object.is_deleting() {
                set(object, Condition::no("Deleting", "NotDeleting", ""));
            }
        });
    }
}

/// The conditions about etcd, the components, and whether the API is there.
fn health(done: bool, quorum: bool, addressed: bool) -> [Condition; 3] {
    let of = |kind: &'static str| {
        if !done {
            return Condition::unknown(
                kind,
                "InspectionFailed",
                "Waiting for Cluster control plane to be initialized",
            );
        }
        if !addressed && kind == "EtcdClusterHealthy" {
            return Condition::unknown(kind, "HealthUnknown", format!("* {NO_ADDRESS}"));
        }
        let message = "* Etcd members and control plane components are not healthy on all machines";
        Condition::is(kind, quorum, "Healthy", "NotHealthy", message)
    };
    let message = if done {
        "* There are no Machines with healthy control plane components, at least 1 required"
    } else {
        "Control plane not yet initialized"
    };
    let available = Condition::is("Available", done && quorum, "Available", "NotAvailable", message);
    [of("EtcdClusterHealthy"), of("ControlPlaneComponentsHealthy"), available]
}

fn labels_of(template: &Value, name: &str) -> Value {
    let mut labels = template.at("metadata.labels").clone();
    if !labels.is_object() {
        labels = json!({});
    }
    labels[CONTROL_PLANE_NAME] = name.into();
    labels
}

/// Whether a KubeadmConfig is what the control plane would make now. Init and join differ by nature and are compared with
/// what they were made from.
fn same_bootstrap(config: &Value, wanted: &Value) -> bool {
    let fields = [
        "files",
        "preKubeadmCommands",
        "postKubeadmCommands",
        "users",
        "ntp",
        "diskSetup",
        "mounts",
        "format",
        "bootCommands",
    ];
    let shared = fields.iter().all(|field| config.at(field) == wanted.at(field));
    let part = |spec: &Value, field: &str| {
        let mut part = spec.at(field).clone();
        part.unset("controlPlane");
        part
    };
    let which =
        if config.at("initConfiguration").is_object() { "initConfiguration" } else { "joinConfiguration" };
    // Without either the machine was the first of a plane that says nothing about kubeadm.
    shared
        && (config.at(which).is_null()
            || part(config, which).at("nodeRegistration") == part(wanted, which).at("nodeRegistration"))
}
