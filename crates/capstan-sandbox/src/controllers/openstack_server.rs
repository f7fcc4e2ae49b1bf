//! CAPO's `OpenStackServer` controller: looks everything up, makes ports, volumes and the server, and follows its state.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cloud::{Cloud, CloudError, CloudResult, encode};
use super::conditions::{Condition, set_v1beta1};
use super::openstack_cluster::{MANAGER, Stop};
use super::openstack_network::by_filter;
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _};

const FINALIZER: &str = "openstackserver.infrastructure.cluster.x-k8s.io";

/// While a server is being built or deleted.
pub(super) const BUILDING: Duration = Duration::from_secs(10);
/// In any other state that isn't ACTIVE.
const UNSETTLED: Duration = Duration::from_secs(60);
/// After a failure.
const RETRY: Duration = Duration::from_secs(15);

/// A server in the making.
pub(super) struct Work<'s, 'w> {
    pub(super) scope: &'s Scope<'w>,
    pub(super) cloud: Cloud<'w>,
    pub(super) object: Object,
}

pub(super) fn reconcile(scope: &Scope<'_>, object: &Object) -> Next {
    // A server that failed is never looked at again; its machine has to be replaced.
    if !object.is_deleting() && object.text("status.instanceState") == "ERROR" {
        return Next::Done;
    }
    if object.is_deleting() && !object.has_finalizer(FINALIZER) {
        return Next::Done;
    }
    let cloud = match scope.cloud(object.at("spec.identityRef")) {
        Ok(cloud) => cloud,
        Err(error) => {
            tracing::warn!(namespace = scope.namespace, name = scope.name, %error, "no access to the cloud");
            return Next::Look(RETRY);
        }
    };
    let mut work = Work { scope, cloud, object: object.clone() };
    let outcome = if object.is_deleting() { work.delete() } else { work.create() };
    let next = match outcome {
        Ok(()) if object.is_deleting() => {
            work.object.remove_finalizer(FINALIZER);
            Next::Done
        }
        Ok(()) => Next::Done,
        Err(Stop::Wait(delay)) => Next::Look(delay),
        Err(Stop::Failed(error)) => {
            // As in CAPO, what isn't in a condition is in the log only.
            tracing::warn!(namespace = scope.namespace, name = scope.name, %error, "server is not reconciled");
            Next::Look(RETRY)
        }
    };
    let mut new = work.object;
    if let Some(ready) = new.condition("InstanceReady").cloned() {
        // The summary of one condition is that condition.
        let status = ready.text("status");
        let summary = match status {
            "True" => Condition::yes("Ready", ""),
            "False" => Condition::no("Ready", ready.text("reason"), ready.text("message")).severity("Error"),
            _ => Condition::unknown("Ready", ready.text("reason"), ready.text("message")),
        };
        set_v1beta1(&mut new, &summary, &scope.now);
    }
    scope.update(MANAGER, |object| *object = new);
    next
}

impl Work<'_, '_> {
    fn mark(&mut self, condition: &Condition) {
        set_v1beta1(&mut self.object, condition, &self.scope.now);
    }

    fn tell(&self, reason: &str, message: &str) {
        let kind = if reason.starts_with("Failed") { "Warning" } else { "Normal" };
        self.scope.event(&self.object, kind, reason, message);
    }

    fn create(&mut self) -> Result<(), Stop> {
        self.resolve()?;
        if !self.object.has_finalizer(FINALIZER) {
            self.object.add_finalizer(FINALIZER);
        }
        let ports = self.ports()?;
        let server = self.server(&ports)?;
        let Some(server) = server else { return Ok(()) };
        let id = server.text("id").to_owned();
        let state = server.text("status").to_owned();
        self.object.set("status.instanceID", id);
        self.object.set("status.instanceState", state.clone());
        match state.as_str() {
            "ACTIVE" => {
                self.mark(&Condition::yes("InstanceReady", ""));
                self.object.set("status.ready", true);
                Ok(())
            }
            // CAPO doesn't repeat Nova's fault here.
            "ERROR" => {
                self.mark(&Condition::no("InstanceReady", "InstanceStateError", "").severity("Error"));
                Ok(())
            }
            "DELETED" => {
                self.mark(&Condition::no("InstanceReady", "InstanceDeleted", "").severity("Error"));
                Ok(())
            }
            "BUILD" | "" => Err(Stop::Wait(BUILDING)),
            other => {
                let message = format!("Instance state is not handled: {other}");
                self.mark(&Condition::unknown("InstanceReady", "InstanceNotReady", message));
                Err(Stop::Wait(UNSETTLED))
            }
        }
    }

