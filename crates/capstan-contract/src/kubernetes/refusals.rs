//! Requests that are wrong, and the words in which they are refused.

use anyhow::{Context, Result, ensure};
use kube::client::Body;
use serde_json::{Value, json};

use super::Site;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const MAPS: &str = "/api/v1/namespaces/NS/configmaps";

/// A body that is no object of its kind is a bad request that says why.
///
/// # Errors
/// It is not so.
pub async fn unreadable_bodies_are_bad_requests(site: &Site) -> Result<()> {
    let unrecognized = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ";
    let types = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal";
    hold(site, &[
        ("POST", MAPS, JSON, "{", 400, "BadRequest", unrecognized),
        ("POST", MAPS, JSON, "[]", 400, "BadRequest", unrecognized),
        ("POST", MAPS, JSON, "", 400, "BadRequest", unrecognized),
        ("POST", MAPS, JSON, "null", 422, "Invalid", "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"),
        ("POST", MAPS, JSON, "{\"kind\":\"Secret\",\"apiVersion\":\"v1\"}", 400, "BadRequest", "Secret in version \"v1\" cannot be handled as a ConfigMap: "),
        ("POST", MAPS, JSON, "{\"metadata\":\"x\"}", 400, "BadRequest", &[types, " string into Go struct field ConfigMap.metadata of type v1.ObjectMeta"].concat()),
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":1}}}", 400, "BadRequest", &[types, " number into Go struct field ObjectMeta.metadata.labels of type string"].concat()),
        ("POST", MAPS, "text/plain", "x", 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"),
        ("POST", "/apis/cluster.x-k8s.io/v1beta2/namespaces/NS/clusters", JSON, "{\"metadata\":{\"name\":\"x\"}}", 400, "BadRequest", "the object provided is unrecognized (must be of type Cluster): Object 'Kind' is missing in "),
        ("DELETE", "/api/v1/namespaces/NS/configmaps/a", JSON, "{", 400, "BadRequest", "couldn't get version/kind; json parse error: "),
    ])
    .await
}

/// Names, labels, annotations, finalizers and owners have their forms, and each mistake its words.
///
/// # Errors
/// It is not so.
pub async fn metadata_has_its_forms(site: &Site) -> Result<()> {
    let long = json!({"metadata": {"name": "x", "annotations": {"a": "b".repeat(262_144)}}}).to_string();
    let owner = json!({"metadata": {"name": "x", "ownerReferences": [{"kind": "a"}]}}).to_string();
    let label = json!({"metadata": {"name": "x", "labels": {"a": "b".repeat(64)}}}).to_string();
    hold(site, &[
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"B_\"}}", 422, "Invalid", "ConfigMap \"B_\" is invalid: metadata.name: Invalid value: \"B_\": a lowercase RFC 1123 subdomain must consist of"),
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b c\"}}}", 422, "Invalid", "ConfigMap \"x\" is invalid: metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist of"),
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x\",\"labels\":{\"-\":\"b\"}}}", 422, "Invalid", "ConfigMap \"x\" is invalid: metadata.labels: Invalid value: \"-\": name part must consist of"),
        ("POST", MAPS, JSON, &label, 422, "Invalid", "ConfigMap \"x\" is invalid: metadata.labels: Invalid value: \"bbbb"),
        ("POST", MAPS, JSON, &long, 422, "Invalid", "ConfigMap \"x\" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes"),
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x\",\"finalizers\":[\"noslash\"]}}", 422, "Invalid", "ConfigMap \"x\" is invalid: metadata.finalizers[0]: Invalid value: \"noslash\": name is neither a standard finalizer name nor is it fully qualified"),
        ("POST", MAPS, JSON, &owner, 422, "Invalid", "ConfigMap \"x\" is invalid: [metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty, metadata.ownerReferences.name: Invalid value: \"\": must not be empty, metadata.ownerReferences.uid: Invalid value: \"\": must not be empty]"),
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"other\"}}", 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
        ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"5\"}}", 500, "", "resourceVersion should not be set on objects to be created"),
        ("PUT", "/api/v1/namespaces/NS/configmaps/a", JSON, "{\"metadata\":{\"name\":\"b\"}}", 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
        ("DELETE", "/api/v1/namespaces/default", JSON, "", 403, "Forbidden", "namespaces \"default\" is forbidden: this namespace may not be deleted"),
    ])
    .await
}

