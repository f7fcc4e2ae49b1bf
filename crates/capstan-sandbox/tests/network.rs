//! Neutron: the road of a cluster's network, and what is refused on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use capstan_sandbox::Speed;
use common::{Client, NOBODY, id, start};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn what_is_in_use_is_not_deleted() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let before = sandbox.inventory();
    let net = client.network("10.8.0.0/24").await;
    let router_path = format!("/network/v2.0/routers/{}", net.router);

    let interface = client.get(&format!("/network/v2.0/ports?device_id={}", net.router)).await.expect(200);
    let interface = id(&interface["ports"][0]);
    assert_eq!(
        client.delete(&router_path).await.refused(409),
        format!("Router {} has ports still attached: {interface}", net.router)
    );
    let subnet = client.delete(&format!("/network/v2.0/subnets/{}", net.subnet)).await;
    assert_eq!(subnet.body["NeutronError"]["type"], "SubnetInUse");
    assert_eq!(subnet.status, 409);
    let network = client.delete(&format!("/network/v2.0/networks/{}", net.network)).await;
    assert!(network.refused(409).ends_with(&format!("id for these ports is: {interface}.")));
    assert!(
        client
            .delete(&format!("/network/v2.0/ports/{interface}"))
            .await
            .refused(409)
            .contains("network:router_interface")
    );

    let port =
        client.make("/network/v2.0/ports", "port", json!({"network_id": net.network, "name": "p"})).await;
    let wanted = json!({"floating_network_id": net.public, "port_id": id(&port)});
    let floating = client.make("/network/v2.0/floatingips", "floatingip", wanted.clone()).await;
    assert_eq!(floating["status"], "ACTIVE");
    assert_eq!(floating["fixed_ip_address"], port["fixed_ips"][0]["ip_address"]);
    assert_eq!(floating["port_details"]["name"], "p");
    let again = client.post("/network/v2.0/floatingips", &json!({"floatingip": wanted})).await;
    assert_eq!(again.body["NeutronError"]["type"], "FloatingIPPortAlreadyAssociated");
    let interface = json!({"subnet_id": net.subnet});
    let removed = client.put(&format!("{router_path}/remove_router_interface"), &interface).await;
    assert!(removed.refused(409).contains("required by one or more floating IPs"));
    let gateway = client.put(&router_path, &json!({"router": {"external_gateway_info": null}})).await;
    assert_eq!(gateway.body["NeutronError"]["type"], "RouterExternalGatewayInUseByFloatingIp");

    client.delete(&format!("/network/v2.0/ports/{}", id(&port))).await.expect(204);
    let freed = client.get(&format!("/network/v2.0/floatingips/{}", id(&floating))).await.expect(200);
    assert_eq!(freed["floatingip"]["status"], "DOWN");
    client.delete(&format!("/network/v2.0/floatingips/{}", id(&floating))).await.expect(204);
    client.put(&format!("{router_path}/remove_router_interface"), &interface).await.expect(200);
    let twice = client.put(&format!("{router_path}/remove_router_interface"), &interface).await;
    assert!(twice.refused(404).contains("has no interface on subnet"));
    client.delete(&router_path).await.expect(204);
    client.delete(&format!("/network/v2.0/networks/{}", net.network)).await.expect(204);
    assert_eq!(client.get(&format!("/network/v2.0/subnets/{}", net.subnet)).await.status, 404);
    assert_eq!(sandbox.inventory(), before);
}

