//! What the webhooks and schemas of Cluster API and CAPO say to Capstan's objects.

use anyhow::{Context, Result, ensure};
use capstan_kube::diff::diff;
use capstan_kube::{Error, Kind, Refused};
use capstan_kube_types::{cluster, kubeadm_control_plane, machine_deployment, openstack_cluster};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Site;
use super::site::refused;

/// An even number of control planes is refused, and the field named.
///
/// # Errors
/// It is not so.
pub async fn even_control_planes_are_refused(site: &Site) -> Result<()> {
    let refusal = refusal(site.applier().apply(&control_plane(site, 2)).await)?;
    let cause = refusal.causes.iter().find(|cause| cause.field == "spec.replicas");
    let cause = cause.with_context(|| format!("{refusal:?}"))?;
    ensure!(cause.message.contains("cannot be an even number"), "{cause:?}");
    site.applier().apply(&control_plane(site, 1)).await?;
    let refusal = self::refusal(site.applier().apply(&control_plane(site, 4)).await)?;
    ensure!(refusal.causes.iter().any(|cause| cause.field == "spec.replicas"), "{refusal:?}");
    site.applier().apply(&control_plane(site, 3)).await?;
    Ok(())
}

/// The subnets of an OpenStackCluster can't be changed.
///
/// # Errors
/// It is not so.
pub async fn network_of_a_cluster_is_immutable(site: &Site) -> Result<()> {
    site.applier().apply(&cluster(site, "10.8.0.0/20", &["192.0.2.0/24"])).await?;
    let refusal = refusal(site.applier().apply(&cluster(site, "10.9.0.0/20", &["192.0.2.0/24"])).await)?;
    ensure!(refusal.webhook.is_some(), "{refusal:?}");
    let text = refusal.to_string();
    ensure!(text.contains("cannot be modified") && text.contains("spec"), "{text}");
    let now = site.get(&Kind::OPENSTACK_CLUSTER, "c").await?.context("it is there")?;
    ensure!(now.data["spec"]["managedSubnets"][0]["cidr"] == "10.8.0.0/20");
    Ok(())
}

/// Who may reach the API can be changed.
///
/// # Errors
/// It is not so.
pub async fn allowed_addresses_are_mutable(site: &Site) -> Result<()> {
    site.applier().apply(&cluster(site, "10.8.0.0/20", &["192.0.2.0/24"])).await?;
    let wanted = ["192.0.2.0/24", "198.51.100.0/24"];
    let changed = site.applier().apply(&cluster(site, "10.8.0.0/20", &wanted)).await?.object;
    ensure!(changed.data["spec"]["apiServerLoadBalancer"]["allowedCIDRs"] == json!(wanted));
    Ok(())
}

/// A machine template can't be changed: a new one needs another name.
///
/// # Errors
/// It is not so.
pub async fn machine_template_is_immutable(site: &Site) -> Result<()> {
    site.applier().apply(&machine_template(site, "SCS-2V-4-20s")).await?;
    let refusal = refusal(site.applier().apply(&machine_template(site, "SCS-4V-8-20")).await)?;
    ensure!(refusal.to_string().contains("immutable"), "{refusal}");
    Ok(())
}

/// Extra arguments of kubeadm are a list of names and values.
///
/// # Errors
/// It is not so.
pub async fn bootstrap_template_takes_extra_arguments(site: &Site) -> Result<()> {
    let registration = |arguments: Value| {
        json!({"apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2", "kind": "KubeadmConfigTemplate",
            "metadata": {"name": "c", "namespace": site.namespace},
            "spec": {"template": {"spec": {"joinConfiguration": {"nodeRegistration": {"kubeletExtraArgs": arguments}}}}}})
    };
    let wanted = json!([{"name": "cloud-provider", "value": "external"}, {"name": "v", "value": "2"}]);
    let applied = site.applier().apply(&registration(wanted.clone())).await?.object;
    let stored = &applied.data["spec"]["template"]["spec"]["joinConfiguration"]["nodeRegistration"];
    ensure!(stored["kubeletExtraArgs"] == wanted, "{stored}");
    // The older form, a map.
    refused("refused", site.applier().apply(&registration(json!({"v": "2"}))).await)?;
    Ok(())
}

/// What webhooks and schemas add to an applied object is no difference to it, and applying it again changes nothing.
///
/// # Errors
/// It is not so.
pub async fn defaults_are_no_difference(site: &Site) -> Result<()> {
    for desired in
        [control_plane(site, 1), cluster(site, "10.8.0.0/20", &[]), machine_template(site, "SCS-2V-4-20s")]
    {
        let applied = site.applier().apply(&desired).await?.object;
        let differences = diff(&desired, &serde_json::to_value(&applied)?);
        ensure!(differences.is_empty(), "{}: {differences:?}", desired["kind"]);
        let before = applied.metadata.generation;
        let again = site.applier().apply_over(&desired, Some(&applied)).await?;
        ensure!(again.object.metadata.generation == before, "{} {:?}", desired["kind"], again);
    }
    Ok(())
}

