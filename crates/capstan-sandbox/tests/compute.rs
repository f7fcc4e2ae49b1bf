//! Nova: servers from BUILD to gone, groups, microversions, quotas.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use capstan_sandbox::Speed;
use common::{Client, NOBODY, id, start};
use reqwest::Method;
use serde_json::{Value, json};

const SERVERS: &str = "/compute/v2.1/servers";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmQm1Zr0hGQb3v0q1XK4nZ0i1sWJQ1Q7a1sbmV0ZXN0 x@y";

async fn body(client: &Client, network: &str) -> Value {
    json!({"name": "s", "flavorRef": client.flavor("SCS-4V-8-20").await, "imageRef": client.image("Ubuntu 24.04").await,
           "networks": [{"uuid": network}]})
}

async fn server(client: &Client, id: &str) -> Value {
    client.get(&format!("{SERVERS}/{id}")).await.expect(200)["server"].clone()
}

#[tokio::test]
async fn a_server_is_built_stopped_and_deleted_with_what_is_its_own() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    client.make("/compute/v2.1/os-keypairs", "keypair", json!({"name": "k", "public_key": KEY})).await;
    let before = sandbox.inventory();
    let mut wanted = body(&client, &net.network).await;
    wanted["key_name"] = json!("k");
    wanted["metadata"] = json!({"capstan:fleet": "f"});
    wanted["user_data"] = json!("aGVsbG8=");
    wanted["tags"] = json!(["t"]);
    let made = id(&client.make(SERVERS, "server", wanted).await);

    let building = server(&client, &made).await;
    assert_eq!((&building["status"], &building["addresses"]), (&json!("BUILD"), &json!({})));
    sandbox.advance(Duration::from_secs(20));
    let active = server(&client, &made).await;
    assert_eq!(active["status"], "ACTIVE");
    assert_eq!(active["flavor"]["original_name"], "SCS-4V-8-20");
    assert_eq!(active["addresses"]["net"][0]["addr"], "10.8.0.2");
    assert_eq!(active["tags"], json!(["t"]));
    let port =
        client.get(&format!("/network/v2.0/ports?device_id={made}")).await.expect(200)["ports"][0].clone();
    assert_eq!(
        port["device_owner"],
        format!("compute:{}", active["OS-EXT-AZ:availability_zone"].as_str().unwrap())
    );

    let action = format!("{SERVERS}/{made}/action");
    assert_eq!(
        client.post(&action, &json!({"os-start": null})).await.refused(409),
        format!("Cannot 'start' instance {made} while it is in vm_state active")
    );
    client.post(&action, &json!({"os-stop": null})).await.expect(202);
    sandbox.drain();
    assert_eq!(server(&client, &made).await["status"], "SHUTOFF");
    let console = client.post(&action, &json!({"os-getConsoleOutput": {"length": 50}})).await.expect(200);
    assert!(console["output"].as_str().unwrap().contains("BEGIN SSH HOST KEY KEYS"));
    assert_eq!(
        client.post(&action, &json!({"bogus": null})).await.refused(400),
        "There is no such action: bogus"
    );

    client.delete(&format!("{SERVERS}/{made}")).await.expect(204);
    assert_eq!(server(&client, &made).await["OS-EXT-STS:task_state"], "deleting");
    sandbox.drain();
    assert_eq!(
        client.get(&format!("{SERVERS}/{made}")).await.refused(404),
        format!("Instance {made} could not be found.")
    );
    assert_eq!(sandbox.inventory(), before);
}