#[tokio::test]
async fn lists_filter_page_and_refuse_unknown_keys() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    for name in ["a", "b", "c"] {
        client.make("/network/v2.0/networks", "network", json!({"name": name})).await;
    }
    let names = |answer: serde_json::Value| -> Vec<String> {
        answer["networks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(client.get("/network/v2.0/networks").await.expect(200)), ["public", "a", "b", "c"]);
    assert_eq!(names(client.get("/network/v2.0/networks?name=b&name=c").await.expect(200)), ["b", "c"]);
    let only = client.get("/network/v2.0/networks?router:external=true&fields=name").await.expect(200);
    assert_eq!(only, json!({"networks": [{"name": "public"}]}));
    let page = client.get("/network/v2.0/networks?limit=3").await.expect(200);
    assert_eq!(names(page.clone()), ["public", "a", "b"]);
    let next =
        page["networks_links"][0]["href"].as_str().unwrap().strip_prefix(&client.base).unwrap().to_owned();
    assert_eq!(names(client.get(&next).await.expect(200)), ["c"]);
    assert!(client.get("/network/v2.0/networks?bogus=1").await.refused(400).contains("'bogus'"));
    assert!(client.get("/network/v2.0/networks?marker=nobody").await.refused(400).contains("marker"));
}

#[tokio::test]
async fn tags_are_set_listed_and_filtered_by() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let network = id(&client.make("/network/v2.0/networks", "network", json!({"name": "n"})).await);
    let tags = format!("/network/v2.0/networks/{network}/tags");
    client.put(&tags, &json!({"tags": ["a", "capstan:fleet=f"]})).await.expect(200);
    client.send(client.request(Method::PUT, &format!("{tags}/b%3Dc"))).await.expect(201);
    assert_eq!(client.get(&tags).await.expect(200)["tags"], json!(["a", "b=c", "capstan:fleet=f"]));
    let found = client.get("/network/v2.0/networks?tags=capstan:fleet%3Df&fields=id").await.expect(200);
    assert_eq!(found, json!({"networks": [{"id": network}]}));
    client.delete(&format!("{tags}/a")).await.expect(204);
    assert_eq!(client.delete(&format!("{tags}/a")).await.refused(404), "Tag a could not be found.");
    let text = client.post("/network/v2.0/networks", &json!({"network": {"name": "t", "tags": ["x"]}})).await;
    assert_eq!(text.status, 400);
}

#[tokio::test]
async fn bad_requests_are_worded_as_by_neutron() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let network = &net.network;
    let cases = [
        ("networks", json!({"network": {"name": "x", "bogus": 1}}), 400, "Unrecognized attribute(s) 'bogus'"),
        ("networks", json!({"netwrk": {}}), 400, "Unable to find 'network' in request body"),
        ("networks", json!({"network": {"mtu": 9000}}), 400, "Requested MTU is too big, maximum is 1450."),
        (
            "subnets",
            json!({"subnet": {"network_id": network, "cidr": "10.9.0.0/24"}}),
            400,
            "Required attribute 'ip_version' not specified",
        ),
        (
            "subnets",
            json!({"subnet": {"network_id": network, "cidr": "garbage", "ip_version": 4}}),
            400,
            "garbage is not in a CIDR format.",
        ),
        (
            "subnets",
            json!({"subnet": {"network_id": network, "cidr": "10.8.0.0/25", "ip_version": 4}}),
            400,
            "overlaps with another subnet.",
        ),
        (
            "subnets",
            json!({"subnet": {"network_id": NOBODY, "cidr": "10.8.0.0/25", "ip_version": 4}}),
            404,
            "could not be found.",
        ),
        ("ports", json!({"port": {}}), 400, "Required attribute 'network_id' not specified"),
    ];
    for (path, body, status, text) in cases {
        let refused = client.post(&format!("/network/v2.0/{path}"), &body).await.refused(status);
        assert!(refused.contains(text), "{body}: {refused}");
    }
    let malformed = client.send(client.request(Method::POST, "/network/v2.0/networks").body("{bad")).await;
    assert_eq!(malformed.refused(400), "Body contains invalid data");
    let not_mine = client.delete(&format!("/network/v2.0/networks/{}", net.public)).await;
    assert_eq!(not_mine.refused(403), "rule:delete_network is disallowed by policy");
}

