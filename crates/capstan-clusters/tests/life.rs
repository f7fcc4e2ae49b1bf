//! The life of a cluster on the sandbox: made, changed, upgraded, deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use capstan_core::plan::ChangeClass;
use capstan_engine::{Direction, Ended, ScaledClock};
use capstan_kube::Kind;
use capstan_openstack::{Cloud, Options, ServiceType};
use serde_json::{Value, json};
use support::{Rig, SMALL};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_to_life_and_leaves_nothing_behind() {
    let rig = Rig::new().await;
    let before = rig.inventory();
    rig.settle(SMALL).await;
    assert_eq!(rig.inventory().of_kind("server").count(), 2);
    let cluster = rig.object(&Kind::CLUSTER, "prod-web").await.unwrap();
    assert_eq!(cluster["status"]["initialization"]["controlPlaneInitialized"], true);
    let record = rig.object(&Kind::WORKLOAD_CLUSTER, "prod-web").await.unwrap();
    assert_eq!(
        (&record["status"]["phase"], &record["status"]["nodes"]),
        (&"Available".into(), &"2/2".into())
    );

    rig.remove(SMALL).await;
    assert_eq!(rig.inventory(), before);
    assert!(rig.object(&Kind::SECRET, "prod-web-cloud-config").await.is_none());
    assert_eq!(rig.sandbox.requests().unknown, []);
    rig.remove(SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_cluster_costs_no_write_and_no_openstack_call_of_its_own() {
    let rig = Rig::new().await;
    rig.settle(SMALL).await;
    let process = rig.process(SMALL).await;
    // The first look of a process lists what all clusters of the project share.
    assert_eq!(process.run(Direction::Present).await.applied, 0);
    let (calls, requests) = (process.subject.project.cloud().calls(), rig.sandbox.requests());
    let plan = process.plan(Direction::Present).await;
    assert!(plan.is_empty(), "{plan:?}");
    let own = process.subject.project.cloud().calls().since(&calls);
    assert_eq!(own.total(), 0, "{own}");
    assert_eq!(rig.sandbox.requests().writes, requests.writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_scale_roll_and_go() {
    let rig = Rig::new().await;
    rig.settle(SMALL).await;

    let two = "{kubernetes: {version: v1.36.2}, nodeGroups: [{name: default, replicas: 2}, {name: more, replicas: 1}]}";
    let plan = rig.plan(two).await;
    let scaled =
        plan.changes.iter().find(|change| change.object == "MachineDeployment prod-web-default").unwrap();
    assert_eq!((&scaled.class, scaled.why.as_str()), (&ChangeClass::InPlace, "1 machine more"));
    rig.settle(two).await;
    assert_eq!(rig.inventory().of_kind("server").count(), 4);

    let larger = "{kubernetes: {version: v1.36.2}, nodeGroups: [{name: default, replicas: 2, flavor: SCS-4V-8-20}, {name: more, replicas: 1}]}";
    let plan = rig.plan(larger).await;
    let rolled =
        plan.changes.iter().find(|change| change.object == "MachineDeployment prod-web-default").unwrap();
    assert_eq!(rolled.class, ChangeClass::Rolls { machines: 2, group: "default".to_owned() });
    let flavor = rolled.fields.iter().find(|field| field.path == "machine.flavor").unwrap();
    assert_eq!((flavor.from.as_deref(), flavor.to.as_deref()), (Some("SCS-2V-4-20s"), Some("SCS-4V-8-20")));
    rig.settle(larger).await;
    assert_eq!(rig.inventory().of_kind("server").count(), 4);

    let plan = rig.plan(SMALL).await;
    let gone = plan.changes.iter().find(|change| change.object == "MachineDeployment prod-web-more").unwrap();
    assert_eq!(gone.class, ChangeClass::Destroys { data: vec!["the local disks of 1 machines".to_owned()] });
    rig.settle(SMALL).await;
    assert_eq!(rig.inventory().of_kind("server").count(), 2);
    assert!(rig.plan(SMALL).await.is_empty());
    // The group's templates are pruned, and its server group went before them.
    assert!(
        !rig.names(&Kind::OPENSTACK_MACHINE_TEMPLATE)
            .await
            .iter()
            .any(|name| name.starts_with("prod-web-more"))
    );
    assert!(rig.inventory().of_kind("server_group").all(|group| group.name != "prod-web-more"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_moves_the_control_plane_first() {
    let rig = Rig::new().await;
    let old = "{kubernetes: {version: v1.36.2}, controlPlane: {replicas: 3}, nodeGroups: [{name: default, replicas: 2}]}";
    let new = "{kubernetes: {version: v1.36.3}, controlPlane: {replicas: 3}, nodeGroups: [{name: default, replicas: 2}]}";
    rig.settle(old).await;
    let plan = rig.plan(new).await;
    assert_eq!(plan.counts().rolling_machines, 5, "{plan:?}");
    rig.settle(new).await;
    let control_plane = rig.object(&Kind::KUBEADM_CONTROL_PLANE, "prod-web-control-plane").await.unwrap();
    assert_eq!(control_plane["status"]["version"], "v1.36.3");
    let machines = Kind::MACHINE.api(rig.client().await, Some("prod-web"));
    for machine in machines.list(&Default::default()).await.unwrap() {
        assert_eq!(machine.data["spec"]["version"], "v1.36.3");
    }
    assert!(rig.plan(new).await.is_empty());
    let back = rig.plan(old).await;
    assert!(back.blocked.iter().any(|obstacle| obstacle.why.contains("v1.36.2")), "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minor_alone_takes_the_newest_published_image() {
    let rig = Rig::new().await;
    let spec = "{kubernetes: {version: '1.36'}, nodeGroups: [{name: default, replicas: 0}]}";
    rig.settle(spec).await;
    let control_plane = rig.object(&Kind::KUBEADM_CONTROL_PLANE, "prod-web-control-plane").await.unwrap();
    assert_eq!(control_plane["spec"]["version"], "v1.36.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_refused_by_the_plan_and_nothing_is_changed() {
    let rig = Rig::new().await;
    rig.settle(SMALL).await;
    let moved = "{kubernetes: {version: v1.36.2}, network: {nodeCidr: 10.7.0.0/24}, nodeGroups: [{name: default, replicas: 1}]}";
    let plan = rig.plan(moved).await;
    let refused: Vec<_> = plan.refused().map(|change| change.object.as_str()).collect();
    assert_eq!(refused, ["OpenStackCluster prod-web"]);
    let writes = rig.sandbox.requests().writes;
    let report = rig.apply(moved).await;
    assert_eq!(report.ended, Ended::Blocked);
    let cluster = rig.object(&Kind::OPENSTACK_CLUSTER, "prod-web").await.unwrap();
    assert_eq!(cluster["spec"]["managedSubnets"][0]["cidr"], "10.8.0.0/20");
    assert!(rig.sandbox.requests().writes > writes, "the record says what is wanted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_cluster_is_not_touched() {
    let rig = Rig::new().await;
    let protected = "{kubernetes: {version: v1.36.2}, nodeGroups: [{name: default, replicas: 1}], deletionProtection: true}";
    rig.settle(protected).await;
    let before = rig.inventory();
    assert_eq!(rig.delete(protected).await.ended, Ended::Blocked);
    assert_eq!(rig.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_make_one_cluster() {
    let rig = Rig::new().await;
    let mut one = rig.process(SMALL).await;
    let mut other = rig.process(SMALL).await;
    for (process, name) in [(&mut one, "one"), (&mut other, "other")] {
        process.settings.holder = name.to_owned();
        process.settings.is_dead = Arc::new(|_| false);
        // A Lease that is renewed by a clock two hundred times too fast is lost on a busy machine.
        process.settings.clock = Arc::new(ScaledClock::new(10.0));
    }
    let (first, second) = tokio::join!(one.run(Direction::Present), other.run(Direction::Present));
    assert_eq!((first.ended, second.ended), (Ended::Settled, Ended::Settled));
    assert!(first.applied == 0 || second.applied == 0, "{} and {}", first.applied, second.applied);
    assert_eq!(rig.inventory().of_kind("application_credential").count(), 1);
}

/// A root volume for a flavor without a disk, a zone, and a network of the user's, which stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_lives_in_a_network_that_was_there_before() {
    let rig = Rig::new().await;
    let cloud = Cloud::connect(&rig.cloud, Options::default()).await.unwrap();
    let neutron = cloud.service(ServiceType::Network).unwrap();
    let make = async |path: &str, kind: &str, body: Value| -> Value {
        neutron.post(&[path]).json(json!({ kind: body })).one(kind).await.unwrap()
    };
    let networks = cloud.network().unwrap().networks(&Default::default()).await.unwrap();
    let external = networks.iter().find(|network| network.name == "public").unwrap();
    let network = make("networks", "network", json!({"name": "mine"})).await;
    let range = json!({"network_id": network["id"], "ip_version": 4, "cidr": "10.11.0.0/24"});
    let subnet = make("subnets", "subnet", range).await;
    let gateway = json!({"name": "mine", "external_gateway_info": {"network_id": external.id}});
    let router = make("routers", "router", gateway).await;
    let router = router["id"].as_str().unwrap().to_owned();
    let interface = json!({"subnet_id": subnet["id"]});
    neutron.put(&["routers", &router, "add_router_interface"]).json(interface).done().await.unwrap();
    let before = rig.inventory();

    let spec = "{kubernetes: {version: v1.36.2}, network: {existing: {network: mine, router: mine}}, \
                controlPlane: {flavor: SCS-2V-4, zones: [az2]}, nodeGroups: [{name: default, replicas: 1, zones: [az3]}]}";
    rig.settle(spec).await;
    let servers = cloud.compute().unwrap().servers(&Default::default()).await.unwrap();
    let zones: Vec<_> = servers.iter().map(|server| server.availability_zone.as_str()).collect();
    assert!(zones.contains(&"az2") && zones.contains(&"az3"), "{zones:?}");
    assert_eq!(rig.inventory().of_kind("volume").count(), 1, "the root volume");
    assert_eq!(rig.inventory().of_kind("network").count(), before.of_kind("network").count());
    rig.remove(spec).await;
    assert_eq!(rig.inventory(), before);
}
