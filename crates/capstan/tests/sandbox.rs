//! The binary against the sandbox: the road from a document to a cluster and away again, with exit codes and outputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use capstan_sandbox::Speed;
use support::Home;
use support::bed::{Bed, WEB};

#[test]
fn a_cluster_from_its_document_to_available_and_away_again() {
    let bed = Bed::new();
    let home = &bed.home;
    let before = bed.sandbox.inventory();

    let planned = home.run(&["plan"]).expect(10);
    assert!(planned.stdout.contains("+ create Cluster prod-web"), "{}", planned.stdout);
    assert_eq!(bed.sandbox.inventory(), before, "a plan makes nothing");
    let _ = home.run(&["up"]).expect(0);
    let _ = home.run(&["up"]).expect(0);
    let _ = home.run(&["preflight"]).expect(0);
    let _ = home.run(&["cluster", "apply"]).expect(0);
    assert!(bed.sandbox.inventory() != before);
    let _ = home.run(&["plan"]).expect(0);

    let listed: serde_json::Value =
        serde_json::from_str(&home.run(&["cluster", "list", "-o", "json"]).expect(0).stdout).unwrap();
    assert_eq!(listed[0]["name"], "web");
    assert_eq!(listed[0]["phase"], "Available");
    assert_eq!(listed[0]["nodes"], "3/3");
    assert!(home.run(&["status"]).expect(0).stdout.contains("Available"));
    let kubeconfig = home.run(&["cluster", "kubeconfig", "web"]).expect(0).stdout;
    assert!(kubeconfig.contains("clusters:"), "{kubeconfig}");

    // Without a typed name nothing goes.
    let refused = home.run(&["cluster", "delete", "web"]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let planned = home.run(&["cluster", "delete", "web", "--dry-run"]).expect(10);
    assert!(planned.stdout.contains("delete"), "{}", planned.stdout);
    let _ = home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    let _ = home.run(&["cluster", "delete", "web", "--yes"]).expect(0);
    bed.end();
}

#[test]
fn a_cluster_is_scaled_and_upgraded_through_its_document() {
    let bed = Bed::up();
    let home = &bed.home;
    home.write("clusters/web.yaml", WEB.replace("spec:\n", "spec:\n  kubernetes: {version: \"1.35\"}\n"));
    let _ = home.run(&["cluster", "apply", "web"]).expect(0);

    let planned = home.run(&["cluster", "scale", "web", "default=3", "--dry-run"]).expect(10);
    assert!(planned.stdout.contains("spec.replicas: 2 → 3"), "{}", planned.stdout);
    assert!(home.read("clusters/web.yaml").contains("replicas: 2} # enough"));
    let _ = home.run(&["cluster", "scale", "web", "default=3"]).expect(0);
    assert!(home.read("clusters/web.yaml").contains("replicas: 3} # enough"));

    let planned = home.run(&["cluster", "upgrade", "web", "v1.36.1", "--dry-run"]).expect(10);
    assert!(planned.stdout.contains("rolls 3 machines of default"), "{}", planned.stdout);
    let _ = home.run(&["cluster", "upgrade", "web", "v1.36.1"]).expect(0);
    let listed: serde_json::Value =
        serde_json::from_str(&home.run(&["cluster", "list", "-o", "json"]).expect(0).stdout).unwrap();
    assert_eq!((&listed[0]["version"], &listed[0]["nodes"]), (&"v1.36.1".into(), &"4/4".into()));
    bed.end();
}

#[test]
fn create_writes_the_document_first_and_goes_on_when_it_is_run_again() {
    let bed = Bed::up();
    let home = &bed.home;
    let planned = home.run(&["cluster", "create", "api", "--workers", "1", "--dry-run"]).expect(10);
    assert!(planned.stdout.contains("+ create Cluster prod-api"), "{}", planned.stdout);
    assert!(!home.path().join("clusters/api.yaml").exists());
    let _ = home.run(&["cluster", "create", "api", "--workers", "1"]).expect(0);
    assert!(home.read("clusters/api.yaml").contains("- {name: default, replicas: 1}"));
    assert_eq!(bed.count("server"), 2, "only the named cluster is made");
    let _ = home.run(&["cluster", "create", "api"]).expect(0);
    assert_eq!(bed.count("server"), 2);

    // Without its document the cluster is still known, and can be deleted.
    std::fs::remove_file(home.path().join("clusters/api.yaml")).unwrap();
    assert!(home.run(&["cluster", "list"]).expect(0).stdout.contains("has no document here"));
    let _ = home.run(&["cluster", "delete", "api", "--yes"]).expect(0);
    assert_eq!(bed.count("server"), 0);
    bed.end();
}

#[test]
fn what_the_cloud_does_not_have_is_told_in_one_list_and_nothing_is_made() {
    let bed = Bed::up();
    let before = bed.sandbox.inventory();
    bed.home.write(
        "clusters/web.yaml",
        WEB.replace("replicas: 1}", "replicas: 1, flavor: SCS-2V-4-20, zones: [az9]}")
            .replace("spec:\n", "spec:\n  sshKeyName: mine\n  network: {external: pubic}\n"),
    );
    let ran = bed.home.run(&["preflight"]).expect(3);
    insta::assert_snapshot!(ran.shown());
    let ran = bed.home.run(&["cluster", "apply"]).expect(3);
    assert!(ran.stderr.contains("SCS-2V-4-20s"), "{}", ran.stderr);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_cloud_that_cannot_be_logged_in_to_is_told_with_a_way_out() {
    let bed = Bed::up();
    let clouds = bed.sandbox.clouds_yaml();
    let password = clouds.lines().find(|line| line.trim_start().starts_with("password")).unwrap();
    bed.home
        .write("clouds.yaml", clouds.replace(password, &password.replace("password:", "password: wrong-")));
    let ran = bed.home.run(&["cluster", "apply"]).expect(3);
    assert!(ran.stderr.contains("hint: check user, password"), "{}", ran.stderr);

    bed.home.write("clouds.yaml", clouds.replace("http://", "https://"));
    let ran = bed.home.run(&["cluster", "apply"]).expect(1);
    assert!(
        ran.stderr.contains("TLS failed: is the address right about `http` and `https`?"),
        "{}",
        ran.stderr
    );
    bed.end();
}

#[test]
fn events_are_json_lines_for_programs() {
    let bed = Bed::up();
    let ran = bed.home.run(&["cluster", "apply", "--output", "json"]).expect(0);
    let events: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["event"] == "step-started"), "{}", ran.stderr);
    assert_eq!(events.last().unwrap()["how"], "settled");
    let endings: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(endings[0]["ended"], "settled");
    bed.end();
}