#[tokio::test]
async fn bad_requests_for_ports_and_groups_are_worded_as_by_neutron() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let network = &net.network;
    let cases = [
        (
            "ports",
            json!({"port": {"network_id": network, "fixed_ips": [{"ip_address": "1.2.3.4"}]}}),
            400,
            "is not a valid IP for any of the subnets",
        ),
        (
            "ports",
            json!({"port": {"network_id": network, "fixed_ips": [{"ip_address": "10.8.0.1"}]}}),
            409,
            "already allocated in subnet",
        ),
        (
            "ports",
            json!({"port": {"network_id": network, "security_groups": [NOBODY]}}),
            404,
            "does not exist",
        ),
        (
            "floatingips",
            json!({"floatingip": {"floating_network_id": network}}),
            400,
            "is not a valid external network.",
        ),
        (
            "security-groups",
            json!({"security_group": {"name": "default"}}),
            409,
            "Default security group already exists.",
        ),
        (
            "security-group-rules",
            json!({"security_group_rule": {"security_group_id": NOBODY, "direction": "in"}}),
            400,
            "in is not in valid_values.",
        ),
        (
            "security-group-rules",
            json!({"security_group_rule": {"security_group_id": NOBODY, "direction": "ingress"}}),
            404,
            "does not exist",
        ),
    ];
    for (path, body, status, text) in cases {
        let refused = client.post(&format!("/network/v2.0/{path}"), &body).await.refused(status);
        assert!(refused.contains(text), "{body}: {refused}");
    }
}

#[tokio::test]
async fn security_groups_hold_rules_that_are_unique() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let group = client.make("/network/v2.0/security-groups", "security_group", json!({"name": "sg"})).await;
    assert_eq!(group["security_group_rules"].as_array().unwrap().len(), 2);
    let wanted = json!({"security_group_id": id(&group), "direction": "ingress", "protocol": "tcp",
                        "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "10.0.0.1/8"});
    let rules = "/network/v2.0/security-group-rules";
    let rule = client.make(rules, "security_group_rule", wanted.clone()).await;
    assert_eq!(rule["normalized_cidr"], "10.0.0.0/8");
    let again = client.post(rules, &json!({"security_group_rule": wanted})).await.refused(409);
    assert_eq!(again, format!("Security group rule already exists. Rule id is {}.", id(&rule)));
    let net = client.network("10.8.0.0/24").await;
    let port = json!({"network_id": net.network, "security_groups": [id(&group)]});
    let port = id(&client.make("/network/v2.0/ports", "port", port).await);
    let path = format!("/network/v2.0/security-groups/{}", id(&group));
    assert_eq!(client.delete(&path).await.refused(409), format!("Security Group {} in use.", id(&group)));
    client.delete(&format!("/network/v2.0/ports/{port}")).await.expect(204);
    client.delete(&path).await.expect(204);
    assert_eq!(client.get(&format!("{rules}/{}", id(&rule))).await.status, 404);
}

#[tokio::test]
async fn quotas_are_kept_and_shown_with_their_use() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    sandbox.set_quota("network", "router", 1);
    client.make("/network/v2.0/routers", "router", json!({"name": "r"})).await;
    let second = client.post("/network/v2.0/routers", &json!({"router": {"name": "s"}})).await;
    assert_eq!(second.body["NeutronError"]["type"], "OverQuota");
    assert_eq!(second.refused(409), "Quota exceeded for resources: ['router'].");
    let details =
        client.get(&format!("/network/v2.0/quotas/{}/details.json", client.project)).await.expect(200);
    assert_eq!(details["quota"]["router"], json!({"limit": 1, "used": 1, "reserved": 0}));
}

#[tokio::test]
async fn a_project_does_not_see_another() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let network = id(&client.make("/network/v2.0/networks", "network", json!({"name": "mine"})).await);
    let admin = Client::admin(&sandbox).await;
    let theirs = id(&admin.make("/network/v2.0/networks", "network", json!({"name": "theirs"})).await);
    assert_eq!(client.get(&format!("/network/v2.0/networks/{theirs}")).await.status, 404);
    admin.get(&format!("/network/v2.0/networks/{network}")).await.expect(200);
}
