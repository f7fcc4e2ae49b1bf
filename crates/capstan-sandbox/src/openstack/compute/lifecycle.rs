//! What happens to a server after Nova has answered: scheduling, ports, volumes, power, removal.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::HOSTS_PER_ZONE;
use super::servers::{Fault, Server};
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::network::{FixedIpRequest, Port, PortCreate};
use crate::openstack::resource::Resource as _;
use crate::openstack::time;
use crate::openstack::volume::VolumeCreate;
use crate::openstack::{OpenStack, ZONES};

impl OpenStack {
    /// Schedules the way of a new server: a host, its ports and volumes after a quarter of the time, then ACTIVE.
    pub(super) fn build_server(&mut self, caller: &Token, id: &str) {
        for port in
            self.compute.servers.get(id).map(|server| server.wanted_networks.clone()).unwrap_or_default()
        {
            // Promised at once: a second server that asks for the same port is refused.
            if let Some(port) = port.port.and_then(|port| self.network.ports.get_mut(&port)) {
                id.clone_into(&mut port.device_id);
            }
        }
        let (id, caller) = (id.to_owned(), Arc::new(caller.clone()));
        let total = self.timings.server_build;
        self.clock.after(total / 4, move |world| {
            let mut cloud = world.openstack();
            match cloud.spawn_server(&caller, &id) {
                Ok(()) => {
                    cloud.clock.after(total - total / 4, move |world| world.openstack().finish_server(&id));
                }
                Err(error) => cloud.fail_server(&id, &error.message),
            }
        });
    }

    /// A host, ports and volumes for a server.
    fn spawn_server(&mut self, caller: &Token, id: &str) -> Result<(), ApiError> {
        let Some(server) =
            self.compute.servers.get(id).filter(|server| server.task_state != Some("deleting"))
        else {
            return Ok(());
        };
        let server = server.clone();
        let scheduled = if self.faults.no_host(&server.name) { None } else { self.schedule(&server) };
        let (zone, host) = scheduled.ok_or_else(|| {
            ApiError::new(
                500,
                "NoValidHost",
                "No valid host was found. There are not enough hosts available.",
            )
        })?;
        if let Some(server) = self.compute.servers.get_mut(id) {
            server.availability_zone = Some(zone.clone());
            server.host = Some(host);
            server.task_state = Some("networking");
        }
        let owner = format!("compute:{zone}");
        for request in &server.wanted_networks {
            let (port, own) = match (&request.port, &request.uuid) {
                (Some(port), _) => (port.clone(), false),
                (None, Some(network)) => {
                    let fixed_ips = request.fixed_ip.map(|address| {
                        vec![FixedIpRequest { ip_address: Some(address), ..FixedIpRequest::default() }]
                    });
                    let groups = (!server.security_groups.is_empty()).then(|| server.security_groups.clone());
                    let request = PortCreate {
                        network_id: network.clone(),
                        fixed_ips,
                        security_groups: groups,
                        ..PortCreate::default()
                    };
                    (Port::create(self, caller, request)?.id, true)
                }
                (None, None) => continue,
            };
            self.bind_port(&port, Some((id, &owner)));
            if let Some(server) = self.compute.servers.get_mut(id) {
                server.ports.push(port.clone());
                if own {
                    server.own_ports.push(port);
                }
            }
        }
        self.spawn_volumes(caller, &server)
    }

    fn spawn_volumes(&mut self, caller: &Token, server: &Server) -> Result<(), ApiError> {
        for (index, disk) in server.wanted_disks.iter().enumerate() {
            let volume = match (disk.source_type.as_str(), disk.destination_type.as_deref()) {
                ("volume", _) => disk.uuid.clone().unwrap_or_default(),
                ("image" | "blank", Some("volume")) => {
                    let request = VolumeCreate {
                        name: Some(String::new()),
                        description: Some(String::new()),
                        size: disk.size(),
                        volume_type: disk.volume_type.clone(),
                        image_ref: disk.uuid.clone().filter(|_| disk.source_type == "image"),
                        availability_zone: server.wanted_zone.clone(),
                        ..VolumeCreate::default()
                    };
                    let volume = self.create_volume(caller, request)?.id;
                    // Nova waits until it is there; the server's build time includes that.
                    self.change_volume(&volume, Some("creating"), "available");
                    volume
                }
                _ => continue,
            };
            self.attach_volume(&volume, &server.id, &device(index))?;
            if let Some(server) = self.compute.servers.get_mut(&server.id) {
                server.volumes.push((volume, disk.delete_on_termination));
            }
        }
        Ok(())
    }

