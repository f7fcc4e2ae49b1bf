//! Resources of a stranger in the project that look like a cluster's: whoever cleans up by name alone destroys them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::openstack::compute::{
    KeyPairCreate, NetworkRequest, ServerCreate, ServerGroupCreate, ServerRequest,
};
use crate::openstack::identity::{ApplicationCredentialCreate, Login, Token};
use crate::openstack::load_balancer::{LoadBalancer, LoadBalancerCreate};
use crate::openstack::network::{
    ExternalGatewayRequest, FloatingIp, FloatingIpCreate, InterfaceRequest, Network, NetworkCreate, Port,
    PortCreate, Router, RouterCreate, SecurityGroup, SecurityGroupCreate, Subnet, SubnetCreate,
};
use crate::openstack::volume::{SnapshotCreate, VolumeCreate};
use crate::openstack::{ApiError, OpenStack, Resource as _};
use crate::{Inventory, World};

/// A public key as everybody may have one.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ1 theirs";

/// Makes them beside a cluster called `name`, and tells which there are now.
pub(crate) fn plant(world: &World, name: &str) -> Result<Inventory, ApiError> {
    let mut cloud = world.openstack();
    let before = Inventory::of(&cloud, "demo");
    let token = cloud.log_in(&Login::password("demo", "demo-password", "demo"))?;
    let (port, subnet) = routed(&mut cloud, &token, name)?;
    server(&mut cloud, &token, name, port)?;
    let balancer = LoadBalancerCreate {
        name: format!("kube_service_{name}_default_theirs"),
        vip_subnet_id: Some(subnet),
        ..LoadBalancerCreate::default()
    };
    LoadBalancer::create(&mut cloud, &token, balancer)?;
    volume(&mut cloud, &token, name)?;
    let image = json!({"name": format!("{name}-image"), "disk_format": "raw", "container_format": "bare"});
    cloud.create_image(&token, image.as_object().cloned().unwrap_or_default())?;
    let credential =
        ApplicationCredentialCreate { name: format!("{name}-2"), ..ApplicationCredentialCreate::default() };
    cloud.create_application_credential(&token, credential)?;
    Ok(Inventory::of(&cloud, "demo").without(&before))
}

/// The network of a neighbour whose name goes on where the cluster's ends, a port and a group in it, and a floating IP.
/// The port and the subnet are given.
fn routed(cloud: &mut OpenStack, token: &Token, name: &str) -> Result<(String, String), ApiError> {
    let called = format!("k8s-clusterapi-cluster-{name}-2-{name}-2");
    let wanted = NetworkCreate { name: called.clone(), ..NetworkCreate::default() };
    let network = Network::create(cloud, token, wanted)?.id;
    let wanted = SubnetCreate {
        network_id: network.clone(),
        name: called.clone(),
        cidr: "10.66.0.0/24".to_owned(),
        ip_version: 4,
        ..SubnetCreate::default()
    };
    let subnet = Subnet::create(cloud, token, wanted)?.id;
    let public = Network::find(cloud, token, |network| network.external).next().map(|each| each.id.clone());
    let public = public.unwrap_or_default();
    let gateway = ExternalGatewayRequest { network_id: public.clone(), ..ExternalGatewayRequest::default() };
    let wanted =
        RouterCreate { name: called, external_gateway_info: Some(gateway), ..RouterCreate::default() };
    let router = Router::create(cloud, token, wanted)?.id;
    let interface = InterfaceRequest { subnet_id: Some(subnet.clone()), ..InterfaceRequest::default() };
    cloud.add_router_interface(token, &router, &interface)?;
    let wanted = SecurityGroupCreate {
        name: format!("k8s-cluster-{name}-2-{name}-2-secgroup-worker"),
        ..SecurityGroupCreate::default()
    };
    SecurityGroup::create(cloud, token, wanted)?;
    let wanted =
        PortCreate { network_id: network, name: format!("{name}-theirs-0"), ..PortCreate::default() };
    let port = Port::create(cloud, token, wanted)?.id;
    let wanted = FloatingIpCreate {
        floating_network_id: public,
        description: Some(format!("API server of {name}")),
        ..FloatingIpCreate::default()
    };
    FloatingIp::create(cloud, token, wanted)?;
    Ok((port, subnet))
}

/// A server in a group and with a keypair that are called after the cluster, without its metadata.
fn server(cloud: &mut OpenStack, token: &Token, name: &str, port: String) -> Result<(), ApiError> {
    let policy = Some("soft-anti-affinity".to_owned());
    let group =
        ServerGroupCreate { name: format!("{name}-control-plane-2"), policy, ..ServerGroupCreate::default() };
    cloud.create_server_group(token, group)?;
    let keypair =
        KeyPairCreate { name: name.to_owned(), public_key: Some(KEY.to_owned()), ..KeyPairCreate::default() };
    cloud.create_keypair(token, keypair)?;
    let flavor = cloud.flavors().iter().find(|flavor| flavor.disk > 0).map(|flavor| flavor.id.clone());
    let image = cloud.images(token).find(|image| image.status == "active").map(|image| image.id.clone());
    let server = ServerCreate {
        name: format!("{name}-control-plane-theirs"),
        flavor_ref: flavor.unwrap_or_default(),
        image_ref: image,
        networks: Some(vec![NetworkRequest { port: Some(port), ..NetworkRequest::default() }]),
        key_name: Some(name.to_owned()),
        ..ServerCreate::default()
    };
    cloud.create_server(token, ServerRequest { server, ..ServerRequest::default() }).map(drop)
}

/// A volume of a neighbour's CSI driver, with a snapshot.
fn volume(cloud: &mut OpenStack, token: &Token, name: &str) -> Result<(), ApiError> {
    let cluster = ("cinder.csi.openstack.org/cluster".to_owned(), format!("{name}-2"));
    let wanted = VolumeCreate {
        name: Some(format!("pvc-{name}")),
        size: Some(1),
        metadata: Some(BTreeMap::from([cluster])),
        ..VolumeCreate::default()
    };
    let volume = cloud.create_volume(token, wanted)?.id;
    cloud.change_volume(&volume, None, "available");
    let snapshot =
        SnapshotCreate { volume_id: volume, name: Some(name.to_owned()), ..SnapshotCreate::default() };
    cloud.create_snapshot(token, snapshot).map(drop)
}
