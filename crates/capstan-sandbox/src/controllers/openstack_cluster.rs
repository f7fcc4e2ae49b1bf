//! CAPO's `OpenStackCluster` controller: network, router, security groups, and the way to the API server.

use std::time::Duration;

use serde_json::{Value, json};

use super::cloud::{Cloud, CloudError, CloudResult};
use super::conditions::{Condition, set_v1beta1};
use super::scope::{Next, Scope};
use super::{
    ids, openstack_load_balancer as load_balancer, openstack_network as network,
    openstack_security_groups as groups,
};
use crate::kubernetes::object::{Object, Read as _, Write as _};

/// The finalizer.
const FINALIZER: &str = "openstackcluster.infrastructure.cluster.x-k8s.io";

/// Who writes.
pub(super) const MANAGER: &str = "manager";

/// After a failure.
const RETRY: Duration = Duration::from_secs(15);

/// A cluster in the making: its object as it is going to be, and the cloud.
pub(super) struct Work<'s, 'w> {
    pub(super) scope: &'s Scope<'w>,
    pub(super) cloud: Cloud<'w>,
    pub(super) object: Object,
    /// `NAMESPACE-NAME` of the Cluster, the base of all names in OpenStack.
    pub(super) base: String,
}

/// Why work stops for now.
pub(super) enum Stop {
    /// The cloud works on it.
    Wait(Duration),
    /// The cloud refused.
    Failed(CloudError),
}

impl From<CloudError> for Stop {
    fn from(error: CloudError) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    /// With words in front of a failure.
    pub(super) fn wrap(self, words: &str) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.wrap(words)),
            wait => wait,
        }
    }
}

pub(super) fn reconcile(scope: &Scope<'_>, object: &Object) -> Next {
    let owner = object.items("metadata.ownerReferences").iter().find(|owner| owner.text("kind") == "Cluster");
    let Some(cluster) = owner.and_then(|owner| scope.get(ids::CLUSTERS, owner.text("name"))) else {
        return Next::Done;
    };
    if object.is_deleting() && !object.has_finalizer(FINALIZER) {
        return Next::Done;
    }
    let cloud = match scope.cloud(object.at("spec.identityRef")) {
        Ok(cloud) => cloud,
        Err(error) => {
            // CAPO v0.14 says this in its log only: the object shows nothing.
            tracing::warn!(namespace = scope.namespace, name = scope.name, %error, "no access to the cloud");
            return Next::Look(RETRY);
        }
    };
    let base = format!("{}-{}", cluster.namespace(), cluster.name());
    let mut work = Work { scope, cloud, object: object.clone(), base };
    let outcome = if object.is_deleting() {
        if !scope.machines(cluster.name(), |_| true).is_empty() {
            return Next::Look(Duration::from_secs(5));
        }
        work.delete()
    } else {
        if !object.has_finalizer(FINALIZER) {
            scope.update(MANAGER, |object| object.add_finalizer(FINALIZER));
            return Next::Done;
        }
        work.create()
    };
    let next = match outcome {
        Ok(()) if object.is_deleting() => {
            work.object.remove_finalizer(FINALIZER);
            Next::Done
        }
        Ok(()) => Next::Done,
        // CAPO waits for Octavia within a pass, and not for ever: time may jump to the end of it.
        Err(Stop::Wait(delay)) if !object.is_deleting() => Next::Act(delay),
        Err(Stop::Wait(delay)) => Next::Look(delay),
        Err(Stop::Failed(error)) => {
            let condition = Condition::no("Ready", "OpenStackError", error.message).severity("Warning");
            set_v1beta1(&mut work.object, &condition, &scope.now);
            Next::Look(RETRY)
        }
    };
    let new = work.object;
    scope.update(MANAGER, |object| *object = new);
    next
}

impl Work<'_, '_> {
    fn create(&mut self) -> Result<(), Stop> {
        network::external(self).map_err(|error| error.wrap("failed to reconcile external network"))?;
        let managed = self.object.items("spec.managedSubnets").len();
        if managed == 0 {
            network::existing(self)?;
        } else {
            self.create_network()?;
        }
        self.resolve_load_balancer_network();
        self.step("SecurityGroupsReady", "SecurityGroupCreateFailed", "security groups", |work| {
            Ok(groups::reconcile(work)?)
        })?;
        self.reconcile_endpoint()?;
        self.set_failure_domains()?;
        self.object.set("status.ready", true);
        self.object.set("status.initialization.provisioned", true);
        self.mark(&Condition::yes("Ready", ""));
        Ok(())
    }

    fn create_network(&mut self) -> Result<(), Stop> {
        let failed = |words: &'static str| move |error: CloudError| error.wrap(words);
        let made = network::reconcile_network(self).map_err(failed("failed to reconcile network"));
        if let Err(error) = made {
            return Err(self.fail("NetworkReady", "NetworkCreateFailed", error));
        }
        let made = network::reconcile_subnet(self).map_err(failed("failed to reconcile subnets"));
        if let Err(error) = made {
            return Err(self.fail("NetworkReady", "SubnetCreateFailed", error));
        }
        self.mark(&Condition::yes("NetworkReady", ""));
        self.step("RouterReady", "RouterCreateFailed", "router", |work| Ok(network::reconcile_router(work)?))
    }

