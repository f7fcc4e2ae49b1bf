//! Rendering alone: every object fits its generated type, and what a change of the document changes.

use std::collections::{BTreeMap, BTreeSet};

use capstan_core::documents::{ResolvedCluster, Source, load};
use capstan_kube_types::cluster::Cluster;
use capstan_kube_types::kubeadm_config_template::KubeadmConfigTemplate;
use capstan_kube_types::kubeadm_control_plane::KubeadmControlPlane;
use capstan_kube_types::machine_deployment::MachineDeployment;
use capstan_kube_types::machine_health_check::MachineHealthCheck;
use capstan_kube_types::openstack_cluster::OpenStackCluster;
use capstan_kube_types::openstack_machine_template::OpenStackMachineTemplate;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::facts::{ExistingNetwork, Flavor};

const SMALL: &str = "kubernetes: {version: v1.36.3}";

/// Uses every field that rendering knows.
const LARGE: &str = "
  kubernetes: {version: v1.36.3}
  image: {name: 'ubuntu-2404-kube-{version}'}
  network: {nodeCidr: 10.9.0.0/24, podCidrs: [10.244.0.0/16], serviceCidrs: [10.97.0.0/16], dnsServers: [192.0.2.53], mtu: 1400}
  api: {allowedCidrs: [203.0.113.0/24], floatingIp: false, loadBalancer: {provider: ovn, flavor: small}}
  sshKeyName: mine
  controlPlane: {replicas: 3, flavor: SCS-4V-8-20, zones: [az1, az2], antiAffinity: hard, rootVolume: {sizeGiB: 50, type: fast}, metadata: {team: infra}}
  nodeGroups:
    - {name: default, replicas: 5, zones: [az1, az2], flavor: SCS-2V-4, labels: {tier: web, node.cluster.x-k8s.io/pool: a}, taints: [{key: only, value: web, effect: NoSchedule}, {key: bare, effect: NoExecute}]}
    - {name: gpu, replicas: 0, antiAffinity: none, flavor: SCS-4V-8-20}
  healthChecks: {maxUnhealthy: 40%}";

fn cluster(spec: &str) -> ResolvedCluster {
    let fleet = "apiVersion: capstan.dev/v1alpha1\nkind: Fleet\nmetadata: {name: prod}\nspec:\n  management: {runtime: existing}\n";
    let indented = if spec.starts_with('\n') { spec.to_owned() } else { format!("\n  {spec}") };
    let document = format!(
        "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: web}}\nspec:{indented}\n"
    );
    let sources = [Source::new("fleet.yaml", fleet), Source::new("clusters/web.yaml", document)];
    load(&sources).unwrap_or_else(|problems| panic!("{problems:?}")).clusters.remove(0)
}

fn facts() -> Facts {
    let flavor = |vcpus, ram_mib, disk_gib| Flavor { vcpus, ram_mib, disk_gib };
    Facts {
        version: "v1.36.3".parse().unwrap(),
        flavors: BTreeMap::from([
            ("SCS-2V-4-20s".to_owned(), flavor(2, 4096, 20)),
            ("SCS-4V-8-20".to_owned(), flavor(4, 8192, 20)),
            ("SCS-2V-4".to_owned(), flavor(2, 4096, 0)),
        ]),
        image_min_disk_gib: 8,
        external_network: Some("ext-id".to_owned()),
        existing_network: None,
        volume_zones_match: true,
    }
}

fn render(spec: &str, facts: &Facts) -> Vec<Value> {
    let cluster = cluster(spec);
    objects(Input { names: &cluster.names, spec: &cluster.spec, facts }).iter().cloned().collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// Reads an object as its generated type and writes it again: a field that the type doesn't know would be lost.
fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    serde_json::to_value(typed).unwrap()
}