#[tokio::test]
async fn a_diskless_flavor_boots_from_a_volume_on_a_given_port() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let port = id(&client.make("/network/v2.0/ports", "port", json!({"network_id": net.network})).await);
    let mut wanted = body(&client, &net.network).await;
    wanted["flavorRef"] = json!(client.flavor("SCS-2V-4").await);
    assert_eq!(
        client.post(SERVERS, &json!({"server": wanted})).await.refused(403),
        "Only volume-backed servers are allowed for flavors with zero disk."
    );
    let image = wanted["imageRef"].take();
    wanted.as_object_mut().unwrap().remove("imageRef");
    wanted["networks"] = json!([{"port": port}]);
    let disk = |size: u64| {
        json!([{"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume",
                "volume_size": size, "delete_on_termination": true}])
    };
    wanted["block_device_mapping_v2"] = disk(1);
    let small = client.post(SERVERS, &json!({"server": wanted})).await.refused(400);
    assert!(
        small.starts_with("Volume is smaller than the minimum size specified in image metadata."),
        "{small}"
    );
    wanted["block_device_mapping_v2"] = disk(20);
    let made = id(&client.make(SERVERS, "server", wanted.clone()).await);
    assert_eq!(
        client.post(SERVERS, &json!({"server": wanted})).await.refused(409),
        format!("Port {port} is still in use.")
    );
    let active = server(&client, &made).await;
    assert_eq!((&active["status"], &active["image"]), (&json!("ACTIVE"), &json!("")));
    let volume = id(&active["os-extended-volumes:volumes_attached"][0]);
    let path = format!("/volume/v3/{}/volumes/{volume}", client.project);
    let view = client.get(&path).await.expect(200)["volume"].clone();
    assert_eq!((&view["status"], &view["bootable"]), (&json!("in-use"), &json!("true")));
    assert!(
        client
            .delete(&path)
            .await
            .refused(400)
            .starts_with("Invalid volume: Volume status must be available")
    );
    client.delete(&format!("{SERVERS}/{made}")).await.expect(204);
    assert_eq!(client.get(&path).await.status, 404);
    let freed = client.get(&format!("/network/v2.0/ports/{port}")).await.expect(200);
    assert_eq!((&freed["port"]["device_id"], &freed["port"]["status"]), (&json!(""), &json!("DOWN")));
}

#[tokio::test]
async fn what_nova_checks_before_it_answers() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let good = body(&client, &net.network).await;
    let cases = [
        ("flavorRef", json!("nope"), "Flavor nope could not be found."),
        ("imageRef", json!(NOBODY), "Can not find requested image"),
        ("networks", json!([{"uuid": NOBODY}]), "could not be found."),
        ("networks", json!([{"port": NOBODY}]), "Port id"),
        ("bogus", json!(1), "Additional properties are not allowed ('bogus' was unexpected)"),
        ("key_name", json!("nope"), "Invalid key_name provided."),
        ("availability_zone", json!("nowhere"), "The requested availability zone is not available"),
        ("name", json!(""), "is too short"),
        ("user_data", json!("!!!"), "is not a 'base64'"),
        (
            "security_groups",
            json!([{"name": "nope"}]),
            "Unable to find security_group with name or id 'nope'",
        ),
    ];
    for (field, value, text) in cases {
        let mut wanted = good.clone();
        wanted[field] = value;
        let refused = client.post(SERVERS, &json!({"server": wanted})).await.refused(400);
        assert!(refused.contains(text), "{field}: {refused}");
    }
    let hint = json!({"server": good, "os:scheduler_hints": {"group": NOBODY}});
    assert_eq!(
        client.post(SERVERS, &hint).await.refused(400),
        format!("Instance group {NOBODY} could not be found.")
    );
    let malformed = client.send(client.request(Method::POST, SERVERS).body("{bad")).await;
    assert_eq!(malformed.refused(400), "Malformed request body");
    assert_eq!(client.get(SERVERS).await.expect(200), json!({"servers": []}));
}

