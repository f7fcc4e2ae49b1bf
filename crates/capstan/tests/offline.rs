//! What the binary does without a cloud: help, documents, schemas, and everything that is wrong before a call is made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use support::Home;

const FLEET: &str = "\
apiVersion: capstan.dev/v1alpha1
kind: Fleet
metadata: {name: prod}
spec:
  cloud: {name: nowhere}
  management: {runtime: existing, kubeconfig: {path: plane.kubeconfig}}
  defaults: {kubernetes: {version: \"1.36\"}}
";
const CLUSTER: &str =
    "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {name: web}\nspec: {}\n";

fn fleet() -> Home {
    let home = Home::new();
    home.write("fleet.yaml", FLEET);
    home.write("clusters/web.yaml", CLUSTER);
    home
}

#[test]
fn the_version_is_said_at_once() {
    let home = Home::new();
    let ran = home.run(&["--version"]).expect(0);
    assert_eq!(ran.stdout, format!("capstan {}\n", env!("CARGO_PKG_VERSION")));
    // The figure of the issue is for the release binary; this one only finds what is wrong by an order of magnitude.
    let best = (0..5).map(|_| {
        let start = Instant::now();
        let _ = home.run(&["--version"]).expect(0);
        start.elapsed()
    });
    assert!(best.min().unwrap() < Duration::from_millis(100));
}

#[test]
fn help() {
    let home = Home::new();
    insta::assert_snapshot!(home.run(&["--help"]).expect(0).stdout);
    insta::assert_snapshot!("help_of_delete", home.run(&["cluster", "delete", "--help"]).expect(0).stdout);
}

#[test]
fn wrong_use_is_exit_code_2() {
    let home = fleet();
    for arguments in [
        &["clusters"][..],
        &[],
        &["cluster", "scale", "web"],
        &["cluster", "scale", "web", "default"],
        &["cluster", "upgrade", "web", "latest"],
        &["--timeout", "soon", "status"],
        &["--output", "xml", "status"],
        &["--fleet", "elsewhere", "status"],
        &["cluster", "upgrade", "web", "1.38"],
        &["cluster", "upgrade", "web", "1.35"],
        &["cluster", "scale", "web", "default=3"],
        &["cluster", "create", "../web"],
        &["cluster", "create", "web", "--workers", "3"],
        &["cluster", "create", "api", "--control-planes", "2"],
        &["demo", "--speed", "0"],
    ] {
        let ran = home.run(arguments).expect(2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{arguments:?}");
    }
    assert!(!home.path().join("clusters/api.yaml").exists());
    assert_eq!(home.read("clusters/web.yaml"), CLUSTER);
}

#[test]
fn a_name_that_is_not_there_finds_the_one_that_was_meant() {
    insta::assert_snapshot!(fleet().run(&["cluster", "upgrade", "wbe", "1.36"]).expect(2).shown());
}

#[test]
fn a_folder_without_a_fleet() {
    insta::assert_snapshot!(Home::new().run(&["status"]).expect(2).shown());
}

#[test]
fn the_fleet_is_found_from_below() {
    let home = fleet();
    let mut command = home.command(&["cluster", "list"]);
    let output = command.current_dir(home.path().join("clusters")).output().unwrap();
    // It was found: what is missing is the kubeconfig.
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("plane.kubeconfig"), "{stderr}");
}

#[test]
fn a_mistake_in_a_document_is_shown_where_it_is() {
    let home = fleet();
    home.write("clusters/web.yaml", CLUSTER.replace("spec: {}", "spec:\n  controlPlane: {replica: 3}"));
    insta::assert_snapshot!(home.run(&["plan"]).expect(2).shown());
    let json = home.run(&["plan", "--output", "json"]).expect(2).stderr;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["error"], "usage");
    assert_eq!(report["problems"][0]["line"], 5);
    assert_eq!(report["problems"][0]["file"], "clusters/web.yaml");
}

#[test]
fn files_that_are_no_documents() {
    let bomb: String = std::iter::once("a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..20).map(|n| format!("b{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))))
        .collect();
    let large = format!("spec:\n{}", "  - key: value\n".repeat(700_000));
    assert!(large.len() > 10 << 20);
    let cases: [(&str, Vec<u8>); 12] = [
        ("unknown key", b"apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {name: a}\nspecs: {}\n".into()),
        ("wrong type", b"apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {name: [a]}\n".into()),
        ("duplicate key", b"apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nkind: WorkloadCluster\nmetadata: {name: a}\n".into()),
        ("bad cidr", b"apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {name: a}\nspec: {network: {nodeCidr: 10.8/20}}\n".into()),
        ("empty", vec![]),
        ("binary", (0..=255).collect()),
        ("large", large.into_bytes()),
        ("deep flow", "[".repeat(100_000).into_bytes()),
        ("deep block", (0..500).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>().into_bytes()),
        ("alias bomb", bomb.into_bytes()),
        ("unclosed", b"kind: {".into()),
        ("nothing but an anchor", b"&a".into()),
    ];
    for (name, content) in cases {
        let home = fleet();
        home.write("clusters/bad.yaml", content);
        let start = Instant::now();
        let ran = home.run(&["plan"]).expect(2);
        assert!(ran.stderr.contains("--> clusters/bad.yaml"), "{name}: {}", ran.stderr);
        assert!(start.elapsed() < Duration::from_secs(5), "{name}");
    }
    let home = fleet();
    std::fs::create_dir(home.path().join("clusters/folder.yaml")).unwrap();
    assert!(home.run(&["plan"]).expect(2).stderr.contains("clusters/folder.yaml"));
}