#[test]
fn a_protected_cluster_stays() {
    let bed = Bed::up();
    bed.home.write("clusters/web.yaml", WEB.replace("spec:\n", "spec:\n  deletionProtection: true\n"));
    let ran = bed.home.run(&["cluster", "delete", "web", "--yes"]).expect(3);
    insta::assert_snapshot!(ran.shown());
    bed.end();
}

#[test]
fn ctrl_c_ends_in_order_and_the_next_run_goes_on() {
    let bed = Bed::at(Speed::Times(1.0));
    let home = &bed.home;
    let _ = home.run(&["up"]).expect(0);

    let mut command = home.command(&["cluster", "apply"]);
    let child =
        command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::park_timeout(std::time::Duration::from_secs(3));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("run the same command again"), "{stderr}");

    let ran = home.run(&["cluster", "apply", "--timeout", "1s"]).expect(4);
    assert!(ran.stderr.contains("not finished"), "{}", ran.stderr);
    bed.end();
}

#[test]
fn the_demo_leaves_nothing_behind() {
    let home = Home::new();
    let ran = home.run(&["demo", "--speed", "max", "--output", "json"]).expect(0);
    let outcome: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(outcome["clean"], true);
    assert!(outcome["during"]["server"].as_u64() >= Some(5), "{outcome}");
}

