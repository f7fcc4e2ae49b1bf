//! What users meet: short quotas, orphans, expired credentials, images that must be uploaded, lost answers; servers that
//! fail, kills and more are the harness's. At the end nothing is there twice and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use capstan_engine::{Direction, Ended, Outcome};
use capstan_kube::Kind;
use capstan_openstack::{Cloud, CloudConfig, Options};
use capstan_sandbox::faults::{Effect, Match};
use serde_json::json;
use support::{Rig, SMALL};

/// Every problem in one list, near names suggested, nothing made.
#[tokio::test(flavor = "multi_thread")]
async fn preflight_tells_everything_at_once() {
    let rig = Rig::new().await;
    let before = rig.inventory();
    let spec = "{kubernetes: {version: v1.36.9}, controlPlane: {flavor: SCS-2V-4-20, zones: [az9]}, sshKeyName: nobodys, \
                nodeGroups: [{name: default, flavor: huge}], network: {external: publik}}";
    let report = rig.apply(spec).await;
    assert_eq!(report.ended, Ended::Blocked);
    let Outcome::Blocked { why, .. } = &report.last.step("preflight").unwrap().outcome else {
        panic!("{report:?}")
    };
    for part in [
        "flavor `SCS-2V-4-20`; did you mean `SCS-2V-4-20s`?",
        "no flavor `huge`",
        "availability zone `az9`; did you mean",
        "key pair `nobodys`",
        "image `ubuntu-capi-image-v1.36.9`; did you mean",
        "external network `publik`; did you mean `public`?",
    ] {
        assert!(why.contains(part), "`{part}` is missing in:\n{why}");
    }
    assert_eq!(rig.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_quota_is_told_in_numbers_before_anything_is_made() {
    let rig = Rig::new().await;
    rig.sandbox.set_quota("compute", "cores", 3);
    let before = rig.inventory();
    let report = rig.apply(SMALL).await;
    let Outcome::Blocked { why, .. } = &report.last.step("preflight").unwrap().outcome else {
        panic!("{report:?}")
    };
    assert!(why.contains("cores is short: 4 are needed, 3 of 3 are free"), "{why}");
    assert_eq!(rig.inventory(), before);
}

/// A load balancer, a volume and a port that nobody deletes by himself, and those of a stranger, which stay.
#[tokio::test(flavor = "multi_thread")]
async fn orphans_go_and_what_is_somebody_elses_stays() {
    let rig = Rig::new().await;
    let before = rig.inventory();
    rig.settle(SMALL).await;
    let cloud = Cloud::connect(&rig.cloud, Options::default()).await.unwrap();
    let networks = cloud.network().unwrap().networks(&Default::default()).await.unwrap();
    let own =
        networks.iter().find(|network| network.name == "k8s-clusterapi-cluster-prod-web-prod-web").unwrap();
    let octavia = cloud.service(capstan_openstack::ServiceType::LoadBalancer).unwrap();
    let balancer = json!({"loadbalancer": {"name": "kube_service_prod-web_default_orphan", "vip_subnet_id": own.subnets[0]}});
    octavia.post(&["lbaas", "loadbalancers"]).json(balancer).done().await.unwrap();
    let neutron = cloud.service(capstan_openstack::ServiceType::Network).unwrap();
    neutron.post(&["ports"]).json(json!({"port": {"network_id": own.id}})).done().await.unwrap();
    let cinder = cloud.service(capstan_openstack::ServiceType::BlockStorage).unwrap();
    for cluster in ["prod-web", "prod-web2"] {
        let metadata = json!({"cinder.csi.openstack.org/cluster": cluster});
        let volume = json!({"volume": {"size": 1, "name": format!("pvc-{cluster}"), "metadata": metadata}});
        cinder.post(&["volumes"]).json(volume).done().await.unwrap();
    }
    rig.remove(SMALL).await;
    let after = rig.inventory();
    let left: Vec<_> =
        after.resources.difference(&before.resources).map(|entry| entry.name.as_str()).collect();
    assert_eq!(left, ["pvc-prod-web2"]);
}

/// Deleting works when the cluster's credential is gone: the fleet's own makes another.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_credential_was_revoked_can_be_deleted() {
    let rig = Rig::new().await;
    let before = rig.inventory();
    rig.settle(SMALL).await;
    let cloud = Cloud::connect(&rig.cloud, Options::default()).await.unwrap();
    for credential in cloud.identity().application_credentials().await.unwrap() {
        cloud.identity().delete_application_credential(&credential.id).await.unwrap();
    }
    rig.remove(SMALL).await;
    assert_eq!(rig.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_credential_says_what_to_do_and_a_shared_one_works() {
    let mut rig = Rig::new().await;
    let cloud = Cloud::connect(&rig.cloud, Options::default()).await.unwrap();
    let new = capstan_openstack::identity::NewApplicationCredential {
        name: "mine".to_owned(),
        ..Default::default()
    };
    let made = cloud.identity().create_application_credential(&new).await.unwrap();
    let before = rig.inventory();
    rig.cloud = rig.cloud.with_application_credential(&made.id, made.secret.unwrap());
    let report = rig.apply(SMALL).await;
    let Outcome::Blocked { hint, .. } = &report.last.step("credential").unwrap().outcome else {
        panic!("{report:?}")
    };
    assert!(hint.contains("scope: fleet"), "{hint}");

    let shared = rig.process_with(SMALL, ", credentials: {scope: fleet}").await;
    assert_eq!(shared.run(Direction::Present).await.ended, Ended::Settled);
    assert_eq!(shared.run(Direction::Absent).await.ended, Ended::Settled);
    assert_eq!(rig.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_uploaded_once_verified_and_a_wrong_one_never_becomes_usable() {
    let mut rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.raw"), b"abcdef").unwrap();
    rig.folder = folder.path().to_owned();
    let spec = |sum: &str| {
        format!(
            "{{kubernetes: {{version: v1.36.2}}, nodeGroups: [{{name: default, replicas: 0}}], \
             image: {{name: 'mine-{{version}}', source: node.raw, sha256: '{sum}', format: raw}}}}"
        )
    };
    let before = rig.inventory();
    let report = rig.apply(&spec(&"0".repeat(64))).await;
    assert_eq!(report.ended, Ended::Failed, "{report:?}");
    assert!(rig.inventory().of_kind("image").all(|image| !image.name.starts_with("mine")));

    let right = spec("bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721");
    rig.settle(&right).await;
    assert_eq!(rig.inventory().of_kind("image").filter(|image| image.name == "mine-v1.36.2").count(), 1);
    rig.remove(&right).await;
    let after = rig.inventory();
    let left: Vec<_> =
        after.resources.difference(&before.resources).map(|entry| entry.name.as_str()).collect();
    assert_eq!(left, ["mine-v1.36.2"], "images stay until they are pruned");
}

/// Calls of Capstan itself whose answer is lost, or that fail, or that are followed by a kill: the next look finds what
/// is there and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_failures_make_no_twins() {
    let effects = [
        Effect::LoseAnswer,
        Effect::Disconnect,
        Effect::Fail { status: 503, body: None, retry_after: None },
        Effect::Html { status: 502 },
    ];
    for effect in effects {
        let rig = Rig::new().await;
        let before = rig.inventory();
        for route in
            ["/identity/v3/users/{user_id}/application_credentials", "/compute/v2.1/os-server-groups"]
        {
            rig.sandbox.faults().request(Match::route("POST", route), effect.clone());
        }
        rig.settle(SMALL).await;
        let inventory = rig.inventory();
        assert_eq!(inventory.of_kind("application_credential").count(), 1, "{effect:?}: {inventory:?}");
        assert_eq!(inventory.of_kind("server_group").count(), 2, "{effect:?}: {inventory:?}");
        rig.remove(SMALL).await;
        assert_eq!(rig.inventory(), before, "{effect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_owner_is_left_alone() {
    let rig = Rig::new().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod-web"}});
    let api = Kind::NAMESPACE.api(rig.client().await, None);
    api.create(&Default::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
    let report = rig.apply(SMALL).await;
    assert_eq!(report.ended, Ended::Blocked);
    rig.remove(SMALL).await;
    assert!(api.get_opt("prod-web").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_at_the_door() {
    let rig = Rig::new().await;
    let yaml = rig.sandbox.clouds_yaml();
    let config = CloudConfig::from_yaml(&yaml.replace("password: ", "password: not-"), "sandbox").unwrap();
    let error = Cloud::connect(&config, Options::default()).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert!(error.hint().unwrap().contains("password"));
}
