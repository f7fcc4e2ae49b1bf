//! What looks like the cluster `web` of the fleet `prod` and isn't: the cluster `web-shop` of the same fleet, the
//! cluster `web` of the fleet `prod2`, and things of people who happen to use such names.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use capstan_sandbox::Sandbox;
use serde_json::json;
use std::time::Duration;

use crate::raw::{Raw, named};
use crate::time::pause;

/// Long enough for everything that a stranger makes to be there.
const SETTLED: Duration = Duration::from_secs(180);

const SHOP: [&str; 2] = ["capstan:fleet=prod", "capstan:cluster=web-shop"];
const OTHER: [&str; 2] = ["capstan:fleet=prod2", "capstan:cluster=web"];

/// Makes all of it.
pub(crate) async fn move_in(sandbox: &Sandbox) -> Result<()> {
    let raw = Raw::demo(sandbox).await?;
    let (network, subnet) = networks(&raw).await?;
    machines(&raw, &network).await?;
    balancers(&raw, &subnet).await?;
    storage(&raw).await?;
    objects(&raw).await?;
    pause(SETTLED).await;
    Ok(())
}

async fn tag(raw: &Raw, kind: &str, id: &str, tags: [&str; 2]) -> Result<()> {
    raw.put(&format!("/network/v2.0/{kind}/{id}/tags"), &json!({ "tags": tags })).await.map(drop)
}

async fn networks(raw: &Raw) -> Result<(String, String)> {
    let public = named(&raw.get("/network/v2.0/networks?router:external=true").await?["networks"], "public")?;
    let name = "k8s-clusterapi-cluster-prod-web-shop-prod-web-shop";
    let network = raw.make("/network/v2.0/networks", "network", json!({ "name": name })).await?;
    tag(raw, "networks", &network, SHOP).await?;
    let wanted = json!({"network_id": network, "cidr": "10.8.0.0/20", "ip_version": 4, "name": name});
    let subnet = raw.make("/network/v2.0/subnets", "subnet", wanted).await?;
    let wanted = json!({"name": name, "external_gateway_info": {"network_id": public}});
    let router = raw.make("/network/v2.0/routers", "router", wanted).await?;
    tag(raw, "routers", &router, SHOP).await?;
    let path = format!("/network/v2.0/routers/{router}/add_router_interface");
    raw.put(&path, &json!({ "subnet_id": subnet })).await?;
    let other = raw.make("/network/v2.0/networks", "network", json!({"name": "prod-web"})).await?;
    let port = raw
        .make("/network/v2.0/ports", "port", json!({"network_id": other, "name": "prod-web-port"}))
        .await?;
    tag(raw, "ports", &port, OTHER).await?;
    for (tags, suffix) in [(SHOP, "-shop"), (OTHER, "2")] {
        let wanted = json!({"name": format!("k8s-cluster-prod-web{suffix}-secgroup-worker")});
        let group = raw.make("/network/v2.0/security-groups", "security_group", wanted).await?;
        tag(raw, "security-groups", &group, tags).await?;
        let wanted = json!({"floating_network_id": public, "description": "for prod-web"});
        let address = raw.make("/network/v2.0/floatingips", "floatingip", wanted).await?;
        tag(raw, "floatingips", &address, tags).await?;
    }
    Ok((network, subnet))
}

async fn machines(raw: &Raw, network: &str) -> Result<()> {
    let flavor = named(&raw.get("/compute/v2.1/flavors").await?["flavors"], "SCS-2V-4-20s")?;
    let image = named(&raw.get("/image/v2/images?limit=100").await?["images"], "Ubuntu 24.04")?;
    for (name, fleet, cluster) in
        [("prod-web-shop-default-a", "prod", "web-shop"), ("prod-web-old", "prod2", "web")]
    {
        let server = json!({"name": name, "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": network}],
            "metadata": {"capstan:fleet": fleet, "capstan:cluster": cluster}});
        raw.make("/compute/v2.1/servers", "server", server).await?;
    }
    for name in ["prod-web-shop-control-plane", "prod-webcontrol-plane"] {
        let group = json!({"name": name, "policy": "soft-anti-affinity"});
        raw.make("/compute/v2.1/os-server-groups", "server_group", group).await?;
    }
    let path = format!("/identity/v3/users/{}/application_credentials", raw.user);
    for (name, description) in [
        ("prod-web-shop-0badcafe", "capstan:fleet=prod capstan:cluster=web-shop"),
        ("prod-web-mine", "for my laptop"),
    ] {
        let wanted = json!({"name": name, "description": description});
        raw.make(&path, "application_credential", wanted).await?;
    }
    Ok(())
}

async fn balancers(raw: &Raw, subnet: &str) -> Result<()> {
    for (name, description) in [
        (
            "kube_service_prod-web-shop_default_site",
            "Kubernetes external service default/site from cluster prod-web-shop",
        ),
        ("k8s-clusterapi-cluster-prod-web-shop-prod-web-shop-kubeapi", ""),
    ] {
        let wanted = json!({"name": name, "description": description, "vip_subnet_id": subnet});
        raw.make("/load-balancer/v2/lbaas/loadbalancers", "loadbalancer", wanted).await?;
    }
    Ok(())
}

async fn storage(raw: &Raw) -> Result<()> {
    let metadata = json!({"cinder.csi.openstack.org/cluster": "prod-web-shop"});
    let wanted = json!({"size": 1, "name": "pvc-prod-web", "metadata": metadata});
    raw.make(&format!("/volume/v3/{}/volumes", raw.project), "volume", wanted).await?;
    let image = json!({"name": "mine-v1.36.9", "disk_format": "raw", "container_format": "bare", "capstan:fleet": "prod2"});
    raw.post("/image/v2/images", &image).await?;
    Ok(())
}

async fn objects(raw: &Raw) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod-web-shop",
        "labels": {"capstan.dev/fleet": "prod", "capstan.dev/cluster": "web-shop"}}});
    raw.post("/kubernetes/api/v1/namespaces", &namespace).await?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prod-web-shop-cloud-config"},
        "data": {"clouds.yaml": STANDARD.encode("clouds: {}")}});
    raw.post("/kubernetes/api/v1/namespaces/prod-web-shop/secrets", &secret).await?;
    Ok(())
}