#[test]
fn every_field_is_one_that_the_crds_know() {
    let existing = Facts {
        existing_network: Some(ExistingNetwork {
            network: "n".to_owned(),
            subnets: vec!["s".to_owned()],
            router: Some("r".to_owned()),
        }),
        ..facts()
    };
    let all = [render(SMALL, &facts()), render(LARGE, &facts()), render(LARGE, &existing)].concat();
    let mut kinds = BTreeSet::new();
    for object in &all {
        let kind = object["kind"].as_str().unwrap();
        kinds.insert(kind);
        let again = match kind {
            "Cluster" => through::<Cluster>(object),
            "OpenStackCluster" => through::<OpenStackCluster>(object),
            "KubeadmControlPlane" => through::<KubeadmControlPlane>(object),
            "OpenStackMachineTemplate" => through::<OpenStackMachineTemplate>(object),
            "MachineDeployment" => through::<MachineDeployment>(object),
            "KubeadmConfigTemplate" => through::<KubeadmConfigTemplate>(object),
            "MachineHealthCheck" => through::<MachineHealthCheck>(object),
            other => panic!("{other} has no type here"),
        };
        let lost = capstan_kube::diff::diff(object, &again);
        assert!(lost.fields.is_empty(), "{kind}: {:?}", lost.fields);
    }
    assert_eq!(kinds.len(), 7);
}

#[test]
fn objects_of_a_small_cluster() {
    insta::assert_yaml_snapshot!(render(SMALL, &facts()));
}

#[test]
fn objects_of_a_cluster_that_uses_everything() {
    insta::assert_yaml_snapshot!(render(LARGE, &facts()));
}

#[test]
fn a_diskless_flavor_gets_a_root_volume_in_the_zone_of_its_machine() {
    let objects = render(LARGE, &facts());
    let deployment = find(&objects, "MachineDeployment", "prod-web-default-az1");
    let template = deployment["spec"]["template"]["spec"]["infrastructureRef"]["name"].as_str().unwrap();
    let volume =
        &find(&objects, "OpenStackMachineTemplate", template)["spec"]["template"]["spec"]["rootVolume"];
    assert_eq!(*volume, serde_json::json!({"sizeGiB": 20, "availabilityZone": {"from": "Machine"}}));
}

#[test]
fn a_group_over_zones_is_divided_and_nothing_gets_lost() {
    let objects = render(LARGE, &facts());
    let replicas = |name| find(&objects, "MachineDeployment", name)["spec"]["replicas"].as_u64().unwrap();
    assert_eq!((replicas("prod-web-default-az1"), replicas("prod-web-default-az2")), (3, 2));
}

#[test]
fn another_flavor_or_release_is_another_template_and_a_replica_is_not() {
    let template = |spec: &str, facts: &Facts| {
        let objects = render(spec, facts);
        let deployment = find(&objects, "MachineDeployment", "prod-web-default");
        deployment["spec"]["template"]["spec"]["infrastructureRef"]["name"].as_str().unwrap().to_owned()
    };
    let base = template("{kubernetes: {version: v1.36.3}, nodeGroups: [{name: default}]}", &facts());
    let more =
        template("{kubernetes: {version: v1.36.3}, nodeGroups: [{name: default, replicas: 9}]}", &facts());
    let other = template(
        "{kubernetes: {version: v1.36.3}, nodeGroups: [{name: default, flavor: SCS-4V-8-20}]}",
        &facts(),
    );
    let older = Facts { version: "v1.36.2".parse().unwrap(), ..facts() };
    let release = template("{kubernetes: {version: v1.36.2}, nodeGroups: [{name: default}]}", &older);
    assert_eq!(base, more);
    assert_ne!(base, other);
    assert_ne!(base, release);
}

#[test]
fn hard_anti_affinity_needs_no_further_hypervisor_in_a_rollout() {
    let objects = render(LARGE, &facts());
    let control_plane = find(&objects, "KubeadmControlPlane", "prod-web-control-plane");
    assert_eq!(control_plane["spec"]["rollout"]["strategy"]["rollingUpdate"]["maxSurge"], 0);
}

#[test]
fn everything_carries_fleet_and_cluster() {
    for object in render(LARGE, &facts()) {
        let labels = &object["metadata"]["labels"];
        assert_eq!(
            (&labels["capstan.dev/fleet"], &labels["capstan.dev/cluster"]),
            (&json!("prod"), &json!("web"))
        );
        assert_eq!(object["metadata"]["namespace"], "prod-web");
    }
}
