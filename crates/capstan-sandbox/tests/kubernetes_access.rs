//! Who may do what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use kubernetes_support::{CAPI, Plane};
use reqwest::Method;
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ACCESS: &str = "/apis/authorization.k8s.io/v1";

/// A service account's token, and a role in the namespace `default` that lets it look at clusters.
async fn reader(plane: &Plane) -> String {
    let metadata = json!({"name": "reader", "namespace": "default"});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    assert_eq!(plane.post("/api/v1/namespaces/default/serviceaccounts", &account).await.0, 201);
    let role = json!({"metadata": metadata, "rules": [
        {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get", "update"]}]});
    assert_eq!(plane.post(&format!("{RBAC}/namespaces/default/roles"), &role).await.0, 201);
    let binding = json!({"metadata": metadata, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}]});
    assert_eq!(plane.post(&format!("{RBAC}/namespaces/default/rolebindings"), &binding).await.0, 201);
    let path = "/api/v1/namespaces/default/serviceaccounts/reader/token";
    let (status, made) = plane.post(path, &json!({"spec": {"expirationSeconds": 600}})).await;
    assert_eq!(status, 201, "{made}");
    made["status"]["token"].as_str().unwrap().to_owned()
}

async fn as_holder(plane: &Plane, token: &str, method: Method, path: &str) -> (u16, Value) {
    let request = reqwest::Client::new().request(method, plane.url(path)).bearer_auth(token);
    let response = request.header("content-type", "application/json").body("{}").send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn a_role_allows_what_it_names_and_the_rest_is_refused_in_the_real_words() {
    let plane = Plane::start().await;
    let token = reader(&plane).await;
    let clusters = format!("{CAPI}/namespaces/default/clusters");
    assert_eq!(as_holder(&plane, &token, Method::GET, &clusters).await.0, 200);
    assert_eq!(as_holder(&plane, &token, Method::GET, "/apis").await.0, 200, "everybody may look around");
    let user = "User \"system:serviceaccount:default:reader\"";
    for (method, path, expected) in [
        (
            Method::DELETE,
            format!("{clusters}/web"),
            format!(
                "clusters.cluster.x-k8s.io \"web\" is forbidden: {user} cannot delete resource \"clusters\" in API group \"cluster.x-k8s.io\" in the namespace \"default\""
            ),
        ),
        (
            Method::GET,
            format!("{CAPI}/clusters"),
            format!(
                "clusters.cluster.x-k8s.io is forbidden: {user} cannot list resource \"clusters\" in API group \"cluster.x-k8s.io\" at the cluster scope"
            ),
        ),
        (
            Method::GET,
            "/api/v1/namespaces/default/configmaps/other".to_owned(),
            format!(
                "configmaps \"other\" is forbidden: {user} cannot get resource \"configmaps\" in API group \"\" in the namespace \"default\""
            ),
        ),
        (
            Method::POST,
            format!("{clusters}/web/status"),
            format!(
                "clusters.cluster.x-k8s.io \"web\" is forbidden: {user} cannot create resource \"clusters/status\" in API group \"cluster.x-k8s.io\" in the namespace \"default\""
            ),
        ),
    ] {
        let (status, refused) = as_holder(&plane, &token, method, &path).await;
        assert_eq!((status, &refused["reason"]), (403, &json!("Forbidden")), "{refused}");
        assert_eq!(refused["message"], expected);
    }
    let named = "/api/v1/namespaces/default/configmaps/mine";
    assert_eq!(as_holder(&plane, &token, Method::GET, named).await.0, 404, "allowed, but not there");
}

#[tokio::test]
async fn reviews_tell_who_may_do_what() {
    let plane = Plane::start().await;
    let token = reader(&plane).await;
    let (_, review) =
        plane.post("/apis/authentication.k8s.io/v1/tokenreviews", &json!({"spec": {"token": token}})).await;
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:reader");
    let asked = |verb: &str| {
        json!({"spec": {"user": "system:serviceaccount:default:reader",
            "resourceAttributes": {"verb": verb, "group": "cluster.x-k8s.io", "resource": "clusters", "namespace": "default"}}})
    };
    let path = format!("{ACCESS}/subjectaccessreviews");
    let (_, allowed) = plane.post(&path, &asked("watch")).await;
    assert_eq!(
        allowed["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"reader/default\" of Role \"reader\" to ServiceAccount \"reader/default\""})
    );
    let (_, refused) = plane.post(&path, &asked("delete")).await;
    assert_eq!(refused["status"], json!({"allowed": false}));
    let mine = json!({"spec": {"namespace": "default"}});
    let (_, rules) = plane.post(&format!("{ACCESS}/selfsubjectrulesreviews"), &mine).await;
    assert_eq!(rules["status"]["resourceRules"][0]["verbs"], json!(["*"]));
}

#[tokio::test]
async fn a_token_ends_and_a_wrong_one_is_nobodys() {
    let plane = Plane::start().await;
    let token = reader(&plane).await;
    let clusters = format!("{CAPI}/namespaces/default/clusters");
    plane.sandbox.advance(std::time::Duration::from_secs(599));
    assert_eq!(as_holder(&plane, &token, Method::GET, &clusters).await.0, 200);
    plane.sandbox.advance(std::time::Duration::from_secs(2));
    for token in [token.as_str(), "nobodys", ""] {
        let (status, refused) = as_holder(&plane, token, Method::GET, &clusters).await;
        assert_eq!(status, 401);
        assert_eq!(
            refused,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401})
        );
    }
}

#[tokio::test]
async fn an_administrator_may_speak_for_others_and_nobody_else_may() {
    let plane = Plane::start().await;
    let binding = json!({"metadata": {"name": "jane"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]});
    assert_eq!(plane.post(&format!("{RBAC}/clusterrolebindings"), &binding).await.0, 201);
    let secrets = "/api/v1/namespaces/default/secrets";
    for (path, expected) in [("/api/v1/pods", 200), (secrets, 403)] {
        assert_eq!(plane.get_as("jane", path).await.0, expected, "{path}");
    }
    let token = reader(&plane).await;
    let request = reqwest::Client::new().get(plane.url("/api/v1/pods")).bearer_auth(token);
    let refused = request.header("impersonate-user", "kubernetes-admin").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(
        body["message"],
        "users \"kubernetes-admin\" is forbidden: User \"system:serviceaccount:default:reader\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
}
