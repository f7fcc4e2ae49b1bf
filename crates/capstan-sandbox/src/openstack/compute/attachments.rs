//! Volumes and interfaces of a server.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::lifecycle::device;
use super::microversion::Microversion;
use super::servers::Server;
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::identity::Token;
use crate::openstack::network::{FixedIpRequest, Port, PortCreate};
use crate::openstack::resource::Resource as _;

type Answer = Result<axum::Json<Value>, ApiError>;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/servers/{id}/os-volume_attachments", get(volumes).post(attach))
        .route("/compute/v2.1/servers/{id}/os-volume_attachments/{volume}", get(volume).delete(detach))
        .route("/compute/v2.1/servers/{id}/os-interface", get(interfaces).post(plug))
        .route("/compute/v2.1/servers/{id}/os-interface/{port}", get(interface).delete(unplug))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    #[serde(rename = "volumeId")]
    volume_id: String,
    #[serde(default)]
    device: Option<String>,
    #[serde(default)]
    delete_on_termination: bool,
    #[serde(default)]
    tag: Option<String>,
}

impl OpenStack {
    /// Attaches a volume to a server.
    fn attach(&mut self, caller: &Token, id: &str, request: &Attach) -> Result<String, ApiError> {
        let server = self.server(caller, id)?;
        if !["ACTIVE", "SHUTOFF"].contains(&server.status) {
            let state = server.vm_state();
            let text = format!("Cannot 'attach_volume' instance {id} while it is in vm_state {state}");
            return Err(ApiError::conflict(text));
        }
        let number = server.volumes.len() + usize::from(server.image_id.is_some());
        let device = request.device.clone().unwrap_or_else(|| device(number));
        self.volume(caller, &request.volume_id)?;
        self.attach_volume(&request.volume_id, id, &device)?;
        if let Some(server) = self.compute.servers.get_mut(id) {
            server.volumes.push((request.volume_id.clone(), request.delete_on_termination));
        }
        Ok(device)
    }

    fn detach(&mut self, caller: &Token, id: &str, volume: &str) -> Result<(), ApiError> {
        let server = self.server(caller, id)?;
        let at = server.volumes.iter().position(|(each, _)| each == volume);
        let at = at.ok_or_else(|| {
            ApiError::not_found(format!("volume_id not found: {volume} is not attached to instance {id}"))
        })?;
        if at == 0 && server.image_id.is_none() {
            return Err(ApiError::bad_request("Cannot detach a root device volume"));
        }
        self.change_volume(volume, None, "detaching");
        let (id, volume) = (id.to_owned(), volume.to_owned());
        self.clock.after(self.timings.volume, move |world| {
            let mut cloud = world.openstack();
            if let Some(server) = cloud.compute.servers.get_mut(&id) {
                server.volumes.retain(|(each, _)| *each != volume);
                cloud.detach_volume(&volume);
            }
        });
        Ok(())
    }

    fn attachment_view(&self, server: &Server, volume: &str, version: Microversion) -> Option<Value> {
        let (_, goes_too) = server.volumes.iter().find(|(each, _)| each == volume)?;
        let attachment = self.volume.volumes.get(volume)?.attachments.first()?;
        let mut view = json!({"volumeId": volume, "serverId": server.id, "device": attachment.device});
        if version.at_least(70) {
            view["tag"] = Value::Null;
        }
        if version.at_least(79) {
            view["delete_on_termination"] = json!(goes_too);
        }
        if version.at_least(89) {
            view["attachment_id"] = json!(attachment.attachment_id);
            view["bdm_uuid"] = json!(attachment.attachment_id);
        } else {
            view["id"] = json!(volume);
        }
        Some(view)
    }
}

async fn volumes(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    let server = cloud.server(&caller, &id)?;
    let views: Vec<Value> = server
        .volumes
        .iter()
        .filter_map(|(volume, _)| cloud.attachment_view(server, volume, version))
        .collect();
    Ok(axum::Json(json!({"volumeAttachments": views})))
}

async fn volume(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path((id, volume)): Path<(String, String)>,
) -> Answer {
    let cloud = world.openstack();
    let server = cloud.server(&caller, &id)?;
    let view = cloud.attachment_view(server, &volume, version).ok_or_else(|| {
        ApiError::not_found(format!("volume_id not found: {volume} is not attached to instance {id}"))
    })?;
    Ok(axum::Json(json!({"volumeAttachment": view})))
}

