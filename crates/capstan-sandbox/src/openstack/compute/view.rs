//! What the API shows of a server, by microversion.

use serde_json::{Map, Value, json};

use super::microversion::Microversion;
use super::servers::Server;
use crate::openstack::OpenStack;
use crate::openstack::network::{FixedIp, FloatingIp};
use sha2::{Digest as _, Sha256};

impl Server {
    /// Nova's finer state: `building`, `active`, `stopped`, `error`.
    #[must_use]
    pub fn vm_state(&self) -> &'static str {
        match self.status {
            "BUILD" => "building",
            "ACTIVE" => "active",
            "SHUTOFF" => "stopped",
            _ => "error",
        }
    }

    pub(super) fn links(&self, base_url: &str) -> Value {
        json!([{"rel": "self", "href": format!("{base_url}/compute/v2.1/servers/{}", self.id)},
               {"rel": "bookmark", "href": format!("{base_url}/compute/servers/{}", self.id)}])
    }

    pub(super) fn brief(&self, base_url: &str) -> Value {
        json!({"id": self.id, "name": self.name, "links": self.links(base_url)})
    }

    pub(super) fn view(&self, cloud: &OpenStack, base_url: &str, version: Microversion) -> Value {
        let bookmark = |kind: &str, id: &str| json!({"id": id, "links": [{"rel": "bookmark", "href": format!("{base_url}/compute/{kind}/{id}")}]});
        let flavor =
            if version.at_least(47) { self.flavor.embedded() } else { bookmark("flavors", &self.flavor.id) };
        let power: u8 = match self.status {
            "ACTIVE" => 1,
            "SHUTOFF" => 4,
            _ => 0,
        };
        let mut view = json!({
            "id": self.id, "name": self.name, "status": self.status, "tenant_id": self.project_id,
            "user_id": self.user_id, "metadata": self.metadata, "hostId": self.host_id(),
            "image": self.image_id.as_ref().map_or_else(|| json!(""), |id| bookmark("images", id)),
            "flavor": flavor, "created": self.created, "updated": self.updated,
            "addresses": self.addresses(cloud), "accessIPv4": "", "accessIPv6": "", "links": self.links(base_url),
            "OS-DCF:diskConfig": "MANUAL",
            "OS-EXT-AZ:availability_zone": self.availability_zone.as_deref().unwrap_or_default(),
            "config_drive": if self.config_drive { "True" } else { "" }, "key_name": self.key_name,
            "OS-SRV-USG:launched_at": self.launched_at, "OS-SRV-USG:terminated_at": null,
            "OS-EXT-STS:task_state": self.task_state, "OS-EXT-STS:vm_state": self.vm_state(),
            "OS-EXT-STS:power_state": power,
        });
        if matches!(self.status, "BUILD" | "ACTIVE") {
            view["progress"] = json!(0);
        }
        if let Some(fault) = &self.fault {
            view["fault"] = json!({"code": fault.code, "created": fault.created, "message": fault.message});
        }
        let groups = self.group_names(cloud);
        if !groups.is_empty() {
            view["security_groups"] = groups.iter().map(|name| json!({"name": name})).collect();
        }
        view["os-extended-volumes:volumes_attached"] = self.volumes_view(version);
        self.add_by_version(&mut view, version);
        view
    }

    fn add_by_version(&self, view: &mut Value, version: Microversion) {
        let additions = [
            (9, "locked", json!(false)),
            (19, "description", json!(self.description)),
            (26, "tags", json!(self.tags)),
            (63, "trusted_image_certificates", Value::Null),
            (71, "server_groups", json!(self.group.iter().collect::<Vec<_>>())),
            (73, "locked_reason", Value::Null),
            (90, "OS-EXT-SRV-ATTR:hostname", json!(self.hostname)),
            (96, "pinned_availability_zone", json!(self.wanted_zone)),
        ];
        for (since, key, value) in additions {
            if version.at_least(since) {
                view[key] = value;
            }
        }
    }

    fn volumes_view(&self, version: Microversion) -> Value {
        let volume = |(id, goes_too): &(String, bool)| {
            let mut view = json!({"id": id});
            if version.at_least(3) {
                view["delete_on_termination"] = json!(goes_too);
            }
            view
        };
        self.volumes.iter().map(volume).collect()
    }

    /// A hash that tells hosts apart without naming them.
    fn host_id(&self) -> String {
        let hash = |host: &String| format!("{:x}", Sha256::digest(format!("{}{host}", self.project_id)));
        self.host.as_ref().map(hash).map(|hash| hash[..56].to_owned()).unwrap_or_default()
    }

    fn group_names(&self, cloud: &OpenStack) -> Vec<String> {
        let ports = self.ports.iter().filter_map(|port| cloud.network.ports.get(port));
        let groups =
            ports.flat_map(|port| &port.security_groups).filter_map(|id| cloud.network.groups.get(id));
        let mut names: Vec<String> = groups.map(|group| group.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// By network: fixed addresses, each followed by its floating one.
    pub(super) fn addresses(&self, cloud: &OpenStack) -> Value {
        let mut addresses = Map::new();
        for port in self.ports.iter().filter_map(|port| cloud.network.ports.get(port)) {
            let Some(network) = cloud.network.networks.get(&port.network_id) else { continue };
            let view = |address: String, kind: &str| {
                let family = if address.contains(':') { 6 } else { 4 };
                json!({"version": family, "addr": address, "OS-EXT-IPS:type": kind,
                       "OS-EXT-IPS-MAC:mac_addr": port.mac_address})
            };
            let mut list = Vec::new();
            for FixedIp { ip_address, .. } in &port.fixed_ips {
                list.push(view(ip_address.to_string(), "fixed"));
                let leads_here = |each: &&FloatingIp| {
                    each.port_id.as_deref() == Some(&port.id) && each.fixed_ip_address == Some(*ip_address)
                };
                let floating = cloud.network.floating_ips.iter().filter(leads_here);
                list.extend(floating.map(|each| view(each.floating_ip_address.clone(), "floating")));
            }
            let entry = addresses.entry(network.name.clone()).or_insert_with(|| json!([]));
            if let Value::Array(all) = entry {
                all.extend(list);
            }
        }
        Value::Object(addresses)
    }

    /// What a server prints while it boots: cloud-init's lines with the host key that a client can pin.
    pub(super) fn console(&self) -> String {
        if self.launched_at.is_none() {
            return String::new();
        }
        let name = &self.hostname;
        format!(
            "[    0.000000] Linux version 6.8.0-sandbox (simulated)\n\
             [    1.000000] systemd[1]: Hostname set to <{name}>.\n\
             ci-info: no authorized SSH keys fingerprints found for user root.\n\
             -----BEGIN SSH HOST KEY KEYS-----\n\
             ssh-ed25519 {} root@{name}\n\
             -----END SSH HOST KEY KEYS-----\n\
             [   12.000000] cloud-init[1000]: Cloud-init v. 24.1 finished\n\
             {name} login: \n",
            self.host_key
        )
    }
}
