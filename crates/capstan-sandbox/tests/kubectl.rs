//! The unmodified kubectl, verb by verb. Each test ends with no unknown route.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use kubernetes_support::tool::Tool;
use kubernetes_support::{CAPI, Plane, manifests};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// What each test needs: a plane and kubectl, or nothing where kubectl isn't there.
macro_rules! kubectl {
    ($plane:ident, $kubectl:ident) => {
        let $plane = Plane::start().await;
        let Some($kubectl) = Tool::of(&$plane, "kubectl") else { return };
    };
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// The words of the first line.
fn header(table: &str) -> Vec<&str> {
    table
        .lines()
        .next()
        .unwrap_or_default()
        .split("  ")
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_shows_tables_and_every_output_format() {
    kubectl!(plane, kubectl);
    plane.cluster("web", 1, 1).await;
    let clusters = kubectl.run("get clusters -A").await;
    assert_eq!(header(&clusters)[..4], ["NAMESPACE", "NAME", "CLUSTERCLASS", "AVAILABLE"], "{clusters}");
    has(&kubectl.run("-n web get machines -o wide").await, &["PROVIDER ID", "openstack:///", "OS-IMAGE"]);
    let nodes = kubectl.run("get nodes -o wide").await;
    let expected = [
        "NAME",
        "STATUS",
        "ROLES",
        "AGE",
        "VERSION",
        "INTERNAL-IP",
        "EXTERNAL-IP",
        "OS-IMAGE",
        "KERNEL-VERSION",
        "CONTAINER-RUNTIME",
    ];
    assert_eq!(header(&nodes), expected);
    let deployments = kubectl.run("-n capo-system get deploy -o wide").await;
    assert_eq!(
        header(&deployments),
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    );
    let events = kubectl.run("-n web get events").await;
    assert_eq!(header(&events), ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    let yaml = kubectl.run("-n web get cluster web -o yaml").await;
    has(&yaml, &["apiVersion: cluster.x-k8s.io/v1beta2", "kind: Cluster", "phase: Provisioned"]);
    assert!(!yaml.contains("managedFields"), "hidden unless asked for");
    has(&kubectl.run("-n web get cluster web -o yaml --show-managed-fields").await, &["managedFields"]);
    let parsed: Value = serde_json::from_str(&kubectl.run("-n web get machines -o json").await).unwrap();
    assert_eq!((&parsed["kind"], parsed["items"].as_array().unwrap().len()), (&json!("List"), 2));
    assert_eq!(kubectl.run("-n web get cluster web -o jsonpath={.status.phase}").await, "Provisioned");
    let columns = "-n web get machines -o custom-columns=N:.metadata.name,V:.spec.version --no-headers";
    assert!(kubectl.run(columns).await.lines().all(|line| line.ends_with("v1.36.2")));
    assert_eq!(kubectl.run("-n web get cluster -o name").await.trim(), "cluster.cluster.x-k8s.io/web");
    let labelled = "-n web get machines -l cluster.x-k8s.io/control-plane --show-labels --no-headers";
    assert_eq!(kubectl.run(labelled).await.lines().count(), 1);
    let selected = "-n web get machines --field-selector metadata.name=none --no-headers";
    assert_eq!(kubectl.run(selected).await, "");
    has(&kubectl.refused("-n web get machines -l a===b").await, &["unable to parse"]);
    kubectl.run("-n web get machines --sort-by=.metadata.creationTimestamp").await;
    kubectl.run("-n web get machines --chunk-size=1").await;
    has(&kubectl.refused("get nothing").await, &["the server doesn't have a resource type \"nothing\""]);
    has(
        &kubectl.refused("-n web get cluster none").await,
        &["(NotFound)", "clusters.cluster.x-k8s.io \"none\" not found"],
    );
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_shows_objects_with_their_events() {
    kubectl!(plane, kubectl);
    plane.cluster("web", 1, 0).await;
    let shown = kubectl.run("-n web describe openstackcluster web").await;
    has(&shown, &["Events:", "SuccessfulCreateNetwork", "capo-controller-manager"]);
    has(&kubectl.run("-n web describe machines").await, &["Kind:         Machine", "Node Ref:"]);
    has(&kubectl.run("describe node sandbox").await, &["Roles:              control-plane", "KubeletReady"]);
    has(&kubectl.run("describe namespace web").await, &["Status:       Active"]);
    let deployment = kubectl.run("-n capo-system describe deployment").await;
    has(&deployment, &["MinimumReplicasAvailable", "1 desired | 1 updated | 1 total | 1 available"]);
    kubectl.run("-n web describe secrets,configmaps,serviceaccounts").await;
    let events = kubectl.run("-n web events --for openstackcluster/web").await;
    has(&events, &["SuccessfulCreateNetwork", "OpenStackCluster/web"]);
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_diff_and_conflicts_work_on_both_sides() {
    kubectl!(plane, kubectl);
    let map = |value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"{value}\"\n")
    };
    let file = kubectl.file("map.yaml", &map("1"));
    has(&kubectl.run(&format!("apply -f {file}")).await, &["configmap/a created"]);
    has(&kubectl.run(&format!("apply -f {file}")).await, &["configmap/a unchanged"]);
    kubectl.run(&format!("diff -f {file}")).await;
    kubectl.file("map.yaml", &map("2"));
    has(&kubectl.refused(&format!("diff -f {file}")).await, &["-  k: \"1\"", "+  k: \"2\""]);
    has(&kubectl.run(&format!("apply -f {file} --dry-run=server")).await, &["configured (server dry run)"]);
    has(&kubectl.run(&format!("apply -f {file}")).await, &["configmap/a configured"]);

    let one = kubectl.file("one.yaml", &map("3").replace("name: a", "name: b"));
    let two = kubectl.file("two.yaml", &map("4").replace("name: a", "name: b"));
    has(
        &kubectl.run(&format!("apply --server-side --field-manager=one -f {one}")).await,
        &["serverside-applied"],
    );
    let conflict = kubectl.refused(&format!("apply --server-side --field-manager=two -f {two}")).await;
    has(&conflict, &["Apply failed with 1 conflict: conflict with \"one\": .data.k", "--force-conflicts"]);
    has(&kubectl.refused(&format!("diff --server-side --force-conflicts -f {two}")).await, &["+  k: \"4\""]);
    kubectl.run(&format!("apply --server-side --field-manager=two --force-conflicts -f {two}")).await;
    assert_eq!(kubectl.run("get cm b -o jsonpath={.data.k}").await, "4");

    // Custom resources, and fields that nobody knows.
    plane.post("/api/v1/namespaces", &json!({"metadata": {"name": "web"}})).await;
    let objects = manifests(&plane.sandbox.clouds_yaml(), "web", 1, 1, "v1.36.2");
    let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    let cluster = kubectl.file("cluster.yaml", &text);
    kubectl.run(&format!("apply -f {cluster}")).await;
    kubectl.run(&format!("diff -f {cluster}")).await;
    kubectl.run(&format!("apply --server-side --force-conflicts -f {cluster}")).await;
    for unknown in [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {}\ndate: {}\n".to_owned(),
        json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "metadata": {"name": "m", "namespace": "web"},
            "spec": {"clusterName": "web", "flavour": "x"}})
        .to_string(),
    ] {
        let file = kubectl.file("unknown.yaml", &unknown);
        has(&kubectl.refused(&format!("apply -f {file}")).await, &["strict decoding error: unknown field"]);
        let refused = kubectl.refused(&format!("apply --server-side -f {file}")).await;
        has(&refused, &["failed to create typed patch object", "field not declared in schema"]);
    }
    kubectl.run(&format!("replace -f {file}")).await;
    kubectl.run(&format!("delete -f {file}")).await;
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_label_annotate_and_scale_change_what_they_name() {
    kubectl!(plane, kubectl);
    plane.cluster("web", 1, 1).await;
    kubectl.run("create configmap a --from-literal=k=1").await;
    kubectl.run("patch cm a -p {\"data\":{\"l\":\"2\"}}").await;
    kubectl.run("patch cm a --type=merge -p {\"data\":{\"k\":null}}").await;
    kubectl.run("patch cm a --type=json -p [{\"op\":\"add\",\"path\":\"/data/m\",\"value\":\"3\"}]").await;
    assert_eq!(kubectl.run("get cm a -o jsonpath={.data}").await, "{\"l\":\"2\",\"m\":\"3\"}");
    let failed =
        kubectl.refused("patch cm a --type=json -p [{\"op\":\"remove\",\"path\":\"/data/none\"}]").await;
    has(&failed, &["the server rejected our request due to an error in our request"]);
    // As on the real one, custom resources know no strategic patches.
    let strategic =
        kubectl.refused("-n web patch cluster web --type=strategic -p {\"spec\":{\"paused\":true}}").await;
    has(
        &strategic,
        &["application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"],
    );
    let refused =
        kubectl.refused("-n web patch cluster web --type=merge -p {\"spec\":{\"paused\":\"x\"}}").await;
    has(
        &refused,
        &[
            "default.cluster.cluster.x-k8s.io",
            "json: cannot unmarshal string into Go struct field ClusterSpec.spec.paused",
        ],
    );
    has(&kubectl.run("-n web label cluster web team=a").await, &["labeled"]);
    has(&kubectl.refused("-n web label cluster web team=b").await, &["already has a value (a)"]);
    has(&kubectl.refused("-n web label cluster web team=b/c --overwrite").await, &["a valid label must be"]);
    kubectl.run("-n web annotate machines --all note=x").await;
    kubectl.run("-n web annotate cluster web note=x").await;
    kubectl.run("-n web annotate cluster web note-").await;
    kubectl.run("-n web scale md web-md-0 --replicas=2").await;
    kubectl.run("-n web scale --current-replicas=2 --replicas=3 machinedeployment/web-md-0").await;
    plane.sandbox.drain();
    assert_eq!(kubectl.run("-n web get md web-md-0 -o jsonpath={.status.readyReplicas}").await, "3");
    let even = kubectl.refused("-n web scale kcp web-control-plane --replicas=2").await;
    has(&even, &["cannot be an even number when etcd is stacked"]);
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_propagates_as_it_is_told() {
    kubectl!(plane, kubectl);
    for policy in ["background", "foreground", "orphan"] {
        let (status, owner) = plane
            .post("/api/v1/namespaces/default/configmaps", &json!({"metadata": {"name": "owner"}}))
            .await;
        assert_eq!(status, 201);
        let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": true}]);
        let owned = json!({"metadata": {"name": "owned", "ownerReferences": reference}});
        assert_eq!(plane.post("/api/v1/namespaces/default/configmaps", &owned).await.0, 201);
        has(&kubectl.run(&format!("delete cm owner --cascade={policy} --timeout=5s")).await, &["deleted"]);
        let left = kubectl.run("get cm -o name").await;
        assert_eq!(left.contains("owned"), policy == "orphan", "{policy}: {left}");
    }
    kubectl.run("delete cm --all").await;
    has(&kubectl.run("delete cm owned --ignore-not-found").await, &[]);
    has(&kubectl.refused("delete cm owned").await, &["(NotFound)"]);
    kubectl.run("create cm a").await;
    has(&kubectl.run("delete cm a --dry-run=server").await, &["(server dry run)"]);
    kubectl.run("delete cm a --now").await;
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_and_watch_see_what_happens() {
    kubectl!(plane, kubectl);
    plane.cluster("web", 1, 0).await;
    kubectl.run("-n web wait --for=condition=Available cluster/web --timeout=5s").await;
    kubectl.run("-n web wait --for=jsonpath={.status.phase}=Provisioned cluster/web --timeout=5s").await;
    kubectl.run("-n web wait --for=create secret/web-kubeconfig --timeout=5s").await;
    let late = kubectl.refused("-n web wait --for=condition=Deleting cluster/web --timeout=1s").await;
    has(&late, &["timed out waiting for the condition"]);

    let mut watch = kubectl.command("get cm -w --output-watch-events --no-headers");
    let mut child = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    kubectl.run("create cm first").await;
    let first_words = |line: String| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(first_words(lines.next_line().await.unwrap().unwrap()), "ADDED first");
    kubectl.run("label cm first a=b").await;
    kubectl.run("delete cm first").await;
    for expected in ["MODIFIED first", "DELETED first"] {
        assert_eq!(first_words(lines.next_line().await.unwrap().unwrap()), expected);
    }
    child.kill().await.unwrap();

    kubectl.run("-n web delete cluster web --wait=false").await;
    let gone = kubectl.run("-n web wait --for=delete cluster/web --timeout=30s");
    let (_, ()) = tokio::join!(gone, async { plane.sandbox.drain() });
    assert_eq!(plane.get(&format!("{CAPI}/namespaces/web/clusters/web")).await.0, 404);
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_and_what_one_may_do_is_told() {
    kubectl!(plane, kubectl);
    let resources = kubectl.run("api-resources -o wide --sort-by=name").await;
    has(&resources, &["openstackmachinetemplates", "osmt", "cluster-api", "horizontalpodautoscalers"]);
    has(&kubectl.run("api-resources --api-group=apps --namespaced=true --verbs=list").await, &["daemonsets"]);
    has(&kubectl.run("api-versions").await, &["cluster.x-k8s.io/v1beta2", "apps/v1", "\nv1\n"]);
    has(&kubectl.run("explain pods.spec.containers.livenessProbe").await, &["httpGet\t<HTTPGetAction>"]);
    has(&kubectl.run("explain kcp.spec.rollout --recursive").await, &["maxSurge"]);
    has(
        &kubectl.run("explain openstackcluster.spec.apiServerLoadBalancer").await,
        &["allowedCIDRs\t<[]string>"],
    );
    has(&kubectl.refused("explain cluster.spec.none").await, &["field \"none\" does not exist"]);
    has(&kubectl.run("auth can-i delete clusters").await, &["yes"]);
    has(&kubectl.run("auth can-i --list").await, &["*.*"]);
    has(&kubectl.run("auth whoami").await, &["kubernetes-admin", "system:masters"]);
    kubectl.run("create clusterrolebinding jane --clusterrole=view --user=jane").await;
    kubectl.run("get pods --as=jane").await;
    has(&kubectl.refused("auth can-i get secrets --as=jane").await, &["no"]);
    has(&kubectl.run("auth can-i --list --as=jane").await, &["deployments.apps", "[get list watch]"]);
    let refused = kubectl.refused("delete pod a --as=jane").await;
    has(
        &refused,
        &[
            "pods \"a\" is forbidden: User \"jane\" cannot delete resource \"pods\" in API group \"\" in the namespace \"default\"",
        ],
    );
    has(&kubectl.run("cluster-info").await, &["Kubernetes control plane is running at"]);
    has(&kubectl.run("get --raw /").await, &["/apis/cluster.x-k8s.io/v1beta2"]);
    has(&kubectl.run("get --raw /readyz").await, &["ok"]);
    has(&kubectl.refused("top nodes").await, &["Metrics API not available"]);
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn create_knows_the_usual_kinds_and_containers_are_refused_in_words() {
    kubectl!(plane, kubectl);
    for kind in [
        "namespace n",
        "secret generic s --from-literal=k=v",
        "secret docker-registry r --docker-server=x --docker-username=u --docker-password=p",
        "configmap c --from-literal=k=v",
        "serviceaccount a",
        "deployment d --image=x --replicas=2 --port=80",
        "service clusterip ci --tcp=80:81",
        "service loadbalancer lb --tcp=80",
        "job j --image=x",
        "cronjob cj --image=x --schedule=@daily",
        "ingress i --rule=a.example.com/*=s:80",
        "quota q --hard=pods=1",
        "poddisruptionbudget b --selector=a=b --min-available=1",
        "priorityclass p --value=7",
        "role ro --verb=get --resource=pods",
        "rolebinding rb --role=ro --serviceaccount=default:a",
        "clusterrole cr --verb=get --resource=pods",
        "token a",
    ] {
        kubectl.run(&format!("create {kind}")).await;
    }
    plane.sandbox.drain();
    let deployment =
        kubectl.run("get deployment d -o jsonpath={.spec.replicas}{.spec.template.spec.containers}").await;
    assert_eq!(deployment, "2[{\"image\":\"x\",\"name\":\"x\",\"ports\":[{\"containerPort\":80}]}]");
    has(&kubectl.run("rollout status deployment/d --timeout=5s").await, &["successfully rolled out"]);
    kubectl.run("rollout restart deployment/d").await;
    kubectl.run("set image deployment/d x=y").await;
    kubectl.run("expose deployment d --port=80").await;
    kubectl.run("autoscale deployment d --max=3").await;
    assert!(kubectl.run("get all").await.contains("deployment.apps/d"));
    kubectl.run("run p --image=x").await;
    kubectl
        .run("patch pod p --subresource=status --type=merge -p {\"status\":{\"phase\":\"Running\"}}")
        .await;
    let words = "the sandbox runs no containers: pod \"p\" has no";
    for (arguments, what) in [
        ("logs p", "log"),
        ("exec p -- ls", "exec"),
        ("attach p", "attach"),
        ("port-forward pod/p :80", "portforward"),
    ] {
        has(&kubectl.refused(arguments).await, &[&format!("{words} {what}")]);
    }
    kubectl.run("cordon sandbox").await;
    kubectl.run("drain sandbox --ignore-daemonsets --force").await;
    kubectl.run("uncordon sandbox").await;
    kubectl.run("taint node sandbox a=b:NoSchedule").await;
    plane.knew_every_route();
}