#[test]
fn images_are_registered_verified_listed_and_pruned() {
    let bed = Bed::up();
    let home = &bed.home;
    let before = bed.sandbox.inventory();
    home.write("node.raw", vec![7; 3 << 20]);
    let arguments = ["image", "register", "v1.34.8", "--source", "node.raw", "--format", "raw"];
    let wrong = home.run(&[&arguments[..], &["--sha256", &"0".repeat(64)]].concat()).expect(1);
    assert!(wrong.stderr.contains("0000"), "{}", wrong.stderr);
    assert_eq!(bed.sandbox.inventory(), before, "what is not what it should be is not kept");

    assert!(
        home.run(&[&arguments[..], &["--dry-run"]].concat()).expect(10).stdout.contains("+ create image")
    );
    let _ = home.run(&arguments).expect(0);
    let _ = home.run(&arguments).expect(0);
    assert_eq!(bed.count("image"), before.of_kind("image").count() + 1);
    let listed: serde_json::Value =
        serde_json::from_str(&home.run(&["image", "list", "-o", "json"]).expect(0).stdout).unwrap();
    let ours: Vec<_> = listed.as_array().unwrap().iter().filter(|image| image["fleet"] == "prod").collect();
    assert_eq!(
        (ours.len(), &ours[0]["version"], &ours[0]["size"]),
        (1, &"v1.34.8".into(), &(3 << 20).into())
    );

    // A document that wants it keeps it, a foreign image is never touched.
    home.write("clusters/web.yaml", WEB.replace("spec:\n", "spec:\n  kubernetes: {version: \"1.34\"}\n"));
    assert!(
        home.run(&["image", "prune", "--yes"]).expect(0).stdout.contains("every image of the fleet is used")
    );
    home.write("clusters/web.yaml", WEB);
    assert!(home.run(&["image", "prune", "--dry-run"]).expect(0).stdout.contains("v1.34.8"));
    let _ = home.run(&["image", "prune"]).expect(2);
    let _ = home.run(&["image", "prune", "--yes"]).expect(0);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

#[test]
fn a_kubeconfig_is_its_owners_and_merges_beside_others() {
    use std::os::unix::fs::PermissionsExt;
    let bed = Bed::up();
    let home = &bed.home;
    let early = home.run(&["cluster", "kubeconfig", "web"]).expect(3);
    assert!(early.stderr.contains("has no kubeconfig yet"), "{}", early.stderr);
    let _ = home.run(&["cluster", "apply"]).expect(0);
    let _ = home.run(&["cluster", "kubeconfig", "web", "--file", "web.kubeconfig"]).expect(0);
    let mode = std::fs::metadata(home.path().join("web.kubeconfig")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    home.write("merged", "apiVersion: v1\nkind: Config\ncontexts: [{name: other, context: {}}]\n");
    let _ = home.run(&["cluster", "kubeconfig", "web", "--merge", "merged"]).expect(0);
    let merged = home.read("merged");
    assert!(merged.contains("web-admin@web") && merged.contains("other"), "{merged}");
    bed.end();
}

#[test]
fn watch_shows_what_changes_until_its_time_is_over() {
    let bed = Bed::up();
    let _ = bed.home.run(&["cluster", "apply"]).expect(0);
    let ran = bed.home.run(&["watch", "--timeout", "1s"]).expect(0);
    assert!(ran.stdout.contains("Available"), "{}", ran.stdout);
    bed.end();
}

#[test]
fn nothing_secret_is_shown() {
    let bed = Bed::up();
    let _ = bed.home.run(&["cluster", "apply", "-vvv"]).expect(0);
    let clouds = bed.sandbox.clouds_yaml();
    let kubeconfig = bed.sandbox.kubeconfig();
    let value = |text: &str, key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key))
            .unwrap()
            .trim()
            .trim_matches(['"', '\'']);
        line.to_owned()
    };
    let secrets = [value(&clouds, "password:"), value(&kubeconfig, "token:")];
    for arguments in [
        &["status"][..],
        &["cluster", "show", "web"],
        &["plan", "-o", "json"],
        &["cluster", "apply", "-vvv"],
        &["image", "list", "-vvv"],
    ] {
        let ran = bed.home.run(arguments);
        for secret in &secrets {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{arguments:?} shows `{secret}`"
            );
        }
    }
    bed.end();
}