    /// Does a part of the work, with the condition that tells about it.
    fn step(
        &mut self,
        kind: &'static str,
        reason: &str,
        what: &str,
        act: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match act(self) {
            Ok(()) => {
                self.mark(&Condition::yes(kind, ""));
                Ok(())
            }
            Err(Stop::Failed(error)) => {
                Err(self.fail(kind, reason, error.wrap(&format!("failed to reconcile {what}"))))
            }
            Err(wait) => Err(wait),
        }
    }

    /// Notes a failure in its condition.
    pub(super) fn fail(&mut self, kind: &'static str, reason: &str, error: CloudError) -> Stop {
        // CAPO's conditions begin with a capital, its errors don't.
        let mut message = error.message.clone();
        if let Some(first) = message.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        self.mark(&Condition::no(kind, reason, message).severity("Error"));
        Stop::Failed(error)
    }

    /// Sets a condition.
    pub(super) fn mark(&mut self, condition: &Condition) {
        set_v1beta1(&mut self.object, condition, &self.scope.now);
    }

    /// Records an event about the cluster.
    pub(super) fn tell(&self, reason: &str, message: &str) {
        let kind = if reason.starts_with("Failed") { "Warning" } else { "Normal" };
        self.scope.event(&self.object, kind, reason, message);
    }

    /// The tags of all resources of the cluster.
    pub(super) fn tags(&self) -> Value {
        match self.object.at("spec.tags") {
            Value::Null => json!([]),
            tags => tags.clone(),
        }
    }

    /// The description of all resources of the cluster.
    pub(super) fn description(&self) -> String {
        format!("Created by cluster-api-provider-openstack cluster {}", self.base)
    }

    fn has_load_balancer(&self) -> bool {
        // `enabled` has the default true, so an object alone is enough.
        self.object.at("spec.apiServerLoadBalancer").is_object()
            && self.object.at("spec.apiServerLoadBalancer.enabled") != false
    }

    fn resolve_load_balancer_network(&mut self) {
        if self.has_load_balancer() {
            let network = self.object.at("status.network").clone();
            self.object.set("status.apiServerLoadBalancer.loadBalancerNetwork", network);
        }
    }

    fn reconcile_endpoint(&mut self) -> Result<(), Stop> {
        let port = self
            .object
            .int("spec.controlPlaneEndpoint.port")
            .or(self.object.int("spec.apiServerPort"))
            .unwrap_or(6443);
        let given = self.object.text("spec.controlPlaneEndpoint.host").to_owned();
        let host = if self.has_load_balancer() {
            let made = load_balancer::reconcile(self, port)
                .map_err(|stop| stop.wrap("failed to reconcile load balancer"));
            if let Err(stop) = made {
                return Err(match stop {
                    Stop::Failed(error) => {
                        let message = format!("Failed to reconcile control plane endpoint: {error}");
                        self.mark(
                            &Condition::no("APIEndpointReady", "APIEndpointConfigFailed", message)
                                .severity("Error"),
                        );
                        Stop::Failed(error)
                    }
                    wait => wait,
                });
            }
            let balancer = self.object.at("status.apiServerLoadBalancer");
            balancer.text_at("ip").unwrap_or(balancer.text("internalIP")).to_owned()
        } else if !given.is_empty() {
            given
        } else if !self.object.flag("spec.disableAPIServerFloatingIP")
            && !self.object.flag("spec.disableExternalNetwork")
        {
            let wanted = self.object.text("spec.apiServerFloatingIP").to_owned();
            let made = network::floating_ip(self, &wanted)
                .map_err(|e| e.wrap("floating IP cannot be got or created"))?;
            made.text("floating_ip_address").to_owned()
        } else if let Some(fixed) = self.object.text_at("spec.apiServerFixedIP") {
            fixed.to_owned()
        } else {
            return Err(Stop::Failed(CloudError::new("unable to determine control plane endpoint")));
        };
        self.object.set("spec.controlPlaneEndpoint", json!({"host": host, "port": port}));
        self.mark(&Condition::yes("APIEndpointReady", ""));
        Ok(())
    }

    fn set_failure_domains(&mut self) -> CloudResult<()> {
        let zones = self.cloud.list("/compute/v2.1/os-availability-zone", "availabilityZoneInfo")?;
        let chosen = self.object.items("spec.controlPlaneAvailabilityZones").to_vec();
        let omit = self.object.flag("spec.controlPlaneOmitAvailabilityZone");
        let mut domains = json!({});
        for zone in zones.iter().filter(|zone| zone.flag("zoneState.available")) {
            let name = zone.text("zoneName");
            let for_control_plane = if chosen.is_empty() { !omit } else { chosen.iter().any(|c| c == name) };
            domains[name] = json!({"controlPlane": for_control_plane});
        }
        self.object.set("status.failureDomains", domains);
        Ok(())
    }

    fn delete(&mut self) -> Result<(), Stop> {
        if self.has_load_balancer() {
            load_balancer::delete(self).map_err(|stop| stop.wrap("failed to delete load balancer"))?;
        }
        if !self.object.items("spec.managedSubnets").is_empty() {
            network::delete_router(self).map_err(|error| error.wrap("failed to delete router"))?;
            network::delete_ports(self).map_err(|error| error.wrap("failed to delete ports"))?;
            network::delete_network(self).map_err(|error| error.wrap("failed to delete network"))?;
        }
        groups::delete(self).map_err(|error| error.wrap("failed to delete security groups"))?;
        Ok(())
    }
}