#[test]
fn a_management_plane_that_cannot_be_reached() {
    let home = fleet();
    home.write(
        "plane.kubeconfig",
        "apiVersion: v1\nkind: Config\ncurrent-context: plane\n\
         clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\nusers: [{name: u, user: {}}]\n\
         contexts: [{name: plane, context: {cluster: c, user: u}}]\n",
    );
    let ran = home.run(&["status"]).expect(1);
    assert!(ran.stderr.contains("`plane` (`http://127.0.0.1:9`)"), "{}", ran.stderr);
    home.write(
        "fleet.yaml",
        FLEET.replace("path: plane.kubeconfig", "path: plane.kubeconfig, context: plan"),
    );
    let ran = home.run(&["status"]).expect(3);
    assert!(ran.stderr.contains("no context `plan`; it has: `plane`"), "{}", ran.stderr);
}

#[test]
fn clouds_that_cannot_be_used() {
    let mut home = fleet();
    insta::assert_snapshot!("no_clouds", home.run(&["image", "list"]).expect(3).shown());
    home.write(
        "clouds.yaml",
        "clouds:\n  nowhere2: {auth: {auth_url: 'http://127.0.0.1:9', username: u, password: secret-word, project_name: p}}\n",
    );
    insta::assert_snapshot!("unknown_cloud", home.run(&["image", "list"]).expect(3).shown());
    let ran = home.run(&["image", "list", "--cloud", "nowhere2"]).expect(1);
    assert!(ran.stderr.contains("127.0.0.1:9"), "{}", ran.stderr);
    home.set("CAPSTAN_LOG", "trace");
    let ran = home.run(&["image", "list", "--cloud", "nowhere2"]).expect(1);
    assert!(!ran.stderr.contains("secret-word"), "{}", ran.stderr);
}

#[test]
fn schemas_are_those_that_are_committed() {
    let home = Home::new();
    for document in ["fleet", "workloadcluster"] {
        let path = format!("{}/../../schemas/{document}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let ran = home.run(&["schema", document]).expect(0);
        assert_eq!(ran.stdout, std::fs::read_to_string(path).unwrap());
    }
    let crd: serde_json::Value =
        serde_json::from_str(&home.run(&["schema", "crd"]).expect(0).stdout).unwrap();
    assert_eq!(crd["metadata"]["name"], "workloadclusters.capstan.dev");
}

#[test]
fn completion_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Home::new().run(&["completion", shell]).expect(0).stdout;
        assert!(script.contains("kubeconfig") && script.contains("preflight"), "{shell}");
    }
}

#[test]
fn init_writes_a_fleet_that_can_be_read() {
    let home = Home::new();
    let arguments = [
        "init",
        "prod",
        "--cloud",
        "my-cloud",
        "--external",
        "public",
        "--cluster",
        "web",
        "--kubeconfig",
        "kubeconfig",
    ];
    insta::assert_snapshot!(home.run(&arguments).expect(0).shown());
    insta::assert_snapshot!("fleet.yaml", home.read("prod/fleet.yaml"));
    insta::assert_snapshot!("web.yaml", home.read("prod/clusters/web.yaml"));
    assert!(home.run(&arguments).expect(2).stderr.contains("--force"));
    // The documents are right: what is missing is the kubeconfig.
    let _ = home.run(&["--fleet", "prod", "status"]).expect(3);
    let bad = home.run(&["init", "other", "--name", "Not_A_Label"]).expect(2);
    assert!(bad.stderr.contains("fleet.yaml:4:18"), "{}", bad.stderr);
    assert!(!home.path().join("other").exists());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    use std::process::Stdio;
    let home = Home::new();
    let mut child =
        home.command(&["schema", "crd"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
