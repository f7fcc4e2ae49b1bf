//! Who may do what: roles, other projects' resources, projects and role assignments, quotas by an administrator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use capstan_sandbox::{Sandbox, Speed};
use common::{Client, NOBODY, id, password_login, start};
use serde_json::{Value, json};

/// A client that acts with some of the demo user's roles.
async fn with_roles(sandbox: &Sandbox, roles: &[&str]) -> Client {
    let client = Client::demo(sandbox).await;
    let path = format!("/identity/v3/users/{}/application_credentials", client.user);
    let named: Vec<Value> = roles.iter().map(|role| json!({"name": role})).collect();
    let wanted = json!({"name": roles.join("-"), "roles": named, "secret": "s"});
    let made = id(&client.make(&path, "application_credential", wanted).await);
    let login = json!({"auth": {"identity": {"methods": ["application_credential"],
        "application_credential": {"id": made, "secret": "s"}}}});
    Client::log_in(sandbox, &login).await
}

#[tokio::test]
async fn a_reader_reads_and_changes_nothing() {
    let sandbox = start(Speed::Max).await;
    let reader = with_roles(&sandbox, &["reader"]).await;
    let volumes = format!("/volume/v3/{}/volumes", reader.project);
    for path in ["/compute/v2.1/servers", "/network/v2.0/networks", "/image/v2/images", &volumes] {
        reader.get(path).await.expect(200);
    }
    let refusals = [
        (
            "/compute/v2.1/servers",
            json!({}),
            "Policy doesn't allow os_compute_api:servers:create to be performed.",
        ),
        ("/network/v2.0/networks", json!({}), "rule:create_network is disallowed by policy"),
        (&volumes, json!({}), "Policy doesn't allow volume:create to be performed."),
        (
            "/load-balancer/v2/lbaas/loadbalancers",
            json!({}),
            "Policy does not allow this request to be performed.",
        ),
    ];
    for (path, body, text) in refusals {
        assert_eq!(reader.post(path, &body).await.refused(403), text, "{path}");
    }
    let image = reader.post("/image/v2/images", &json!({"name": "i"})).await;
    assert!(image.refused(403).contains("You are not authorized to complete add_image action."));
    let path = format!("/network/v2.0/routers/{NOBODY}/add_router_interface");
    assert_eq!(
        reader.put(&path, &json!({})).await.refused(403),
        "rule:add_router_interface is disallowed by policy"
    );
    assert!(
        reader.delete(&format!("/network/v2.0/ports/{NOBODY}")).await.refused(403).contains("delete_port")
    );
}

#[tokio::test]
async fn load_balancers_need_a_role_of_their_own() {
    let sandbox = start(Speed::Max).await;
    let path = "/load-balancer/v2/lbaas/loadbalancers";
    let member = with_roles(&sandbox, &["member"]).await;
    member.get("/network/v2.0/networks").await.expect(200);
    member.get(path).await.refused(403);
    let balancing = with_roles(&sandbox, &["load-balancer_member"]).await;
    balancing.get(path).await.expect(200);
    balancing.post("/network/v2.0/networks", &json!({"network": {}})).await.refused(403);
}

#[tokio::test]
async fn other_projects_resources_are_not_there() {
    let sandbox = start(Speed::Max).await;
    let (client, admin) = (Client::demo(&sandbox).await, Client::admin(&sandbox).await);
    let network = id(&admin.make("/network/v2.0/networks", "network", json!({"name": "theirs"})).await);
    let group = json!({"name": "theirs", "policy": "affinity"});
    let group = id(&admin.make("/compute/v2.1/os-server-groups", "server_group", group).await);
    let volumes = format!("/volume/v3/{}/volumes", admin.project);
    let volume = id(&admin.make(&volumes, "volume", json!({"size": 1})).await);
    let theirs = [
        format!("/network/v2.0/networks/{network}"),
        format!("/compute/v2.1/os-server-groups/{group}"),
        format!("/volume/v3/{}/volumes/{volume}", client.project),
    ];
    for path in theirs {
        client.get(&path).await.refused(404);
        client.delete(&path).await.refused(404);
    }
    client.get(&format!("{volumes}/{volume}")).await.refused(400);
    // What is shown to all is not everybody's to change.
    let public = client.public_network().await;
    let path = format!("/network/v2.0/networks/{public}");
    assert_eq!(
        client.put(&path, &json!({"network": {"name": "x"}})).await.refused(403),
        "rule:update_network is disallowed by policy"
    );
    client.delete(&path).await.refused(403);
    let other = json!({"network": {"project_id": admin.project}});
    client.post("/network/v2.0/networks", &other).await.refused(403);
}