    /// Looks up server group, image, flavor and the ports' networks, once.
    fn resolve(&mut self) -> Result<(), Stop> {
        if self.object.text_at("status.resolved.serverGroupID").is_none()
            && self.object.at("spec.serverGroup").is_object()
        {
            let id = self.server_group()?;
            self.object.set("status.resolved.serverGroupID", id);
        }
        if self.object.text_at("status.resolved.imageID").is_none() {
            let Some(id) = self.image()? else { return Err(Stop::Wait(RETRY)) };
            self.object.set("status.resolved.imageID", id);
        }
        if self.object.text_at("status.resolved.flavorID").is_none() {
            let id = self.flavor()?;
            self.object.set("status.resolved.flavorID", id);
        }
        if self.object.items("status.resolved.ports").is_empty() {
            let ports = self.resolve_ports()?;
            self.object.set("status.resolved.ports", ports);
        }
        Ok(())
    }

    fn server_group(&self) -> CloudResult<Value> {
        let wanted = self.object.at("spec.serverGroup");
        let groups = self.cloud.list("/compute/v2.1/os-server-groups", "server_groups")?;
        let (id, name) = (wanted.text("id"), wanted.text("filter.name"));
        let found: Vec<&Value> = groups
            .iter()
            .filter(|g| g.text("id") == id || (!name.is_empty() && g.text("name") == name))
            .collect();
        match found.as_slice() {
            [one] => Ok(one["id"].clone()),
            [] => Err(CloudError::new(format!("no server group with name {name} could be found"))),
            many => Err(CloudError::new(format!(
                "too many server groups with name {name} were found: {}",
                many.len()
            ))),
        }
    }

    fn image(&self) -> CloudResult<Option<Value>> {
        let wanted = self.object.at("spec.image");
        if let Some(id) = wanted.text_at("id") {
            return Ok(Some(id.into()));
        }
        if let Some(name) = wanted.text_at("imageRef.name") {
            // ORC's Image: its status says when it is there.
            let image = self.scope.get("images.openstack.k-orc.cloud", name);
            return Ok(image.and_then(|image| image.text_at("status.id").map(Into::into)));
        }
        let mut query = format!("name={}", encode(wanted.text("filter.name")));
        for tag in wanted.items("filter.tags").iter().filter_map(Value::as_str) {
            query += &format!("&tag={}", encode(tag));
        }
        let found = self.cloud.list(&format!("/image/v2/images?{query}"), "images")?;
        match found.as_slice() {
            [one] => Ok(Some(one["id"].clone())),
            [] => Err(CloudError::new(format!(
                "no images were found with the given image filter: {}",
                wanted.at("filter")
            ))),
            _ => Err(CloudError::new(format!(
                "too many images were found with the given image filter: {}",
                wanted.at("filter")
            ))),
        }
    }

    fn flavor(&self) -> CloudResult<Value> {
        if let Some(id) = self.object.text_at("spec.flavorID") {
            return Ok(id.into());
        }
        let name = self.object.text("spec.flavor");
        let flavors = self.cloud.list("/compute/v2.1/flavors/detail", "flavors")?;
        let found = flavors.iter().find(|flavor| flavor.text("name") == name);
        found
            .map(|flavor| flavor["id"].clone())
            .ok_or_else(|| CloudError::new("filter match error: no matches"))
    }