    /// A zone and a host in it, as the group's policy allows.
    fn schedule(&self, server: &Server) -> Option<(String, String)> {
        let members = server.group.as_deref().and_then(|group| self.compute.groups.get(group));
        let policy = members.map(|group| group.policy.as_str()).unwrap_or_default();
        let siblings = members.map(|group| group.members.as_slice()).unwrap_or_default();
        let hosts_of_siblings: BTreeSet<&str> = siblings
            .iter()
            .filter(|id| **id != server.id)
            .filter_map(|id| self.compute.servers.get(id)?.host.as_deref())
            .collect();
        let zone = server.wanted_zone.as_deref().filter(|zone| *zone != "nova");
        let zones: Vec<&str> = zone.map_or_else(|| ZONES.to_vec(), |zone| vec![zone]);
        let load = |host: &str| {
            self.compute.servers.iter().filter(|each| each.host.as_deref() == Some(host)).count()
        };
        let candidates = zones.iter().flat_map(|zone| {
            (1..=HOSTS_PER_ZONE).map(move |number| ((*zone).to_owned(), format!("{zone}-host-{number:02}")))
        });
        let fits = |(_, host): &(String, String)| match policy {
            "anti-affinity" => !hosts_of_siblings.contains(host.as_str()),
            "affinity" => hosts_of_siblings.is_empty() || hosts_of_siblings.contains(host.as_str()),
            _ => true,
        };
        // The least loaded host, and with a soft policy rather one (not) shared with the group.
        candidates.filter(fits).min_by_key(|(zone, host)| {
            let shared = hosts_of_siblings.contains(host.as_str());
            let disliked = match policy {
                "soft-anti-affinity" => shared,
                "soft-affinity" => !shared,
                _ => false,
            };
            (disliked, load(host), host.clone(), zone.clone())
        })
    }

    fn finish_server(&mut self, id: &str) {
        let Some(server) = self.compute.servers.get(id).filter(|server| server.status == "BUILD") else {
            return;
        };
        if server.task_state == Some("deleting") {
            return;
        }
        if let Some(message) = self.faults.on_server(&server.name) {
            self.fail_server(id, &message);
            return;
        }
        let now = self.clock.now();
        if let Some(server) = self.compute.servers.get_mut(id) {
            server.status = "ACTIVE";
            server.task_state = None;
            server.launched_at = Some(time::micros(now));
            server.updated = time::zulu(now);
        }
    }

    /// A server that did not become what it was to be. Its ports and volumes stay, as Nova leaves them.
    fn fail_server(&mut self, id: &str, message: &str) {
        let now = time::zulu(self.clock.now());
        if let Some(server) = self.compute.servers.get_mut(id) {
            server.status = "ERROR";
            server.task_state = None;
            server.updated.clone_from(&now);
            server.fault = Some(Fault { code: 500, message: message.to_owned(), created: now });
        }
    }

    /// Deletes a server; it is gone after a while.
    ///
    /// # Errors
    /// 404. A second delete is accepted, as by Nova.
    pub fn delete_server(&mut self, caller: &Token, id: &str) -> Result<(), ApiError> {
        if self.server(caller, id)?.task_state == Some("deleting") {
            return Ok(());
        }
        if let Some(server) = self.compute.servers.get_mut(id) {
            server.task_state = Some("deleting");
        }
        let id = id.to_owned();
        self.clock.after(self.timings.server_delete, move |world| world.openstack().remove_server(&id));
        Ok(())
    }

    fn remove_server(&mut self, id: &str) {
        let Some(server) = self.compute.servers.remove(id) else { return };
        let promised = server.wanted_networks.iter().filter_map(|request| request.port.as_ref());
        let bound: BTreeSet<&String> = server.ports.iter().chain(promised).collect();
        let leaks = !bound.is_empty() && self.faults.ports_leak(&server.name);
        for port in bound {
            if leaks {
                // What Neutron keeps says whose it was: nobody's now.
                if let Some(port) = self.network.ports.get_mut(port) {
                    "DOWN".clone_into(&mut port.status);
                }
            } else if server.own_ports.contains(port) {
                self.unplug(port);
            } else if self.network.ports.get(port).is_some_and(|port| port.device_id == id) {
                self.bind_port(port, None);
            }
        }
        for (volume, goes_too) in &server.volumes {
            self.detach_volume(volume);
            if *goes_too {
                self.volume.volumes.remove(volume);
            }
        }
        for group in self.compute.groups.iter_mut() {
            group.members.retain(|member| member != id);
        }
    }

    /// Stops, starts or reboots a server.
    ///
    /// # Errors
    /// 404, 409 in the wrong state.
    pub(super) fn power(&mut self, caller: &Token, id: &str, verb: &str) -> Result<(), ApiError> {
        let server = self.server(caller, id)?;
        let (from, task, to) = match verb {
            "start" => ("SHUTOFF", "powering-on", "ACTIVE"),
            "stop" => ("ACTIVE", "powering-off", "SHUTOFF"),
            _ => ("ACTIVE", "rebooting", "ACTIVE"),
        };
        if server.status != from {
            return Err(ApiError::conflict(format!(
                "Cannot '{verb}' instance {id} while it is in vm_state {}",
                server.vm_state()
            )));
        }
        if let Some(task) = server.task_state {
            return Err(ApiError::conflict(format!(
                "Cannot '{verb}' instance {id} while it is in task_state {task}"
            )));
        }
        if let Some(server) = self.compute.servers.get_mut(id) {
            server.task_state = Some(task);
        }
        let id = id.to_owned();
        self.clock.after(self.timings.server_power, move |world| {
            let now = time::zulu(world.now());
            if let Some(server) = world.openstack().compute.servers.get_mut(&id)
                && server.task_state == Some(task)
            {
                server.status = to;
                server.task_state = None;
                server.updated = now;
            }
        });
        Ok(())
    }
}

/// `/dev/sda`, `/dev/sdb`, ...
pub(super) fn device(index: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(index.min(25)).unwrap_or(25));
    format!("/dev/sd{letter}")
}