/// Who wants no unknown fields is told of each, and options have only their values.
///
/// # Errors
/// It is not so.
pub async fn strict_validation_and_options_are_told(site: &Site) -> Result<()> {
    let cluster = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": "y", "foo": 1},
        "spec": {"controlPlaneRef": {"apiGroup": "a.b", "kind": "K", "name": "n", "q": 1}, "foo": 1}})
    .to_string();
    hold(site, &[
        ("POST", "/api/v1/namespaces/NS/configmaps?fieldValidation=Strict", JSON, "{\"metadata\":{\"name\":\"x\"},\"date\":{}}", 400, "BadRequest", "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"date\""),
        ("POST", "/apis/cluster.x-k8s.io/v1beta2/namespaces/NS/clusters?fieldValidation=Strict", JSON, &cluster, 400, "BadRequest", "Cluster in version \"v1beta2\" cannot be handled as a Cluster: strict decoding error: unknown field \"metadata.foo\", unknown field \"spec.controlPlaneRef.q\", unknown field \"spec.foo\""),
        ("POST", "/api/v1/namespaces/NS/configmaps?fieldValidation=Odd", JSON, "{\"metadata\":{\"name\":\"x\"}}", 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Odd\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""),
        ("POST", "/api/v1/namespaces/NS/configmaps?dryRun=Odd", JSON, "{\"metadata\":{\"name\":\"x\"}}", 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Odd\"]: supported values: \"All\""),
        ("DELETE", "/api/v1/namespaces/NS/configmaps/a", JSON, "{\"propagationPolicy\":\"Odd\"}", 422, "Invalid", "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Odd\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""),
        ("DELETE", "/api/v1/namespaces/NS/configmaps/a", JSON, "{\"preconditions\":{\"uid\":\"1\"}}", 409, "Conflict", "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (1) does not match the UID in record ("),
        ("PATCH", "/api/v1/namespaces/NS/configmaps/a?force=true", MERGE, "{}", 422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"),
        ("PATCH", "/api/v1/namespaces/NS/configmaps/a", APPLY, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}", 422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"),
    ])
    .await
}

