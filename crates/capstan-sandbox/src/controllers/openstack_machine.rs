//! CAPO's `OpenStackMachine` controller: an `OpenStackServer`, its place behind the load balancer, and what Cluster API reads.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::cloud::{Cloud, CloudError};
use super::conditions::{Condition, set_v1beta1};
use super::openstack_cluster::{MANAGER, Stop};
use super::scope::{CLUSTER_NAME, Next, Scope};
use super::{ids, machine, openstack_load_balancer as load_balancer};
use crate::kubernetes::object::{Object, Read as _, Write as _};

const FINALIZER: &str = "openstackmachine.infrastructure.cluster.x-k8s.io";
const UNEXPECTEDLY_DELETED: &str = "The server was unexpectedly deleted";

const CLUSTER_NOT_READY: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(15);

struct Work<'s, 'w> {
    scope: &'s Scope<'w>,
    object: Object,
    machine: Arc<Object>,
    cluster: Arc<Object>,
    base: String,
}

pub(super) fn reconcile(scope: &Scope<'_>, object: &Object) -> Next {
    let owner = object.items("metadata.ownerReferences").iter().find(|owner| owner.text("kind") == "Machine");
    let Some(machine) = owner.and_then(|owner| scope.get(ids::MACHINES, owner.text("name"))) else {
        return Next::Done;
    };
    let Some(cluster) = scope.cluster_of(&machine) else { return Next::Done };
    let Some(infrastructure) = scope.openstack_cluster(&cluster) else { return Next::Done };
    let base = format!("{}-{}", cluster.namespace(), cluster.name());
    let mut work = Work { scope, object: object.clone(), machine, cluster: infrastructure, base };
    let outcome = if object.is_deleting() { work.delete() } else { work.create() };
    let next = match outcome {
        Ok(next) => next,
        Err(Stop::Wait(delay)) => Next::Look(delay),
        Err(Stop::Failed(error)) => {
            tracing::warn!(namespace = scope.namespace, name = scope.name, %error, "machine is not reconciled");
            Next::Look(RETRY)
        }
    };
    work.summarize();
    let new = work.object;
    scope.update(MANAGER, |object| *object = new);
    next
}

impl Work<'_, '_> {
    fn mark(&mut self, condition: &Condition) {
        set_v1beta1(&mut self.object, condition, &self.scope.now);
    }

    /// `Ready` says the worst of the others.
    fn summarize(&mut self) {
        let mut kinds = vec!["InstanceReady"];
        if machine::is_control_plane(&self.machine) {
            kinds.push("APIServerIngressReadyCondition");
        }
        let known: Vec<Value> =
            kinds.iter().filter_map(|kind| self.object.condition(kind).cloned()).collect();
        let worst = known.iter().find(|c| c.text("status") != "True");
        let summary = match worst {
            _ if known.is_empty() => return,
            None => Condition::yes("Ready", ""),
            Some(worst) => {
                let severity = if worst.text("severity") == "Info" { "Info" } else { "Error" };
                let (reason, message) = (worst.text("reason"), worst.text("message"));
                if worst.text("status") == "Unknown" {
                    Condition::unknown("Ready", reason, message)
                } else {
                    Condition::no("Ready", reason, message).severity(severity)
                }
            }
        };
        self.mark(&summary);
    }