#[tokio::test]
async fn a_hard_group_is_full_when_every_host_has_one() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let groups = "/compute/v2.1/os-server-groups";
    let wanted = json!({"name": "g", "policy": "anti-affinity"});
    let group = id(&client.make(groups, "server_group", wanted).await);
    let mut wanted = body(&client, &net.network).await;
    wanted["availability_zone"] = json!("az2");
    let mut last = String::new();
    for _ in 0..11 {
        let request = json!({"server": wanted, "os:scheduler_hints": {"group": group}});
        last = id(&client.post(SERVERS, &request).await.expect(202)["server"]);
    }
    let failed = server(&client, &last).await;
    assert_eq!(failed["status"], "ERROR");
    assert_eq!(failed["fault"]["message"], "No valid host was found. There are not enough hosts available.");
    let members = client.get(&format!("{groups}/{group}")).await.expect(200);
    assert_eq!(members["server_group"]["members"].as_array().unwrap().len(), 11);
    let active = client.get(&format!("{SERVERS}/detail?status=ACTIVE")).await.expect(200);
    let active = active["servers"].as_array().unwrap().clone();
    let mut hosts: Vec<&str> = active.iter().map(|each| each["hostId"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!((active.len(), hosts.len()), (10, 10));
    assert!(active.iter().all(|each| each["OS-EXT-AZ:availability_zone"] == "az2"));
}

#[tokio::test]
async fn microversions_decide_about_the_shape() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let ask = async |version: &str, path: &str| {
        let request = client.http.get(format!("{}{path}", client.base)).header("x-auth-token", &client.token);
        client.send(request.header("openstack-api-version", format!("compute {version}"))).await
    };
    let groups = "/compute/v2.1/os-server-groups";
    client.make(groups, "server_group", json!({"name": "g", "policy": "anti-affinity"})).await;
    let old = ask("2.1", groups).await;
    assert_eq!(old.header("x-openstack-nova-api-version"), "2.1");
    assert_eq!(old.expect(200)["server_groups"][0]["policies"], json!(["anti-affinity"]));
    assert_eq!(ask("2.64", groups).await.expect(200)["server_groups"][0]["policy"], "anti-affinity");
    assert_eq!(ask("latest", groups).await.header("openstack-api-version"), "compute 2.96");
    assert_eq!(
        ask("2.99", groups).await.refused(406),
        "Version 2.99 is not supported by the API. Minimum is 2.1 and maximum is 2.96."
    );
    assert!(ask("9", groups).await.refused(400).contains("API Version String 9 is of invalid format."));
    let flavors = "/compute/v2.1/flavors/detail";
    assert_eq!(ask("2.60", flavors).await.expect(200)["flavors"][0]["swap"], "");
    assert_eq!(ask("2.75", flavors).await.expect(200)["flavors"][0]["swap"], 0);
}

#[tokio::test]
async fn quotas_are_worded_as_by_nova() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    sandbox.set_quota("compute", "cores", 6);
    sandbox.set_quota("compute", "instances", 1);
    let wanted = json!({"server": body(&client, &net.network).await});
    client.post(SERVERS, &wanted).await.expect(202);
    assert_eq!(
        client.post(SERVERS, &wanted).await.refused(403),
        "Quota exceeded for cores, instances: Requested 4, 1, but already used 4, 1 of 6, 1 cores, instances"
    );
    let detail =
        client.get(&format!("/compute/v2.1/os-quota-sets/{}/detail", client.project)).await.expect(200);
    assert_eq!(detail["quota_set"]["cores"], json!({"limit": 6, "in_use": 4, "reserved": 0}));
    assert_eq!(
        client.get("/compute/v2.1/limits").await.expect(200)["limits"]["absolute"]["totalCoresUsed"],
        4
    );
}

#[tokio::test]
async fn servers_are_listed_by_name_tag_and_page() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    for name in ["web-1", "web-10", "db-1"] {
        let mut wanted = body(&client, &net.network).await;
        wanted["name"] = json!(name);
        wanted["tags"] = json!([name.split('-').next().unwrap()]);
        client.make(SERVERS, "server", wanted).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let found = client.get(&format!("{SERVERS}?{query}")).await.expect(200);
        let list = found["servers"].as_array().unwrap();
        list.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["db-1", "web-10", "web-1"]);
    assert_eq!(names("name=web-1").await, ["web-10", "web-1"]);
    assert_eq!(names("name=%5Eweb-1%24").await, ["web-1"]);
    assert_eq!(names("tags=db").await, ["db-1"]);
    assert_eq!(names("status=error").await, Vec::<String>::new());
    let page = client.get(&format!("{SERVERS}?limit=2")).await.expect(200);
    let next =
        page["servers_links"][0]["href"].as_str().unwrap().strip_prefix(&client.base).unwrap().to_owned();
    assert_eq!(client.get(&next).await.expect(200)["servers"].as_array().unwrap().len(), 1);
    assert!(client.get(&format!("{SERVERS}?bogus=1")).await.refused(400).contains("'bogus'"));
}
