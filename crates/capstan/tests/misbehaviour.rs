//! What Capstan says and does when the cloud misbehaves as real users met it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use capstan_sandbox::faults::Fault;
use support::bed::Bed;

fn any() -> String {
    "*".to_owned()
}

#[test]
fn no_valid_host_is_told_and_nothing_is_left_after_the_deletion() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    bed.sandbox
        .faults()
        .add(Fault::NoValidHost { name: "prod-web-control-plane-*".to_owned(), times: Some(1) });
    bed.sandbox.faults().add(Fault::PortLeak { name: "prod-web-*".to_owned(), times: None });
    let ran = bed.home.run(&["cluster", "apply"]).expect(3);
    assert!(ran.stderr.contains("No valid host was found"), "{}", ran.stderr);
    // CAPO leaves its ports behind (#1404): they don't keep the network.
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_quota_that_drops_in_the_middle_is_told_with_its_numbers() {
    let bed = Bed::up();
    let fault = Fault::Quota { service: "compute".into(), resource: "instances".into(), after: 1, limit: 1 };
    let fault = bed.sandbox.faults().add(fault);
    let ran = bed.home.run(&["cluster", "apply", "--timeout", "60s"]);
    assert!([3, 4].contains(&ran.code), "{} {}", ran.code, ran.stderr);
    assert!(ran.stderr.contains("Quota exceeded for instances"), "{}", ran.stderr);
    bed.sandbox.faults().remove(fault);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert_eq!(bed.count("server"), 3);
    bed.end();
}

#[test]
fn a_load_balancer_that_hangs_is_waited_for_until_the_deadline() {
    let bed = Bed::up();
    let fault = bed.sandbox.faults().add(Fault::LoadBalancer { name: any() });
    let ran = bed.home.run(&["cluster", "apply", "--timeout", "20s"]).expect(4);
    assert!(ran.stderr.contains("load balancer") || ran.stderr.contains("LoadBalancer"), "{}", ran.stderr);
    bed.sandbox.faults().remove(fault);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert_eq!(bed.count("loadbalancer"), 1);
    bed.end();
}

#[test]
fn a_foreign_port_blocks_the_deletion_and_is_named() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    let fault = Fault::StrayPort { network: "k8s-clusterapi-*".to_owned(), foreign: false, times: Some(1) };
    bed.sandbox.faults().add(fault);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    let ran = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(3);
    assert!(ran.stderr.contains("compute:az1"), "{}", ran.stderr);
    assert_eq!(bed.count("network"), 1);
    // What is in the way goes, by hand; then the rest does.
    let port = bed.sandbox.inventory().without(&before).of_kind("port").next().unwrap().id.clone();
    bed.remove_port(&port);
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_cloud_without_octavia_is_told_before_anything_is_made() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    bed.sandbox.faults().add(Fault::Catalog { without: "load-balancer".to_owned() });
    let ran = bed.home.run(&["preflight"]).expect(3);
    assert!(ran.stdout.contains("load-balancer (Octavia)"), "{}", ran.stdout);
    let _ = bed.home.run(&["cluster", "apply"]).expect(3);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_slow_cloud_and_storms_of_429_only_take_longer() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    let faults = bed.sandbox.faults();
    faults.slow(None, 3);
    faults.storm(Some("compute"), 2, Some(1));
    faults.storm(Some("network"), 2, None);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_twin_of_a_server_group_is_found_and_goes() {
    let bed = Bed::up();
    let fault = Fault::Twin { resource: "server_group".into(), name: "prod-web-*".into(), times: Some(1) };
    bed.sandbox.faults().add(fault);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert_eq!(bed.sandbox.faults().list()[0].struck, 1);
    // Neither holds servers when it is found: one of them goes.
    assert_eq!(bed.count("server_group"), 2);
    bed.end();
}

#[test]
fn strangers_that_look_like_ours_are_left_alone() {
    let bed = Bed::up();
    let strangers = bed.sandbox.plant_strangers("prod-web").unwrap();
    let before = bed.sandbox.inventory();
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    assert!(strangers.resources.is_subset(&before.resources));
    bed.end();
}

#[test]
fn a_volume_that_hangs_is_waited_for_and_the_rest_goes_on() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    let rooted = support::bed::WEB.replace(
        "controlPlane: {replicas: 1}",
        "controlPlane: {replicas: 1, flavor: SCS-2V-4, rootVolume: {sizeGiB: 20}}",
    );
    bed.home.write("clusters/web.yaml", rooted);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    let fault = bed.sandbox.faults().add(Fault::VolumeDelete { name: any() });
    let ran = bed.home.run(&["cluster", "delete", "web", "--yes", "--timeout", "20s"]);
    assert!([0, 4].contains(&ran.code), "{} {}", ran.code, ran.stderr);
    bed.sandbox.faults().remove(fault);
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}