async fn attach(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let request: Attach = body::rooted(Shape::Nova, "volumeAttachment", &bytes)?;
    let device = world.openstack().attach(&caller, &id, &request)?;
    let volume = &request.volume_id;
    let mut view = json!({"id": volume, "serverId": id, "volumeId": volume, "device": device});
    if version.at_least(70) {
        view["tag"] = json!(request.tag);
    }
    if version.at_least(79) {
        view["delete_on_termination"] = json!(request.delete_on_termination);
    }
    Ok(axum::Json(json!({"volumeAttachment": view})))
}

async fn detach(
    State(world): State<World>,
    caller: Caller,
    Path((id, volume)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    world.openstack().detach(&caller, &id, &volume)?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Plug {
    port_id: Option<String>,
    net_id: Option<String>,
    fixed_ips: Option<Vec<FixedIpRequest>>,
    tag: Option<String>,
}

fn interface_view(port: &Port, version: Microversion) -> Value {
    let mut view = json!({
        "net_id": port.network_id, "port_id": port.id, "mac_addr": port.mac_address, "port_state": port.status,
        "fixed_ips": port.fixed_ips,
    });
    if version.at_least(70) {
        view["tag"] = Value::Null;
    }
    view
}

async fn interfaces(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    let server = cloud.server(&caller, &id)?;
    let ports = server.ports.iter().filter_map(|port| cloud.network.ports.get(port));
    let views: Vec<Value> = ports.map(|port| interface_view(port, version)).collect();
    Ok(axum::Json(json!({"interfaceAttachments": views})))
}

async fn interface(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path((id, port)): Path<(String, String)>,
) -> Answer {
    let cloud = world.openstack();
    let has = cloud.server(&caller, &id)?.ports.contains(&port);
    let port = cloud.network.ports.get(&port).filter(|_| has);
    let port =
        port.ok_or_else(|| ApiError::not_found(format!("Instance {id} does not have a port with this id.")))?;
    Ok(axum::Json(json!({"interfaceAttachment": interface_view(port, version)})))
}

async fn plug(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let request: Plug = body::rooted(Shape::Nova, "interfaceAttachment", &bytes)?;
    if request.tag.as_ref().is_some_and(|_| !version.at_least(49)) {
        return Err(ApiError::bad_request(
            "Invalid input for field/attribute interfaceAttachment. 'tag' was unexpected",
        ));
    }
    let mut cloud = world.openstack();
    let zone = cloud.server(&caller, &id)?.availability_zone.clone().unwrap_or_default();
    let (port, own) = match (request.port_id, request.net_id) {
        (Some(port), None) => (Port::get(&cloud, &caller, &port)?.id.clone(), false),
        (None, Some(network_id)) => {
            let wanted = PortCreate { network_id, fixed_ips: request.fixed_ips, ..PortCreate::default() };
            (Port::create(&mut cloud, &caller, wanted)?.id, true)
        }
        _ => return Err(ApiError::bad_request("Must input network_id when request IP address")),
    };
    if !Port::get(&cloud, &caller, &port)?.device_id.is_empty() {
        return Err(ApiError::bad_request(format!("Port {port} is still in use.")));
    }
    cloud.bind_port(&port, Some((&id, &format!("compute:{zone}"))));
    if let Some(server) = cloud.compute.servers.get_mut(&id) {
        server.ports.push(port.clone());
        if own {
            server.own_ports.push(port.clone());
        }
    }
    let view = interface_view(Port::get(&cloud, &caller, &port)?, version);
    Ok(axum::Json(json!({"interfaceAttachment": view})))
}

async fn unplug(
    State(world): State<World>,
    caller: Caller,
    Path((id, port)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    cloud.server(&caller, &id)?;
    let Some(server) = cloud.compute.servers.get_mut(&id).filter(|server| server.ports.contains(&port))
    else {
        return Err(ApiError::not_found(format!("Port {port} is not attached")));
    };
    server.ports.retain(|each| *each != port);
    server.own_ports.retain(|each| *each != port);
    // Nova deletes the port that it takes off, whoever made it.
    cloud.unplug(&port);
    Ok(StatusCode::ACCEPTED)
}