    fn resolve_ports(&self) -> CloudResult<Vec<Value>> {
        let mut resolved = Vec::new();
        let cluster = self.object.label(CLUSTER_NAME).unwrap_or_default();
        for (index, port) in self.object.items("spec.ports").iter().enumerate() {
            let network = match port.text_at("network.id") {
                Some(id) => id.into(),
                None => by_filter(&self.cloud, "networks", "networks", port.at("network"))?["id"].clone(),
            };
            let suffix = port.text_at("nameSuffix").map_or_else(|| index.to_string(), str::to_owned);
            let mut groups = Vec::new();
            for group in port.items("securityGroups") {
                groups.push(match group.text_at("id") {
                    Some(id) => id.into(),
                    None => {
                        by_filter(&self.cloud, "security-groups", "security_groups", group)?["id"].clone()
                    }
                });
            }
            let mut fixed = Vec::new();
            for ip in port.items("fixedIPs") {
                let mut wanted = json!({});
                if ip.at("subnet").is_object() {
                    wanted["subnet"] =
                        by_filter(&self.cloud, "subnets", "subnets", ip.at("subnet"))?["id"].clone();
                }
                if let Some(address) = ip.text_at("ipAddress") {
                    wanted["ipAddress"] = address.into();
                }
                fixed.push(wanted);
            }
            let description = format!("Created by cluster-api-provider-openstack cluster {cluster}");
            let tags: Vec<Value> =
                self.object.items("spec.tags").iter().chain(port.items("tags")).cloned().collect();
            let mut entry = json!({"name": format!("{}-{suffix}", self.scope.name), "networkID": network,
                "description": port.text_at("description").unwrap_or(&description)});
            for (field, values) in [("securityGroups", groups), ("fixedIPs", fixed), ("tags", tags)] {
                if !values.is_empty() {
                    entry[field] = values.into();
                }
            }
            for field in ["disablePortSecurity", "allowedAddressPairs", "macAddress", "vnicType"] {
                if !port.at(field).is_null() {
                    entry[field] = port[field].clone();
                }
            }
            resolved.push(entry);
        }
        Ok(resolved)
    }

    /// The ids of the ports, in order; those that are missing are made.
    fn ports(&mut self) -> Result<Vec<String>, Stop> {
        let wanted = self.object.items("status.resolved.ports").to_vec();
        let mut made: Vec<String> = self
            .object
            .items("status.resources.ports")
            .iter()
            .map(|port| port.text("id").to_owned())
            .collect();
        for port in wanted.iter().skip(made.len()) {
            let name = port.text("name");
            let query = format!("/network/v2.0/ports?network_id={}", port.text("networkID"));
            let id = match self.cloud.find(&query, "ports", name)? {
                Some(known) => known.text("id").to_owned(),
                None => self.create_port(port)?,
            };
            made.push(id);
            let noted: Vec<Value> = made.iter().map(|id| json!({"id": id})).collect();
            self.object.set("status.resources.ports", noted);
        }
        Ok(made)
    }

    fn create_port(&self, port: &Value) -> Result<String, Stop> {
        let mut request = json!({"network_id": port["networkID"], "name": port["name"], "description": port["description"]});
        if port.flag("disablePortSecurity") {
            request["port_security_enabled"] = false.into();
        } else if !port.items("securityGroups").is_empty() {
            request["security_groups"] = port["securityGroups"].clone();
        }
        let fixed = port.items("fixedIPs").iter().map(|ip| {
            let mut wanted = json!({});
            for (field, name) in [("subnet", "subnet_id"), ("ipAddress", "ip_address")] {
                if let Some(text) = ip.text_at(field) {
                    wanted[name] = text.into();
                }
            }
            wanted
        });
        let fixed: Vec<Value> = fixed.collect();
        if !fixed.is_empty() {
            request["fixed_ips"] = fixed.into();
        }
        let name = port.text("name");
        match self.cloud.post("/network/v2.0/ports", &json!({"port": request})) {
            Ok(made) => {
                let id = made.text("port.id");
                self.cloud.tag("ports", id, port.at("tags"))?;
                self.tell("SuccessfulCreatePort", &format!("Created port {name} with id {id}"));
                Ok(id.to_owned())
            }
            Err(error) => {
                self.tell("FailedCreatePort", &format!("Failed to create port {name}: {error}"));
                Err(Stop::Failed(error.wrap("creating ports")))
            }
        }
    }

