//! The API server: what clients of Kubernetes rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use kubernetes_support::{CAPI, Plane, Watch};
use reqwest::Method;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "x"}}, "data": data})
}

#[tokio::test]
async fn objects_are_created_read_changed_and_deleted() {
    let plane = Plane::start().await;
    let (status, made) = plane.post(MAPS, &map("a", &json!({"k": "1"}))).await;
    assert_eq!(status, 201);
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["creationTimestamp"].is_string());
    let (status, again) = plane.post(MAPS, &map("a", &json!({}))).await;
    assert_eq!((status, &again["reason"]), (409, &json!("AlreadyExists")));
    let (status, changed) = plane.merge(&format!("{MAPS}/a"), &json!({"data": {"k": null, "l": "2"}})).await;
    assert_eq!((status, &changed["data"]), (200, &json!({"l": "2"})));
    let (status, outdated) = plane.put(&format!("{MAPS}/a"), &made).await;
    assert_eq!((status, &outdated["reason"]), (409, &json!("Conflict")));
    assert_eq!(plane.send(Method::DELETE, &format!("{MAPS}/a"), "", None).await.0, 200);
    let (status, gone) = plane.get(&format!("{MAPS}/a")).await;
    assert_eq!((status, &gone["message"]), (404, &json!("configmaps \"a\" not found")));
    assert_eq!(gone["details"], json!({"name": "a", "kind": "configmaps"}));
    let (status, _) = plane.post(&format!("{MAPS}?dryRun=All"), &map("b", &json!({}))).await;
    assert_eq!(status, 201);
    assert_eq!(plane.get(&format!("{MAPS}/b")).await.0, 404);
    let (status, named) = plane.post(MAPS, &json!({"metadata": {"generateName": "g-"}})).await;
    assert_eq!(status, 201);
    assert_eq!(named["metadata"]["name"].as_str().unwrap().len(), 7);
}

#[tokio::test]
async fn only_bearers_of_the_token_get_in_and_unknown_routes_name_themselves() {
    let plane = Plane::start().await;
    let client = reqwest::Client::new();
    for path in ["/api", "/apis/apps/v1/deployments"] {
        assert_eq!(client.get(plane.url(path)).send().await.unwrap().status(), 401);
    }
    assert_eq!(client.get(plane.url("/readyz")).send().await.unwrap().status(), 200);
    let (status, refused) = plane.get("/api/v1/namespaces/default/pods/a/resize").await;
    assert_eq!(status, 501);
    assert!(refused["message"].as_str().unwrap().contains("/pods/a/resize"), "{refused}");
    let (status, _) = plane.get("/apis/nothing.example.com/v1/things").await;
    assert_eq!(status, 404);
    assert_eq!(plane.sandbox.requests().unknown.len(), 1);
    assert_eq!(plane.get("/workload/none/none/version").await.0, 503);
}

#[tokio::test]
async fn lists_are_selected_and_paged() {
    let plane = Plane::start().await;
    for name in ["a", "b", "c"] {
        assert_eq!(plane.post(MAPS, &map(name, &json!({}))).await.0, 201);
    }
    let first = plane.object(&format!("{MAPS}?labelSelector=set%3Dx&limit=2")).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = plane.items(&format!("{MAPS}?labelSelector=set%3Dx&limit=2&continue={token}")).await;
    assert_eq!(rest[0]["metadata"]["name"], "c");
    assert_eq!(plane.items(&format!("{MAPS}?fieldSelector=metadata.name%3Db")).await.len(), 1);
    assert_eq!(plane.get(&format!("{MAPS}?fieldSelector=data.k%3Db")).await.0, 400);
}

#[tokio::test]
async fn a_watch_brings_the_state_then_the_changes() {
    let plane = Plane::start().await;
    let (_, made) = plane.post(MAPS, &map("a", &json!({}))).await;
    let path = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&labelSelector=set%3Dx"
    );
    let mut watch = Watch::start(&plane, &path).await;
    assert_eq!(watch.kind().await, "ADDED");
    let mark = watch.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    plane.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "1"}})).await;
    assert_eq!(watch.kind().await, "MODIFIED");
    plane.merge(&format!("{MAPS}/a"), &json!({"metadata": {"labels": {"set": null}}})).await;
    assert_eq!(watch.kind().await, "DELETED", "it left the selection");
    let since = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut resumed =
        Watch::start(&plane, &format!("{MAPS}?watch=true&resourceVersion={since}&timeoutSeconds=1")).await;
    assert_eq!(
        [resumed.kind().await, resumed.kind().await, resumed.kind().await],
        ["MODIFIED", "MODIFIED", ""]
    );
    let mut old =
        Watch::start(&plane, &format!("{MAPS}?watch=true&resourceVersion=1&timeoutSeconds=1")).await;
    let first = old.next().await.unwrap();
    assert!(first["type"] == "ADDED" || first["object"]["code"] == 410, "{first}");
}

