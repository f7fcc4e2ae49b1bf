//! Octavia: PENDING states, immutability, cascades.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use capstan_sandbox::Speed;
use capstan_sandbox::faults::Fault;
use common::{Client, id, start};
use serde_json::json;

const LBAAS: &str = "/load-balancer/v2/lbaas";

#[tokio::test]
async fn a_load_balancer_is_immutable_while_pending() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let before = sandbox.inventory();
    let balancers = format!("{LBAAS}/loadbalancers");
    let balancer =
        client.make(&balancers, "loadbalancer", json!({"name": "lb", "vip_subnet_id": net.subnet})).await;
    assert_eq!(balancer["provisioning_status"], "PENDING_CREATE");
    let (lb, vip) = (id(&balancer), balancer["vip_port_id"].as_str().unwrap().to_owned());
    let path = format!("{balancers}/{lb}");
    let listener = json!({"name": "l", "protocol": "TCP", "protocol_port": 6443, "loadbalancer_id": lb});
    assert_eq!(
        client.post(&format!("{LBAAS}/listeners"), &json!({"listener": listener})).await.refused(409),
        format!("Load Balancer {lb} is immutable and cannot be updated.")
    );
    assert_eq!(
        client.delete(&path).await.refused(409),
        format!("Invalid state PENDING_CREATE of loadbalancer resource {lb}")
    );
    sandbox.drain();
    assert_eq!(client.get(&path).await.expect(200)["loadbalancer"]["provisioning_status"], "ACTIVE");

    let listener_id = id(&client.make(&format!("{LBAAS}/listeners"), "listener", listener.clone()).await);
    assert_eq!(client.get(&path).await.expect(200)["loadbalancer"]["provisioning_status"], "PENDING_UPDATE");
    sandbox.drain();
    assert_eq!(
        client.post(&format!("{LBAAS}/listeners"), &json!({"listener": listener})).await.refused(409),
        "Another Listener on this Load Balancer is already using protocol TCP and protocol_port 6443"
    );
    let pool =
        json!({"name": "p", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "listener_id": listener_id});
    let pool = id(&client.make(&format!("{LBAAS}/pools"), "pool", pool).await);
    sandbox.drain();
    let members = format!("{LBAAS}/pools/{pool}/members");
    let member = json!({"address": "10.8.0.9", "protocol_port": 6443, "subnet_id": net.subnet});
    client.make(&members, "member", member.clone()).await;
    sandbox.drain();
    assert_eq!(
        client.post(&members, &json!({"member": member})).await.refused(409),
        "Another member on this pool is already using ip 10.8.0.9 on protocol_port 6443"
    );
    let monitor = json!({"type": "TCP", "delay": 5, "timeout": 3, "max_retries": 3, "pool_id": pool});
    client.make(&format!("{LBAAS}/healthmonitors"), "healthmonitor", monitor).await;
    sandbox.drain();
    let tree = client.get(&format!("{path}/status")).await.expect(200);
    let pool_tree = &tree["statuses"]["loadbalancer"]["listeners"][0]["pools"][0];
    assert_eq!(pool_tree["members"][0]["provisioning_status"], "ACTIVE");
    assert_eq!(pool_tree["health_monitor"]["type"], "TCP");
    let listed = client.get(&format!("{LBAAS}/listeners?loadbalancer_id={lb}")).await.expect(200);
    assert_eq!(listed["listeners"][0]["default_pool_id"], pool.as_str());

    assert!(
        client.delete(&format!("/network/v2.0/networks/{}", net.network)).await.refused(409).contains(&vip)
    );
    assert_eq!(
        client.delete(&path).await.refused(400),
        format!("Validation failure: Cannot delete Load Balancer {lb} - it has children")
    );
    client.delete(&format!("{path}?cascade=true")).await.expect(204);
    assert_eq!(client.get(&path).await.expect(200)["loadbalancer"]["provisioning_status"], "PENDING_DELETE");
    sandbox.drain();
    assert_eq!(client.get(&path).await.refused(404), format!("Load Balancer {lb} not found."));
    assert_eq!(sandbox.inventory(), before);
}

#[tokio::test]
async fn a_stuck_load_balancer_stays_pending_until_the_fault_is_gone() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let fault = sandbox.faults().add(Fault::LoadBalancer { name: "lb*".to_owned() });
    let wanted = json!({"name": "lb-1", "vip_subnet_id": net.subnet});
    let lb = id(&client.make(&format!("{LBAAS}/loadbalancers"), "loadbalancer", wanted).await);
    let status = async || {
        let view = client.get(&format!("/load-balancer/v2.0/lbaas/loadbalancers/{lb}")).await.expect(200);
        view["loadbalancer"]["provisioning_status"].as_str().unwrap().to_owned()
    };
    sandbox.advance(Duration::from_secs(1800));
    assert_eq!(status().await, "PENDING_CREATE");
    assert!(sandbox.faults().remove(fault));
    sandbox.advance(Duration::from_secs(5));
    assert_eq!(status().await, "ACTIVE");
}

#[tokio::test]
async fn bad_requests_are_worded_as_by_octavia() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let subnet = &net.subnet;
    let cases = [
        (json!({"name": "x"}), "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id."),
        (json!({"vip_subnet_id": common::NOBODY}), "not found."),
        (json!({"vip_subnet_id": subnet, "bogus": 1}), "Unknown attribute for argument"),
        (json!({"vip_subnet_id": subnet, "provider": "nope"}), "Provider 'nope' is not enabled."),
        (json!({"vip_subnet_id": subnet, "flavor_id": common::NOBODY}), "Invalid flavor_id."),
    ];
    for (wanted, text) in cases {
        let body = json!({"loadbalancer": wanted});
        let refused = client.post(&format!("{LBAAS}/loadbalancers"), &body).await.refused(400);
        assert!(refused.contains(text), "{wanted}: {refused}");
    }
    assert_eq!(
        client.get(&format!("{LBAAS}/loadbalancers?bogus=1")).await.refused(400),
        "One or more arguments are either duplicate or invalid"
    );
    sandbox.set_quota("load-balancer", "load_balancer", 0);
    let body = json!({"loadbalancer": {"vip_subnet_id": subnet}});
    assert_eq!(
        client.post(&format!("{LBAAS}/loadbalancers"), &body).await.refused(403),
        "Quota has been met for resources: Load Balancer"
    );
}