/// A patch that cannot be read, or cannot be done, changes nothing.
///
/// # Errors
/// It is not so.
pub async fn bad_patches_change_nothing(site: &Site) -> Result<()> {
    const A: &str = "/api/v1/namespaces/NS/configmaps/a";
    let failed = "the server rejected our request due to an error in our request";
    hold(site, &[
        ("PATCH", A, MERGE, "{", 400, "BadRequest", "error decoding patch: "),
        ("PATCH", A, MERGE, "[]", 400, "BadRequest", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("PATCH", A, MERGE, "{\"data\":[]}", 422, "Invalid", " \"\" is invalid: patch: Invalid value: "),
        ("PATCH", A, MERGE, "{\"metadata\":{\"name\":\"b\"}}", 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
        ("PATCH", A, MERGE, "{\"metadata\":{\"resourceVersion\":\"1\"}}", 409, "Conflict", "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"),
        ("PATCH", A, PATCH, "{}", 400, "BadRequest", "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ("PATCH", A, PATCH, "[{\"op\":\"remove\",\"path\":\"/data/none\"}]", 422, "Invalid", failed),
        ("PATCH", A, PATCH, "[{\"op\":\"test\",\"path\":\"/data/k\",\"value\":\"2\"}]", 422, "Invalid", failed),
        ("PATCH", A, "text/plain", "{}", 415, "UnsupportedMediaType", "415: Unsupported Media Type"),
        ("PATCH", "/apis/cluster.x-k8s.io/v1beta2/namespaces/NS/clusters/a", "application/strategic-merge-patch+json", "{}", 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"),
        ("PATCH", &format!("{A}?fieldManager=m"), APPLY, "{\"kind\":\"ConfigMap\"}", 400, "BadRequest", "invalid object type: /, Kind=ConfigMap"),
        ("PATCH", &format!("{A}?fieldManager=m"), APPLY, "a: [", 400, "BadRequest", "error decoding YAML: error converting YAML to JSON: "),
        ("PATCH", &format!("{A}?fieldManager=m"), APPLY, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"date\":{}}", 500, "", "failed to create typed patch object (/; /v1, Kind=ConfigMap): .date: field not declared in schema"),
    ])
    .await
}

/// Selectors, versions and counts that are none are bad requests, each with its own code.
///
/// # Errors
/// It is not so.
pub async fn bad_selectors_and_versions_are_told(site: &Site) -> Result<()> {
    let get = |query: &'static str, code: u16, reason: &'static str, message: &'static str| {
        ("GET", format!("{MAPS}?{query}"), code, reason, message)
    };
    let cases = [
        get("labelSelector=a%20b", 400, "BadRequest", "unable to parse requirement: found "),
        get(
            "fieldSelector=data.k%3Db",
            400,
            "BadRequest",
            "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        get("fieldSelector=x", 400, "BadRequest", "invalid selector: 'x'; can't understand 'x'"),
        get("limit=x", 400, "BadRequest", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        get("continue=x", 400, "BadRequest", "invalid continue token: continue key is not valid"),
        get(
            "resourceVersion=x",
            400,
            "BadRequest",
            "invalid resource version: resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        get(
            "watch=1&resourceVersion=x",
            500,
            "",
            "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        get(
            "watch=1&sendInitialEvents=true",
            422,
            "Invalid",
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        get(
            "resourceVersionMatch=Exact",
            422,
            "Invalid",
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(m, path, code, reason, text)| (*m, path.as_str(), JSON, "", *code, *reason, *text))
        .collect();
    hold(site, &cases).await
}

/// What isn't served is told: as a page for a group, as a `Status` for the rest.
///
/// # Errors
/// It is not so.
pub async fn what_is_not_served_is_told(site: &Site) -> Result<()> {
    let missing = "the server could not find the requested resource";
    let method = "the server does not allow this method on the requested resource";
    hold(
        site,
        &[
            ("GET", "/api/v1/things", JSON, "", 404, "NotFound", missing),
            ("GET", "/apis/apps/v9/deployments", JSON, "", 404, "NotFound", missing),
            ("GET", "/apis/nothing.io/v1/things", JSON, "", 404, "", "404 page not found"),
            (
                "POST",
                "/api/v1/configmaps",
                JSON,
                "{\"metadata\":{\"name\":\"x\"}}",
                405,
                "MethodNotAllowed",
                method,
            ),
            (
                "POST",
                "/api/v1/namespaces/NS/configmaps/a",
                JSON,
                "{\"metadata\":{\"name\":\"x\"}}",
                405,
                "MethodNotAllowed",
                method,
            ),
            ("PATCH", MAPS, MERGE, "{}", 405, "MethodNotAllowed", method),
            (
                "PUT",
                "/api/v1/namespaces/NS/configmaps/none",
                JSON,
                "{\"metadata\":{\"name\":\"none\"}}",
                404,
                "NotFound",
                "configmaps \"none\" not found",
            ),
        ],
    )
    .await
}

/// A Cluster is looked at by its defaulting webhook, then by its schema, then by its validating webhook.
///
/// # Errors
/// It is not so.
pub async fn webhooks_and_schema_refuse_in_this_order(site: &Site) -> Result<()> {
    const CLUSTERS: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/NS/clusters";
    let cluster = |name: &str, spec: Option<Value>| {
        let mut object =
            json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": name}});
        if let Some(spec) = spec {
            object["spec"] = spec;
        }
        object.to_string()
    };
    let reference = json!({"controlPlaneRef": {"apiGroup": "a.b", "kind": "K", "name": "n"}});
    let long = "x".repeat(64);
    let refused = format!(
        "admission webhook \"validation.cluster.cluster.x-k8s.io\" denied the request: Cluster.cluster.x-k8s.io \"{long}\" is invalid: metadata.name: Invalid value: \"{long}\": must be a valid label value must be no more than 63 bytes"
    );
    hold(site, &[
        ("POST", CLUSTERS, JSON, &cluster("x", Some(json!({"paused": "x"}))), 400, "", "admission webhook \"default.cluster.cluster.x-k8s.io\" denied the request: json: cannot unmarshal string into Go struct field ClusterSpec.spec.paused of type bool"),
        ("POST", CLUSTERS, JSON, &cluster("x", Some(json!({}))), 422, "Invalid", "Cluster.cluster.x-k8s.io \"x\" is invalid: spec: Invalid value: 0: spec in body should have at least 1 properties"),
        ("POST", CLUSTERS, JSON, &cluster("x", None), 422, "Invalid", "Cluster.cluster.x-k8s.io \"x\" is invalid: [spec: Required value, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]"),
        ("POST", CLUSTERS, JSON, &cluster("X", Some(reference.clone())), 422, "Invalid", "Cluster.cluster.x-k8s.io \"X\" is invalid: metadata.name: Invalid value: \"X\": a lowercase RFC 1123 subdomain must consist of"),
        ("POST", CLUSTERS, JSON, &cluster(&long, Some(reference)), 422, "Invalid", &refused),
    ])
    .await
}

/// Sends requests and compares the answers. A case is a method, a path, a media type, a body, and what comes back: code,
/// reason and how the message begins. `NS` in a path stands for the namespace.
async fn hold(site: &Site, cases: &[(&str, &str, &str, &str, u16, &str, &str)]) -> Result<()> {
    site.applier().apply_over(&site.config_map("a", json!({"k": "1"})), None).await?;
    for (method, path, media, body, code, reason, message) in cases {
        let path = path.replace("NS", &site.namespace);
        let short: String = body.chars().take(100).collect();
        let case = format!("{method} {path} {short}");
        let (found, answer) = send(site, method, &path, media, body).await.with_context(|| case.clone())?;
        let status: Value = serde_json::from_str(&answer).unwrap_or_else(|_| json!({"message": answer}));
        let text = |field: &str| status[field].as_str().unwrap_or_default();
        ensure!(found == *code, "{case}: {code} was expected, but {found}: {answer}");
        ensure!(text("reason") == *reason, "{case}: `{reason}` was expected, but {answer}");
        ensure!(text("message").starts_with(message), "{case}: `{message}` was expected, but {answer}");
    }
    Ok(())
}

/// Code and body of an answer.
pub(super) async fn send(
    site: &Site,
    method: &str,
    path: &str,
    media: &str,
    body: &str,
) -> Result<(u16, String)> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", media);
    let response = site.client.send(request.body(Body::from(body.as_bytes().to_vec()))?).await?;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await?;
    Ok((code, String::from_utf8_lossy(&bytes).into_owned()))
}
