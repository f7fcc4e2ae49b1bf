//! Whole fleets, read as users write them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const FLEET: &str = "\
apiVersion: capstan.dev/v1alpha1
kind: Fleet
metadata: {name: prod}
spec:
  cloud: {name: my-cloud}
  management: {runtime: existing, kubeconfig: {path: kubeconfig, context: plane}}
  network: {external: public}
  defaults:
    kubernetes: {version: 1.30}
    controlPlane: {replicas: 3, metadata: {team: a}}
    nodeGroups: [{name: default, replicas: 2, flavor: SCS-4V-16}]
";

fn cluster(spec: &str) -> String {
    format!("apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: web}}\nspec:\n{spec}")
}

fn load_texts(texts: &[(&str, &str)]) -> Result<LoadedFleet, Problems> {
    let sources: Vec<_> = texts.iter().map(|(path, text)| Source::new(*path, *text)).collect();
    load(&sources)
}

fn problems_of(spec: &str) -> String {
    match load_texts(&[("fleet.yaml", FLEET), ("clusters/web.yaml", &cluster(spec))]) {
        Ok(loaded) => format!("no error: {:?}", loaded.warnings),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_cluster_takes_from_the_defaults_what_it_does_not_say() {
    let text = cluster(
        "  controlPlane: {metadata: {tier: b}}\n  nodeGroups: [{name: default, replicas: 5}, {name: gpu}]\n",
    );
    let loaded = load_texts(&[("fleet.yaml", FLEET), ("clusters/web.yaml", &text)]).unwrap();
    let web = loaded.cluster("web").unwrap();
    assert_eq!(web.names.namespace(), "prod-web");
    assert_eq!(web.file, "clusters/web.yaml");
    assert_eq!(web.cloud.as_deref(), Some("my-cloud"));
    assert_eq!(web.external_network.as_deref(), Some("public"));
    // `1.30` without quotes is the minor 30, not the number 1.3.
    assert_eq!(web.spec.kubernetes.version.to_string(), "v1.30");
    assert_eq!(web.spec.control_plane.replicas, 3);
    assert_eq!(json!(web.spec.control_plane.metadata), json!({"team": "a", "tier": "b"}));
    let groups: Vec<_> =
        web.spec.node_groups.iter().map(|g| (g.name.as_str(), g.replicas, g.flavor.as_str())).collect();
    assert_eq!(groups, [("default", 5, "SCS-4V-16"), ("gpu", 3, DEFAULT_FLAVOR)]);
    assert_eq!(loaded.warnings.len(), 1, "1.30 is older than what is tested");
}

#[test]
fn a_cluster_without_anything_is_what_the_defaults_say() {
    let text = "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {name: web}\n";
    let loaded = load_texts(&[("fleet.yaml", FLEET), ("clusters/web.yaml", text)]).unwrap();
    assert_eq!(loaded.clusters[0].spec.node_groups.len(), 1);
    assert_eq!(loaded.clusters[0].spec.network.node_cidr.to_string(), "10.8.0.0/20");
}

#[test]
fn several_documents_may_share_a_file() {
    let text = format!("{FLEET}---\n{}", cluster("  sshKeyName: me\n"));
    let loaded = load_texts(&[("fleet.yaml", &text)]).unwrap();
    assert_eq!(loaded.clusters[0].spec.ssh_key_name.as_deref(), Some("me"));
}

#[test]
fn shapes_that_are_wrong() {
    insta::assert_snapshot!(problems_of(
        "
  kubernets: {version: \"1.36\"}
  controlplane: {replicas: 3}
  controlPlane: {replicas: three, flavour: x, antiAffinity: sofd, zones: az1}
  api: {floatingIp: yes, allowedCidrs: [10.0.0.1/8, 1.2.3.4]}
  network: {mtu: 100, dnsServers: [9.9.9, 9.9.9.9], podCidrs: []}
  image: {name: '', sha256: abc, format: vmdk}
  nodeGroups:
    - {replicas: 2}
    - {name: Big_One, labels: {size: 1, 'a b': c}, taints: [{key: gpu, effect: NoShedule}]}
    - {name: b, autoscale: {min: 1}, rootVolume: {type: ssd}}
  addons: {cni: cilium}
  deletionProtection:
"
    ));
}

#[test]
fn meanings_that_are_wrong() {
    insta::assert_snapshot!(problems_of(
        "
  kubernetes: {version: 1.36}
  controlPlane: {replicas: 4, zones: [az1, az2, az1]}
  network:
    nodeCidr: 10.96.0.0/20
    podCidrs: [10.200.0.0/16, 10.200.128.0/17]
    serviceCidrs: [10.96.0.0/12, fd00::/108]
  image: {source: 'https://example.com/a.qcow2'}
  api: {allowedCidrs: [10.0.0.0/8, 10.0.0.0/8]}
  nodeGroups:
    - {name: a}
    - {name: a, zones: [az1, az1]}
    - {name: control-plane}
    - name: a-name-that-is-longer-than-what-host-names-of-nodes-allow
      taints: [{key: gpu, effect: NoSchedule}, {key: gpu, value: x, effect: NoSchedule}, {key: _, effect: NoExecute}]
"
    ));
}

#[test]
fn a_range_that_overlaps_a_default_is_marked_where_it_was_written() {
    let problems = problems_of("  network: {serviceCidrs: [192.168.1.0/24]}\n");
    assert!(problems.contains("clusters/web.yaml:5:28"), "{problems}");
    assert!(
        problems.contains("the service range `192.168.1.0/24` overlaps the pod range `192.168.0.0/16`"),
        "{problems}"
    );
    let problems = problems_of("  network: {podCidrs: [10.96.0.0/16]}\n");
    assert!(problems.contains("clusters/web.yaml:5:24"), "{problems}");
}

#[test]
fn a_mistake_in_the_defaults_is_shown_once_and_there() {
    let fleet = FLEET.replace("replicas: 3", "replicas: 2").replace("1.30", "1.36");
    let second = cluster("  {}\n").replace("web", "api");
    let problems = load_texts(&[("fleet.yaml", &fleet), ("a.yaml", &cluster("  {}\n")), ("b.yaml", &second)])
        .unwrap_err();
    assert_eq!(problems.list().len(), 1, "{problems}");
    assert!(problems.to_string().contains("fleet.yaml:10:30"), "{problems}");
}

#[test]
fn fleets_that_are_wrong() {
    let fleet = "\
apiVersion: capstan.dev/v1
kind: Fleet
metadata: {name: 1st, labels: {}}
spec:
  cloud: my-cloud
  management: {runtime: node, node: {flavor: x}}
  gitops: {url: x}
  credentials: {scope: project}
  defaults: {kubernetes: {version: v1.37.0-rc.0}, nodeGroup: []}
";
    insta::assert_snapshot!(load_texts(&[("fleet.yaml", fleet)]).unwrap_err());
}

#[test]
fn files_that_are_no_documents() {
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty.yaml", vec![]),
        ("comment.yaml", b"# nothing here\n".to_vec()),
        ("binary.yaml", vec![0x7f, b'E', b'L', b'F', 0, 0xff]),
        ("nul.yaml", b"a: \0".to_vec()),
        ("large.yaml", vec![b'#'; 10 << 20]),
        ("list.yaml", b"- a\n".to_vec()),
        ("other.yaml", b"kind: Cluster\n".to_vec()),
        ("broken.yaml", b"kind: [Fleet\nb: }".to_vec()),
        ("tabs.yaml", b"kind: Fleet\nspec:\n\tcloud: x\n".to_vec()),
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|(path, bytes)| {
            load(&[Source::new("fleet.yaml", FLEET), Source::new(*path, bytes.clone())])
                .unwrap_err()
                .to_string()
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn a_folder_without_a_fleet() {
    let problems = load_texts(&[("clusters/web.yaml", &cluster("  {}\n"))]).unwrap_err();
    insta::assert_snapshot!(problems, @r"
    error: no document of `kind: Fleet` was found
      = hint: it belongs into `fleet.yaml`; `capstan init` writes one
    ");
}

#[test]
fn two_of_one_name() {
    let problems = load_texts(&[
        ("fleet.yaml", FLEET),
        ("a.yaml", &cluster("  {}\n")),
        ("b.yaml", &cluster("  {}\n")),
        ("c.yaml", FLEET),
    ])
    .unwrap_err()
    .to_string();
    assert!(problems.contains("there are two clusters named `web`"), "{problems}");
    assert!(problems.contains("the first is in a.yaml:3"), "{problems}");
    assert!(problems.contains("there is more than one fleet"), "{problems}");
}

#[test]
fn clusters_whose_names_run_into_each_other() {
    let first = cluster("  nodeGroups: [{name: b-c}]\n");
    let second = cluster("  nodeGroups: [{name: c}]\n").replace("web", "web-b");
    let problems = load_texts(&[("fleet.yaml", FLEET), ("a.yaml", &first), ("b.yaml", &second)]).unwrap_err();
    assert!(problems.to_string().contains("would both make the server group `prod-web-b-c`"), "{problems}");
}

#[test]
fn what_looks_like_control_characters_does_not_reach_the_terminal() {
    let problems = problems_of("  \"\\e[31mred\": 1\n");
    assert!(!problems.contains('\u{1b}'), "{problems}");
    let problems = load(&[Source::new("fleet.yaml", "kind: \u{9b}31mFleet")]).unwrap_err().to_string();
    assert!(!problems.contains('\u{9b}'), "{problems}");
}

#[test]
fn a_hundred_thousand_mistakes_end_soon() {
    let text: String = (0..15_000).map(|n| format!("  key{n}: 1\n")).collect();
    let problems = load_texts(&[("fleet.yaml", FLEET), ("clusters/web.yaml", &cluster(&text))]).unwrap_err();
    assert!(problems.list().len() <= 501, "{}", problems.list().len());
    assert!(problems.to_string().contains("more"), "{problems}");
}

#[test]
fn the_committed_schemas_are_current() {
    for (name, schema) in [("fleet", fleet_schema()), ("workloadcluster", workload_cluster_schema())] {
        let path = format!("{}/../../schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let current = format!("{:#}\n", schema);
        if std::env::var_os("CAPSTAN_UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "{path} is out of date: run this test with CAPSTAN_UPDATE_SCHEMAS=1");
    }
}

fn arbitrary_spec() -> impl Strategy<Value = serde_json::Value> {
    let group = (
        "[a-z][a-z0-9]{0,8}",
        0u32..1000,
        proptest::collection::vec("[a-z]{1,5}", 0..2),
        proptest::sample::select(vec!["hard", "soft", "none"]),
        proptest::option::of((1u32..1000, proptest::option::of("[a-z]{1,8}"))),
    )
        .prop_map(|(name, replicas, zones, affinity, volume)| {
            let mut group =
                json!({"name": name, "replicas": replicas, "zones": zones, "antiAffinity": affinity});
            if let Some((size, kind)) = volume {
                group["rootVolume"] = match kind {
                    Some(kind) => json!({"sizeGiB": size, "type": kind}),
                    None => json!({"sizeGiB": size}),
                };
            }
            group
        });
    (
        31u64..37,
        proptest::option::of(0u64..20),
        0u32..4,
        proptest::collection::vec(group, 0..3),
        any::<bool>(),
    )
        .prop_map(|(minor, patch, half, mut groups, flag)| {
            groups.dedup_by(|a, b| a["name"] == b["name"]);
            groups.sort_by_key(|group| group["name"].to_string());
            groups.dedup_by(|a, b| a["name"] == b["name"]);
            let version = patch.map_or(format!("1.{minor}"), |patch| format!("v1.{minor}.{patch}"));
            json!({
                "kubernetes": {"version": version},
                "controlPlane": {"replicas": half * 2 + 1},
                "api": {"floatingIp": flag},
                "nodeGroups": groups,
            })
        })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = load(&[Source::new("fleet.yaml", FLEET), Source::new("a.yaml", text.as_str())]);
        let _ = load(&[Source::new("fleet.yaml", text)]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = load(&[Source::new("a.yaml", bytes)]);
    }

    #[test]
    fn yaml_like_text_never_panics(text in "([a-z]{1,6}|kind|spec|Fleet|[:\\-{}\\[\\],#&*!|>'\"\n ]|: |\n  |- |é){0,80}") {
        let _ = load(&[Source::new("fleet.yaml", format!("{FLEET}{text}")), Source::new("a.yaml", cluster(&text))]);
    }

    #[test]
    fn a_resolved_cluster_written_as_a_document_reads_back_equal(spec in arbitrary_spec()) {
        let text = json!({
            "apiVersion": "capstan.dev/v1alpha1", "kind": "WorkloadCluster", "metadata": {"name": "web"}, "spec": spec,
        }).to_string();
        let first = load_texts(&[("fleet.yaml", FLEET), ("clusters/web.yaml", &text)]).unwrap();
        let bare = FLEET.split("  defaults").next().unwrap();
        let document = serde_saphyr::to_string(&first.clusters[0].document()).unwrap();
        let second = load_texts(&[("fleet.yaml", bare), ("clusters/web.yaml", &document)]).unwrap();
        prop_assert_eq!(&first.clusters, &second.clusters);
    }
}

#[test]
fn the_name_of_an_image_tells_its_release_wherever_the_pattern_says_it() {
    let release: crate::versions::KubernetesVersion = "v1.36.1".parse().unwrap();
    for pattern in ["ubuntu-{version}", "{version}", "{version}/ubuntu-{version}-x"] {
        let image = ImageSpec { name: pattern.into(), ..ImageSpec::default() };
        assert_eq!(image.version_of(&image.name_for(&release)), Some(release), "{pattern}");
    }
    let image = ImageSpec { name: "a-{version}-{version}".into(), ..ImageSpec::default() };
    for other in ["a-v1.36.1-v1.36.2", "a-v1.36-v1.36", "a-", "", "b-v1.36.1-v1.36.1", "a-é1.36.1-v1.36.1"] {
        assert_eq!(image.version_of(other), None, "{other}");
    }
}