/// The generated types are what the API takes, and what it answers fits into them.
///
/// # Errors
/// It is not so.
pub async fn typed_objects_are_taken_and_read_back(site: &Site) -> Result<()> {
    let network = cluster::ClusterClusterNetwork {
        pods: Some(cluster::ClusterClusterNetworkPods { cidr_blocks: vec!["192.168.0.0/16".into()] }),
        ..Default::default()
    };
    let reference = cluster::ClusterInfrastructureRef {
        api_group: "infrastructure.cluster.x-k8s.io".into(),
        kind: "OpenStackCluster".into(),
        name: "c".into(),
    };
    let spec = cluster::ClusterSpec {
        cluster_network: Some(network),
        infrastructure_ref: Some(reference),
        ..Default::default()
    };
    read_back(site, cluster::Cluster::new("c", spec)).await?;

    let template = machine_deployment::MachineDeploymentTemplateSpec {
        cluster_name: "c".into(),
        version: Some("v1.36.1".into()),
        bootstrap: machine_deployment::MachineDeploymentTemplateSpecBootstrap {
            data_secret_name: Some("none".into()),
            ..Default::default()
        },
        infrastructure_ref: machine_deployment::MachineDeploymentTemplateSpecInfrastructureRef {
            api_group: "infrastructure.cluster.x-k8s.io".into(),
            kind: "OpenStackMachineTemplate".into(),
            name: "c".into(),
        },
        ..Default::default()
    };
    let spec = machine_deployment::MachineDeploymentSpec {
        cluster_name: "c".into(),
        replicas: Some(2),
        template: machine_deployment::MachineDeploymentTemplate { spec: template, ..Default::default() },
        ..Default::default()
    };
    read_back(site, machine_deployment::MachineDeployment::new("c", spec)).await?;

    let spec: kubeadm_control_plane::KubeadmControlPlaneSpec =
        serde_json::from_value(control_plane(site, 3)["spec"].clone())?;
    read_back(site, kubeadm_control_plane::KubeadmControlPlane::new("c", spec)).await?;

    let spec = openstack_cluster::OpenStackClusterSpec {
        identity_ref: openstack_cluster::OpenStackClusterIdentityRef {
            name: "c-cloud-config".into(),
            cloud_name: "openstack".into(),
            ..Default::default()
        },
        ..Default::default()
    };
    read_back(site, openstack_cluster::OpenStackCluster::new("c", spec)).await
}

/// Applies a typed object without storing it; what the server made of it, read as that type, holds all that was said.
async fn read_back<K>(site: &Site, mut object: K) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    object.meta_mut().namespace = Some(site.namespace.clone());
    let said = serde_json::to_value(&object)?;
    let answer = site.applier().dry().apply(&object).await.with_context(|| K::kind(&()).into_owned())?.object;
    let read: K =
        serde_json::from_value(serde_json::to_value(&answer)?).context("read the answer as the type")?;
    let differences = diff(&said, &serde_json::to_value(&read)?);
    ensure!(differences.fields.is_empty(), "{}: {:?}", K::kind(&()), differences.fields);
    Ok(())
}

fn refusal<T>(result: Result<T, Error>) -> Result<Box<Refused>> {
    match refused("refused", result)? {
        Error::Refused(refusal) => Ok(refusal),
        other => Err(other.into()),
    }
}

fn control_plane(site: &Site, replicas: u8) -> Value {
    json!({"apiVersion": "controlplane.cluster.x-k8s.io/v1beta2", "kind": "KubeadmControlPlane",
    "metadata": {"name": "c", "namespace": site.namespace},
    "spec": {
        "replicas": replicas,
        "version": "v1.36.1",
        "machineTemplate": {"spec": {"infrastructureRef": {
            "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "OpenStackMachineTemplate", "name": "c",
        }}},
        "kubeadmConfigSpec": {
            "clusterConfiguration": {"apiServer": {"extraArgs": [{"name": "v", "value": "2"}]}},
            "joinConfiguration": {"nodeRegistration": {"name": "{{ local_hostname }}"}},
        },
    }})
}

fn cluster(site: &Site, nodes: &str, allowed: &[&str]) -> Value {
    let mut balancer = json!({"enabled": true});
    if !allowed.is_empty() {
        balancer["allowedCIDRs"] = json!(allowed);
    }
    json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "OpenStackCluster",
    "metadata": {"name": "c", "namespace": site.namespace},
    "spec": {
        "identityRef": {"name": "c-cloud-config", "cloudName": "openstack"},
        "managedSubnets": [{"cidr": nodes}],
        "apiServerLoadBalancer": balancer,
        "managedSecurityGroups": {"allowAllInClusterTraffic": true},
    }})
}

fn machine_template(site: &Site, flavor: &str) -> Value {
    json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "OpenStackMachineTemplate",
    "metadata": {"name": "c", "namespace": site.namespace},
    "spec": {"template": {"spec": {
        "flavor": flavor,
        "image": {"filter": {"name": "ubuntu-capi-image-v1.36.1"}},
        "serverMetadata": [{"key": "capstan:fleet", "value": "contract"}],
    }}}})
}
