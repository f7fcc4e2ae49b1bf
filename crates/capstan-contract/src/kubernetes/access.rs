//! Who may do what.

use anyhow::{Result, ensure};
use kube::client::Body;
use serde_json::{Value, json};

use super::Site;

const GROUP: &str = "rbac.authorization.k8s.io";

/// A user, and a role in the namespace that lets him look at clusters.
async fn reader(site: &Site) -> Result<String> {
    let user = format!("{}-reader", site.namespace);
    let metadata = json!({"name": "reader", "namespace": site.namespace});
    let role = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Role", "metadata": metadata,
        "rules": [{"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters"], "verbs": ["get", "list"]}]});
    let binding = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": user}]});
    for object in [role, binding] {
        site.applier().apply_over(&object, None).await?;
    }
    Ok(user)
}

/// A role allows what it names; everything else is forbidden in words that name user, verb, resource and place.
///
/// # Errors
/// It is not so.
pub async fn a_role_allows_what_it_names(site: &Site) -> Result<()> {
    let user = reader(site).await?;
    let namespace = &site.namespace;
    let clusters = format!("/apis/cluster.x-k8s.io/v1beta2/namespaces/{namespace}/clusters");
    let of = |plural: &str, group: &str| {
        format!("resource \"{plural}\" in API group \"{group}\" in the namespace \"{namespace}\"")
    };
    let named = format!(
        "clusters.cluster.x-k8s.io \"web\" is forbidden: User \"{user}\" cannot delete {}",
        of("clusters", "cluster.x-k8s.io")
    );
    let secrets = format!("secrets is forbidden: User \"{user}\" cannot list {}", of("secrets", ""));
    let everywhere = format!(
        "clusters.cluster.x-k8s.io is forbidden: User \"{user}\" cannot list resource \"clusters\" in API group \"cluster.x-k8s.io\" at the cluster scope"
    );
    for (method, path, code, message) in [
        ("GET", clusters.clone(), 200, String::new()),
        ("GET", format!("{clusters}/web"), 404, "clusters.cluster.x-k8s.io \"web\" not found".to_owned()),
        ("DELETE", format!("{clusters}/web"), 403, named),
        ("GET", format!("/api/v1/namespaces/{namespace}/secrets"), 403, secrets),
        ("GET", "/apis/cluster.x-k8s.io/v1beta2/clusters".to_owned(), 403, everywhere),
    ] {
        let request = http::Request::builder().method(method).uri(&path).header("impersonate-user", &user);
        let response = site.client.send(request.body(Body::empty())?).await?;
        let found = response.status().as_u16();
        let answer: Value = serde_json::from_slice(&response.into_body().collect_bytes().await?)?;
        ensure!(found == code, "{method} {path}: {code} was expected, but {answer}");
        ensure!(
            code == 200 || answer["message"] == message.as_str(),
            "`{message}` was expected, but {answer}"
        );
    }
    Ok(())
}

/// A review tells the same, with the binding that allows it.
///
/// # Errors
/// It is not so.
pub async fn a_review_tells_why_somebody_may(site: &Site) -> Result<()> {
    let user = reader(site).await?;
    let namespace = &site.namespace;
    for (verb, status) in [
        (
            "list",
            json!({"allowed": true, "reason": format!("RBAC: allowed by RoleBinding \"reader/{namespace}\" of Role \"reader\" to User \"{user}\"")}),
        ),
        ("delete", json!({"allowed": false})),
    ] {
        let attributes = json!({"verb": verb, "group": "cluster.x-k8s.io", "resource": "clusters", "namespace": namespace});
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes}});
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let (code, answer) =
            super::refusals::send(site, "POST", path, "application/json", &review.to_string()).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        ensure!(code == 201 && answer["status"] == status, "{status} was expected, but {answer}");
    }
    Ok(())
}