    fn cloud(&self) -> Result<Cloud<'_>, CloudError> {
        let own = self.object.at("spec.identityRef");
        self.scope.cloud(if own.is_object() { own } else { self.cluster.at("spec.identityRef") })
    }

    fn create(&mut self) -> Result<Next, Stop> {
        if self.object.text_at("status.failureMessage").is_some() {
            return Ok(Next::Done);
        }
        if !self.cluster.flag("status.ready") {
            self.mark(
                &Condition::no("InstanceReady", "WaitingForClusterInfrastructure", "").severity("Info"),
            );
            return Ok(Next::Look(CLUSTER_NOT_READY));
        }
        let Some(bootstrap) = self.machine.text_at("spec.bootstrap.dataSecretName").map(str::to_owned) else {
            self.mark(&Condition::no("InstanceReady", "WaitingForBootstrapData", "").severity("Info"));
            return Ok(Next::Done);
        };
        self.object.add_finalizer(FINALIZER);
        let Some(server) = self.scope.get(ids::OPENSTACK_SERVERS, &self.scope.name) else {
            let server = self.server(&bootstrap);
            self.scope.create(ids::OPENSTACK_SERVERS, MANAGER, server);
            return Ok(Next::Done);
        };
        if !server.flag("status.ready") {
            return Ok(Next::Done);
        }
        let id = server.text("status.instanceID").to_owned();
        let (found, members) = {
            let cloud = self.cloud()?;
            let found = cloud.look(&format!("/compute/v2.1/servers/{id}"), "server")?;
            let members = found.as_ref().map_or(Ok(()), |found| self.join_load_balancer(&cloud, found));
            (found, members)
        };
        let Some(found) = found else {
            for kind in ["InstanceReady", "Ready"] {
                self.mark(&Condition::no(kind, "InstanceDeleted", UNEXPECTEDLY_DELETED).severity("Error"));
            }
            self.fail(UNEXPECTEDLY_DELETED);
            return Ok(Next::Done);
        };
        self.object.set("status.addresses", addresses(&found));
        if machine::is_control_plane(&self.machine) {
            match members {
                Ok(()) => self.mark(&Condition::yes("APIServerIngressReadyCondition", "")),
                Err(Stop::Wait(delay)) => return Err(Stop::Wait(delay)),
                Err(Stop::Failed(error)) => {
                    let message = format!("Reconciling load balancer member failed: {error}");
                    let kind = "APIServerIngressReadyCondition";
                    self.mark(&Condition::no(kind, "LoadBalancerMemberError", message).severity("Error"));
                    return Err(Stop::Failed(error));
                }
            }
        }
        Ok(self.follow(server.text("status.instanceState"), &id))
    }

    fn fail(&mut self, message: &str) {
        self.object.set("status.failureReason", "UpdateError");
        self.object.set("status.failureMessage", message);
    }

    fn join_load_balancer(&self, cloud: &Cloud<'_>, server: &Value) -> Result<(), Stop> {
        if !machine::is_control_plane(&self.machine)
            || !self.cluster.at("status.apiServerLoadBalancer").is_object()
        {
            return Ok(());
        }
        let Some(address) = fixed_address(server) else { return Ok(()) };
        load_balancer::add_member(cloud, &self.cluster, &self.base, &self.scope.name, &address)
    }

    /// Says what the state of the server means.
    fn follow(&mut self, state: &str, id: &str) -> Next {
        match state {
            "ACTIVE" => {
                self.mark(&Condition::yes("InstanceReady", ""));
                let region = self.object.text("spec.identityRef.region").to_owned();
                self.object.set("spec.providerID", format!("openstack://{region}/{id}"));
                self.object.set("status.instanceID", id);
                self.object.set("status.instanceState", state);
                self.object.set("status.ready", true);
                self.object.set("status.initialization.provisioned", true);
                Next::Done
            }
            "ERROR" => {
                if !self.machine.at("status.nodeRef").is_object() {
                    self.fail("instance state ERROR is unexpected");
                }
                self.mark(&Condition::no("InstanceReady", "InstanceStateError", "").severity("Error"));
                Next::Done
            }
            "DELETED" => {
                self.mark(&Condition::no("InstanceReady", "InstanceDeleted", "").severity("Error"));
                Next::Done
            }
            "BUILD" | "" => Next::Look(Duration::from_secs(10)),
            other => {
                let message = format!("Instance state is not handled: {other}");
                self.mark(&Condition::unknown("InstanceReady", "InstanceNotReady", message));
                Next::Look(Duration::from_secs(60))
            }
        }
    }

    /// The `OpenStackServer` of the machine.
    fn server(&self, bootstrap: &str) -> Object {
        let from = &self.object;
        let own = from.at("spec.identityRef");
        let identity = if own.is_object() { own } else { self.cluster.at("spec.identityRef") };
        let mut spec = json!({"identityRef": identity, "userDataRef": {"name": bootstrap}});
        let same = [
            "additionalBlockDevices",
            "configDrive",
            "flavor",
            "flavorID",
            "image",
            "rootVolume",
            "serverMetadata",
            "sshKeyName",
            "serverGroup",
            "schedulerHintAdditionalProperties",
            "floatingIPPoolRef",
        ];
        for field in same {
            if !from.at("spec").at(field).is_null() {
                spec[field] = from["spec"][field].clone();
            }
        }
        let mut tags: Vec<Value> = Vec::new();
        for tag in from.items("spec.tags").iter().chain(self.cluster.items("spec.tags")) {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        if !tags.is_empty() {
            spec["tags"] = tags.into();
        }
        if let Some(zone) = self.machine.text_at("spec.failureDomain") {
            spec["availabilityZone"] = zone.into();
        }
        spec["ports"] = self.ports().into();
        let cluster = self.object.label(CLUSTER_NAME).unwrap_or_default();
        json!({"metadata": {"name": self.scope.name, "namespace": self.scope.namespace, "labels": {CLUSTER_NAME: cluster},
            "ownerReferences": [crate::kubernetes::object::owner_reference(from)]}, "spec": spec})
    }

    fn ports(&self) -> Vec<Value> {
        let group = if machine::is_control_plane(&self.machine) {
            "controlPlaneSecurityGroup"
        } else {
            "workerSecurityGroup"
        };
        let default = self.cluster.at("status").at(group).text_at("id").map(|id| json!({"id": id}));
        let mut ports = self.object.items("spec.ports").to_vec();
        if ports.is_empty() {
            ports.push(json!({}));
        }
        for port in &mut ports {
            if port.at("network").is_null()
                && let Some(id) = self.cluster.text_at("status.network.id")
            {
                port.set("network", json!({"id": id}));
                let subnets =
                    self.cluster.items("spec.subnets").iter().map(|subnet| json!({"subnet": subnet}));
                let subnets: Vec<Value> = subnets.collect();
                if !subnets.is_empty() {
                    port.set("fixedIPs", subnets);
                }
            }
            let guarded = !port.flag("disablePortSecurity") && port.items("securityGroups").is_empty();
            if let Some(group) = default.as_ref().filter(|_| guarded) {
                port.set("securityGroups", json!([group]));
            }
            for group in self.object.items("spec.securityGroups") {
                port.list_mut("securityGroups").push(group.clone());
            }
        }
        ports
    }

    fn delete(&mut self) -> Result<Next, Stop> {
        if !self.object.has_finalizer(FINALIZER) {
            return Ok(Next::Done);
        }
        if !self.cluster.flag("status.ready") || !self.cluster.at("status.network").is_object() {
            self.object.remove_finalizer(FINALIZER);
            return Ok(Next::Done);
        }
        if machine::is_control_plane(&self.machine)
            && self.cluster.at("status.apiServerLoadBalancer").is_object()
        {
            let left = {
                let cloud = self.cloud()?;
                load_balancer::remove_member(&cloud, &self.cluster, &self.base, &self.scope.name)
            };
            if let Err(Stop::Failed(error)) = &left {
                let message = format!("Machine could not be removed from load balancer: {error}");
                let condition =
                    Condition::no("APIServerIngressReadyCondition", "LoadBalancerMemberError", message);
                self.mark(&condition.severity("Warning"));
            }
            left?;
        }
        if self.scope.get(ids::OPENSTACK_SERVERS, &self.scope.name).is_some() {
            self.scope.server.delete(ids::OPENSTACK_SERVERS, &self.scope.namespace, &self.scope.name);
            return Ok(Next::Look(Duration::from_secs(10)));
        }
        self.object.remove_finalizer(FINALIZER);
        Ok(Next::Done)
    }
}

fn all_addresses(server: &Value) -> impl Iterator<Item = &Value> {
    server.entries("addresses").flat_map(|(_, list)| list.as_array().into_iter().flatten())
}

/// The first address of the server in its own network.
pub(super) fn fixed_address(server: &Value) -> Option<String> {
    let fixed = all_addresses(server).find(|address| address.text("OS-EXT-IPS:type") == "fixed");
    fixed.map(|address| address.text("addr").to_owned())
}

/// The addresses as Cluster API shows them.
fn addresses(server: &Value) -> Vec<Value> {
    let kind = |address: &Value| {
        if address.text("OS-EXT-IPS:type") == "floating" { "ExternalIP" } else { "InternalIP" }
    };
    let mut list: Vec<Value> =
        all_addresses(server).map(|a| json!({"type": kind(a), "address": a["addr"]})).collect();
    list.push(json!({"type": "InternalDNS", "address": server["name"]}));
    list
}
