//! What goes wrong in the middle: services in trouble, lost answers, killed processes, two at once. In the end everything
//! is there once, or gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::{Child, Stdio};
use std::time::Duration;

use capstan_sandbox::Speed;
use capstan_sandbox::faults::{Effect, Match};
use support::bed::Bed;

fn spawn(bed: &Bed, arguments: &[&str]) -> Child {
    bed.home.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends the process without a chance to tidy up.
fn kill_after(mut child: Child, millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
    let _ = child.kill();
    let _ = child.wait().unwrap();
}

fn assert_no_twins(bed: &Bed) {
    let kinds = ["application_credential", "server_group", "server", "network", "router", "loadbalancer"];
    let counts = kinds.map(|kind| (kind, bed.count(kind)));
    let expected = [1, 2, 3, 1, 1, 1];
    assert_eq!(counts, std::array::from_fn(|index| (kinds[index], expected[index])));
}

#[test]
fn services_in_trouble_and_lost_answers_make_nothing_twice() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    let faults = bed.sandbox.faults();
    let unavailable = || Effect::Fail { status: 503, body: None, retry_after: None };
    faults.request(Match::route("GET", "*flavors*").times(2), unavailable());
    faults.request(
        Match::route("GET", "*images*"),
        Effect::Fail { status: 429, body: None, retry_after: Some(1) },
    );
    faults.request(Match::route("POST", "*application_credentials"), Effect::LoseAnswer);
    faults.request(Match::route("POST", "*server-groups"), Effect::LoseAnswer);
    faults.request(Match::route("POST", "*server-groups").nth(2), unavailable());
    faults.request(Match::route("PATCH", "*openstackclusters*"), Effect::LoseAnswer);
    faults.request(Match::route("PATCH", "*machinedeployments*"), Effect::Disconnect);
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert!(faults.list().iter().all(|fault| fault.struck > 0), "{:?}", faults.list());
    assert_no_twins(&bed);
    faults.clear();
    faults.request(Match::route("DELETE", "*application_credentials*"), Effect::LoseAnswer);
    faults.request(Match::route("DELETE", "*server-groups*"), Effect::LoseAnswer);
    faults.request(Match::route("DELETE", "*clusters*"), unavailable());
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_process_that_is_killed_anywhere_is_followed_by_one_that_finishes() {
    let bed = Bed::at(Speed::Times(40.0));
    let before = bed.sandbox.inventory();
    let _ = bed.home.run(&["up"]).expect(0);
    for millis in [150, 300, 500, 900, 1500] {
        kill_after(spawn(&bed, &["cluster", "apply"]), millis);
    }
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert_no_twins(&bed);
    for millis in [150, 400, 800] {
        kill_after(spawn(&bed, &["cluster", "delete", "web", "--yes"]), millis);
    }
    let _ = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn of_two_at_once_the_second_follows_the_first() {
    let bed = Bed::at(Speed::Times(40.0));
    let _ = bed.home.run(&["up"]).expect(0);
    let first = spawn(&bed, &["cluster", "apply"]);
    std::thread::park_timeout(Duration::from_millis(700));
    let second = bed.home.run(&["cluster", "apply"]).expect(0);
    let first = first.wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(second.stderr.contains("who is at it"), "{}", second.stderr);
    assert_no_twins(&bed);
    bed.end();
}

#[test]
fn a_server_in_error_is_told_with_the_fault_of_nova() {
    let bed = Bed::up();
    bed.sandbox.faults().next_server_fails("prod-web-control-plane-*", "No valid host was found.");
    let ran = bed.home.run(&["cluster", "apply"]).expect(3);
    assert!(ran.stderr.contains("No valid host was found."), "{}", ran.stderr);
    // Mended, the next run goes on.
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert_no_twins(&bed);
    bed.end();
}

#[test]
fn a_page_in_place_of_an_answer_is_told_and_nothing_is_made() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    bed.sandbox.faults().request(Match::route("GET", "*flavors*").always(), Effect::Html { status: 200 });
    let ran = bed.home.run(&["preflight"]).expect(3);
    assert!(ran.stderr.contains("is there a proxy or a login page before it?"), "{}", ran.stderr);
    let ran = bed.home.run(&["cluster", "apply", "--timeout", "20s"]);
    assert!([1, 3, 4].contains(&ran.code), "{}", ran.stderr);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_management_plane_that_is_lost_in_the_middle_is_waited_for() {
    let bed = Bed::at(Speed::Times(40.0));
    let _ = bed.home.run(&["up"]).expect(0);
    let child = spawn(&bed, &["cluster", "apply"]);
    std::thread::park_timeout(Duration::from_millis(900));
    let kubernetes = Match { service: Some("kubernetes".into()), ..Match::default() };
    let lost = bed.sandbox.faults().request(kubernetes.always(), Effect::Disconnect);
    std::thread::park_timeout(Duration::from_secs(2));
    bed.sandbox.faults().remove(lost);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_no_twins(&bed);
    bed.end();
}

/// As after a restart: until its caches are filled, the API server knows no role of anybody.
#[test]
fn a_management_plane_that_has_just_started_refuses_only_for_now() {
    let bed = Bed::up();
    let forbidden = || {
        let why = "namespaces \"prod-web\" is forbidden: User \"kubernetes-admin\" cannot patch resource \"namespaces\"";
        let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
            "reason": "Forbidden", "message": why});
        Effect::Fail { status: 403, body: Some(body.to_string()), retry_after: None }
    };
    let faults = bed.sandbox.faults();
    faults.request(Match::route("PATCH", "*namespaces*"), forbidden());
    faults.request(Match::route("GET", "*readyz").times(2), forbidden());
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    assert!(faults.list().iter().all(|fault| fault.struck > 0), "{:?}", faults.list());
    assert_no_twins(&bed);
    bed.end();
}