#[tokio::test]
async fn server_side_apply_keeps_who_owns_what() {
    let plane = Plane::start().await;
    let path = format!("{MAPS}/a");
    let (status, _) = plane.apply(&path, "one", &map("a", &json!({"x": "1", "y": "1"}))).await;
    assert_eq!(status, 201);
    let (status, conflict) = plane.apply(&path, "two", &map("a", &json!({"x": "2"}))).await;
    assert_eq!(status, 409);
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.x");
    assert_eq!(conflict["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let (status, forced) = plane.apply(&path, "two&force=true", &map("a", &json!({"x": "2"}))).await;
    assert_eq!((status, &forced["data"]), (200, &json!({"x": "2", "y": "1"})));
    let (_, less) = plane.apply(&path, "one", &map("a", &json!({}))).await;
    assert_eq!(less["data"], json!({"x": "2"}), "y was only one's, x is two's");
    let version = less["metadata"]["resourceVersion"].clone();
    let (_, same) = plane.apply(&path, "one", &map("a", &json!({}))).await;
    assert_eq!(same["metadata"]["resourceVersion"], version, "applying the same changes nothing");
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner() {
    let plane = Plane::start().await;
    let (_, owner) = plane.post(MAPS, &map("owner", &json!({}))).await;
    let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
    for name in ["one", "two"] {
        let mut object = map(name, &json!({}));
        object["metadata"]["ownerReferences"] = reference.clone();
        if name == "two" {
            object["metadata"]["finalizers"] = json!(["example.com/held"]);
        }
        assert_eq!(plane.post(MAPS, &object).await.0, 201);
    }
    let (status, waiting) = plane.delete(&format!("{MAPS}/owner?propagationPolicy=Foreground")).await;
    assert_eq!((status, &waiting["metadata"]["finalizers"]), (200, &json!(["foregroundDeletion"])));
    assert_eq!(plane.get(&format!("{MAPS}/one")).await.0, 404);
    assert_eq!(plane.merge(&format!("{MAPS}/two"), &json!({"metadata": {"finalizers": null}})).await.0, 200);
    assert_eq!(plane.get(&format!("{MAPS}/two")).await.0, 404);
    assert_eq!(plane.get(&format!("{MAPS}/owner")).await.0, 404);
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_empty() {
    let plane = Plane::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    assert_eq!(plane.post("/api/v1/namespaces", &namespace).await.0, 201);
    let mut held = map("a", &json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    let maps = "/api/v1/namespaces/n/configmaps";
    assert_eq!(plane.post(maps, &held).await.0, 201);
    assert_eq!(plane.delete("/api/v1/namespaces/n").await.0, 200);
    let left = plane.object("/api/v1/namespaces/n").await;
    assert_eq!(left["status"]["phase"], "Terminating");
    let message = left["status"]["conditions"][1]["message"].as_str().unwrap();
    assert!(message.contains("example.com/held in 1 resource instances"), "{message}");
    let (status, refused) = plane.post(maps, &map("b", &json!({}))).await;
    assert_eq!(status, 403);
    assert!(refused["message"].as_str().unwrap().contains("because it is being terminated"));
    assert_eq!(plane.merge(&format!("{maps}/a"), &json!({"metadata": {"finalizers": null}})).await.0, 200);
    assert_eq!(plane.get("/api/v1/namespaces/n").await.0, 404);
}

#[tokio::test]
async fn custom_resources_are_defined_checked_and_shown() {
    let plane = Plane::start().await;
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"},
            "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}]}}},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
             "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]}]}});
    let (status, made) =
        plane.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    assert_eq!((status, &made["status"]["conditions"][1]["type"]), (201, &json!("Established")));
    let things = "/apis/example.com/v1/namespaces/default/things";
    let thing = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec, "status": {"phase": "Done"}});
    let (status, refused) = plane.post(things, &thing(json!({"size": 0}))).await;
    assert_eq!(status, 422);
    assert_eq!(
        refused["message"],
        "Thing.example.com \"a\" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    );
    let (status, strict) =
        plane.post(&format!("{things}?fieldValidation=Strict"), &thing(json!({"size": 1, "typo": 1}))).await;
    assert_eq!(status, 400);
    assert!(
        strict["message"].as_str().unwrap().ends_with("strict decoding error: unknown field \"spec.typo\"")
    );
    let (status, made) = plane.post(things, &thing(json!({"size": 1, "fixed": "x", "typo": 1}))).await;
    assert_eq!((status, &made["spec"]), (201, &json!({"size": 1, "color": "red", "fixed": "x"})));
    assert!(made.get("status").is_none(), "status is a subresource");
    let (_, shown) = plane
        .merge(&format!("{things}/a/status"), &json!({"status": {"phase": "Done"}, "spec": {"size": 9}}))
        .await;
    assert_eq!(
        (&shown["status"]["phase"], &shown["spec"]["size"], &shown["metadata"]["generation"]),
        (&json!("Done"), &json!(1), &json!(1))
    );
    let (_, larger) = plane.merge(&format!("{things}/a"), &json!({"spec": {"size": 2}})).await;
    assert_eq!(larger["metadata"]["generation"], 2);
    let (status, _) = plane.merge(&format!("{things}/a"), &json!({"spec": {"fixed": "y"}})).await;
    assert_eq!(status, 422);
    let (_, refused) = plane
        .apply(
            &format!("{things}/b"),
            "me",
            &json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"sise": 1}}),
        )
        .await;
    assert!(
        refused["message"].as_str().unwrap().ends_with(".spec.sise: field not declared in schema"),
        "{refused}"
    );
    assert_eq!(
        plane.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com").await.0,
        200
    );
    assert_eq!(plane.get(things).await.0, 404);
}

#[tokio::test]
async fn the_management_plane_looks_installed() {
    let plane = Plane::start().await;
    let providers = plane.items("/apis/clusterctl.cluster.x-k8s.io/v1alpha3/providers").await;
    assert_eq!(providers.len(), 4);
    let capo = plane.object("/apis/apps/v1/namespaces/capo-system/deployments/capo-controller-manager").await;
    assert!(
        capo["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().ends_with(":v0.14.7")
    );
    let (status, refused) = plane
        .post(
            &format!("{CAPI}/namespaces/default/clusters"),
            &json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "a"}, "spec": {"paused": "x"}}),
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(
        refused["message"],
        "admission webhook \"default.cluster.cluster.x-k8s.io\" denied the request: json: cannot unmarshal string into Go struct field ClusterSpec.spec.paused of type bool"
    );
}