#[tokio::test]
async fn administrators_make_projects_and_give_roles() {
    let sandbox = start(Speed::Max).await;
    let (client, admin) = (Client::demo(&sandbox).await, Client::admin(&sandbox).await);
    let projects = "/identity/v3/projects";
    let wanted = json!({"project": {"name": "new"}});
    client.post(projects, &wanted).await.refused(403);
    let made = id(&admin.make(projects, "project", json!({"name": "new"})).await);
    assert!(admin.post(projects, &wanted).await.refused(409).contains("two projects with the same name"));
    admin.post(projects, &json!({"project": {"name": "x".repeat(65)}})).await.refused(400);
    let login = password_login("demo", "demo-password", "new");
    client.post("/identity/v3/auth/tokens", &login).await.refused(401);

    let roles = admin.get("/identity/v3/roles?name=member").await.expect(200);
    let role = id(&roles["roles"][0]);
    let grant = format!("{projects}/{made}/users/{}/roles/{role}", client.user);
    admin.put(&grant, &Value::Null).await.expect(204);
    let listed =
        admin.get(&format!("/identity/v3/role_assignments?scope.project.id={made}&include_names")).await;
    assert_eq!(listed.expect(200)["role_assignments"][0]["user"]["name"], "demo");
    client.get("/identity/v3/role_assignments").await.refused(403);
    let there = Client::log_in(&sandbox, &login).await;
    there.get("/network/v2.0/networks").await.expect(200);
    // Without the role, and without the project, tokens for it end.
    admin.delete(&grant).await.expect(204);
    there.get("/network/v2.0/networks").await.refused(401);
    admin.delete(&grant).await.refused(404);
    admin.put(&grant, &Value::Null).await.expect(204);
    let there = Client::log_in(&sandbox, &login).await;
    admin.delete(&format!("{projects}/{made}")).await.expect(204);
    there.get("/network/v2.0/networks").await.refused(401);
    admin.get(&format!("{projects}/{made}")).await.refused(404);
}

#[tokio::test]
async fn scopes_that_nobody_has_a_role_in_are_refused() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    for scope in [json!({"domain": {"id": "default"}}), json!({"system": {"all": true}})] {
        let mut login = password_login("demo", "demo-password", "demo");
        login["auth"]["scope"] = scope;
        client.post("/identity/v3/auth/tokens", &login).await.refused(401);
    }
}

#[tokio::test]
async fn quotas_are_set_and_reset_by_administrators_only() {
    let sandbox = start(Speed::Max).await;
    let (client, admin) = (Client::demo(&sandbox).await, Client::admin(&sandbox).await);
    let project = &client.project;
    let quotas = [
        (format!("/compute/v2.1/os-quota-sets/{project}"), "quota_set", "cores", 200, 202),
        (format!("/network/v2.0/quotas/{project}"), "quota", "network", 200, 204),
        (format!("/volume/v3/{}/os-quota-sets/{project}", admin.project), "quota_set", "volumes", 200, 200),
        (format!("/load-balancer/v2/lbaas/quotas/{project}"), "quota", "load_balancer", 202, 204),
    ];
    for (path, root, resource, set, reset) in quotas {
        client.put(&path, &json!({ root: { resource: 1 } })).await.refused(403);
        let before = admin.get(&path).await.expect(200)[root][resource].clone();
        assert_eq!(admin.put(&path, &json!({ root: { resource: 7 } })).await.expect(set)[root][resource], 7);
        admin.put(&path, &json!({ root: { "nonsense": 7 } })).await.refused(400);
        admin.put(&path, &json!({ root: { resource: "many" } })).await.refused(400);
        assert_eq!(admin.get(&path).await.expect(200)[root][resource], 7, "{path}");
        admin.delete(&path).await.expect(reset);
        assert_eq!(admin.get(&path).await.expect(200)[root][resource], before, "{path}");
    }
    // Limits that nothing else asks for.
    sandbox.set_quota("compute", "server_group_members", 0);
    let group = json!({"name": "g", "policy": "affinity"});
    let group = id(&client.make("/compute/v2.1/os-server-groups", "server_group", group).await);
    let server = json!({"name": "s", "flavorRef": client.flavor("SCS-4V-8-20").await,
        "imageRef": client.image("Ubuntu 24.04").await, "networks": "none"});
    let wanted = json!({"server": server, "os:scheduler_hints": {"group": group}});
    assert_eq!(
        client.post("/compute/v2.1/servers", &wanted).await.refused(403),
        "Quota exceeded, too many servers in group"
    );
    sandbox.set_quota("volume", "per_volume_gigabytes", 5);
    let volume = json!({"volume": {"size": 6}});
    client.post(&format!("/volume/v3/{project}/volumes"), &volume).await.refused(413);
}