    /// The server; made if there never was one, nothing if it was made and is gone.
    fn server(&mut self, ports: &[String]) -> Result<Option<Value>, Stop> {
        if let Some(id) = self.object.text_at("status.instanceID") {
            let found = self.cloud.look(&format!("/compute/v2.1/servers/{id}"), "server")?;
            if found.is_none() {
                let message = "The server was unexpectedly deleted";
                self.mark(&Condition::no("InstanceReady", "InstanceNotFound", message).severity("Error"));
            }
            return Ok(found);
        }
        if let Some(known) = self.find_server()? {
            return Ok(Some(known));
        }
        let devices = self.block_devices()?;
        let mut request = json!({"name": self.scope.name, "flavorRef": self.object.at("status.resolved.flavorID"),
            "networks": ports.iter().map(|id| json!({"port": id})).collect::<Vec<_>>(), "config_drive": self.object.flag("spec.configDrive")});
        request["imageRef"] = match self.object.int("spec.rootVolume.sizeGiB") {
            Some(_) => "".into(),
            None => self.object.at("status.resolved.imageID").clone(),
        };
        if !devices.is_empty() {
            request["block_device_mapping_v2"] = devices.into();
        }
        let metadata = self.object.items("spec.serverMetadata").iter();
        request["metadata"] = metadata
            .map(|m| (m.text("key").to_owned(), m["value"].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        for (field, name) in
            [("tags", "tags"), ("sshKeyName", "key_name"), ("availabilityZone", "availability_zone")]
        {
            let value = self.object.at("spec").at(field);
            if !value.is_null() {
                request[name] = value.clone();
            }
        }
        if let Some(secret) =
            self.object.text_at("spec.userDataRef.name").and_then(|name| self.scope.get("secrets", name))
        {
            request["user_data"] = secret.at("data.value").clone();
        }
        let mut body = json!({"server": request});
        if let Some(group) = self.object.text_at("status.resolved.serverGroupID") {
            body["os:scheduler_hints"] = json!({"group": group});
        }
        match self.cloud.post("/compute/v2.1/servers", &body) {
            Ok(made) => {
                let (name, id) = (&self.scope.name, made.text("server.id"));
                self.tell("SuccessfulCreateServer", &format!("Created server {name} with id {id}"));
                self.object.set("status.instanceID", id);
                self.object.set("status.instanceState", "BUILD");
                Err(Stop::Wait(BUILDING))
            }
            Err(error) => {
                self.tell(
                    "FailedCreateServer",
                    &format!("Failed to create server {}: {error}", self.scope.name),
                );
                let error = error.wrap("error creating Openstack instance");
                let condition = Condition::no("InstanceReady", "InstanceCreateFailed", error.message.clone());
                self.mark(&condition.severity("Error"));
                self.object.set("status.instanceState", "ERROR");
                Err(Stop::Failed(error.wrap("create OpenStack instance")))
            }
        }
    }

    fn find_server(&self) -> CloudResult<Option<Value>> {
        let found = self.cloud.find("/compute/v2.1/servers/detail", "servers", &self.scope.name)?;
        Ok(found)
    }

    fn delete(&mut self) -> Result<(), Stop> {
        let known = match self.object.text_at("status.instanceID") {
            Some(id) => self.cloud.look(&format!("/compute/v2.1/servers/{id}"), "server")?,
            None => self.find_server()?,
        };
        if let Some(server) = known {
            let (name, id) = (server.text("name"), server.text("id"));
            let deleting = server.text("OS-EXT-STS:task_state") == "deleting";
            if !deleting
                && let Err(error) = self.cloud.delete_if_there(&format!("/compute/v2.1/servers/{id}"))
            {
                self.tell(
                    "FailedDeleteServer",
                    &format!("Failed to delete server {name} with id {id}: {error}"),
                );
                let message = format!("Deleting instance failed: {error}");
                self.mark(&Condition::no("InstanceReady", "InstanceDeleteFailed", message).severity("Error"));
                return Err(Stop::Failed(error.wrap("delete instance")));
            }
            return Err(Stop::Wait(BUILDING));
        }
        self.delete_volumes()?;
        if self.scope.world.faults().ports_leak(&self.scope.name) {
            return Ok(());
        }
        for port in self.object.items("status.resources.ports") {
            self.cloud.delete_if_there(&format!("/network/v2.0/ports/{}", port.text("id")))?;
        }
        for port in self.object.items("status.resolved.ports") {
            // A port whose id was never noted is found by its name.
            let query = format!("/network/v2.0/ports?network_id={}", port.text("networkID"));
            if let Some(left) = self.cloud.find(&query, "ports", port.text("name"))? {
                self.cloud.delete_if_there(&format!("/network/v2.0/ports/{}", left.text("id")))?;
            }
        }
        Ok(())
    }
}

/// Text as the data of a Secret.
pub(super) fn encoded(text: &str) -> Value {
    STANDARD.encode(text).into()
}
