//! The behaviours of OpenStack on the sandbox, each on one of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use capstan_contract::openstack::{SUITE, Site};
use capstan_openstack::compute::Policy;
use capstan_openstack::image::{self, NewImage};
use capstan_openstack::network::{self, Network};
use capstan_openstack::{Cloud, CloudConfig, Options, ServiceType};
use capstan_sandbox::faults::{Effect, Match};
use capstan_sandbox::{Config, Sandbox, Speed};
use futures::StreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_holds_on_the_sandbox() {
    let failures: Vec<String> = futures::stream::iter(SUITE)
        .map(|behaviour| async move {
            // At full speed what takes time is over before one can look.
            let speed = Speed::Times(60.0);
            let sandbox = Sandbox::start(Config { speed, ..Config::default() }).await.unwrap();
            let config = CloudConfig::from_yaml(&sandbox.clouds_yaml(), "sandbox").unwrap();
            let cloud = Cloud::connect(&config, Options::default()).await.unwrap();
            let before = sandbox.inventory();
            let result = Site::new(cloud, Duration::from_millis(5)).run(behaviour).await;
            let left = if sandbox.inventory() == before { "" } else { ": it left something behind" };
            sandbox.shutdown().await;
            match result {
                Ok(()) if left.is_empty() => None,
                Ok(()) => Some(format!("{}{left}", behaviour.name)),
                Err(error) => Some(format!("{error:?}{left}")),
            }
        })
        .buffer_unordered(4)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n\n{}",
        failures.len(),
        SUITE.len(),
        failures.join("\n\n")
    );
}

/// On real services this cannot be asked for, so it is tried where answers can be lost on purpose.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_is_lost_is_uncertain_and_found_by_its_name() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let config = CloudConfig::from_yaml(&sandbox.clouds_yaml(), "sandbox").unwrap();
    let cloud = Cloud::connect(&config, Options::default()).await.unwrap();
    for route in ["/network/v2.0/networks", "/compute/v2.1/os-server-groups", "/image/v2/images"] {
        sandbox.faults().request(Match::route("POST", route), Effect::LoseAnswer);
    }
    let body = serde_json::json!({ "network": { "name": "lost" } });
    let networks = cloud.service(ServiceType::Network).unwrap().post(&["networks"]).json(body);
    assert!(networks.one::<Network>("network").await.unwrap_err().is_uncertain());
    let groups = cloud.compute().unwrap();
    assert!(groups.create_server_group("lost", Policy::AntiAffinity).await.unwrap_err().is_uncertain());
    let new = NewImage { name: "lost".into(), disk_format: "raw".into(), ..NewImage::default() };
    assert!(cloud.image().unwrap().create(&new).await.unwrap_err().is_uncertain());

    assert_eq!(cloud.network().unwrap().networks(&network::Filter::named("lost")).await.unwrap().len(), 1);
    assert_eq!(groups.server_groups().await.unwrap().len(), 1);
    assert_eq!(cloud.image().unwrap().images(&image::Filter::named("lost")).await.unwrap().len(), 1);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_gets_over_lost_answers_pages_and_overload() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let config = CloudConfig::from_yaml(&sandbox.clouds_yaml(), "sandbox").unwrap();
    let cloud = Cloud::connect(&config, Options::default()).await.unwrap();
    let list = || Match::route("GET", "/network/v2.0/networks");
    let overloaded = Effect::Fail { status: 503, body: None, retry_after: Some(0) };
    for effect in [Effect::Disconnect, Effect::LoseAnswer, Effect::Html { status: 502 }, overloaded] {
        sandbox.faults().request(list(), effect);
        let before = cloud.calls();
        cloud.network().unwrap().networks(&network::Filter::default()).await.unwrap();
        assert_eq!(cloud.calls().since(&before).total(), 2);
    }
    let limited = Effect::Fail { status: 429, body: None, retry_after: Some(1) };
    sandbox.faults().request(Match::route("POST", "/compute/v2.1/os-server-groups"), limited);
    cloud.compute().unwrap().create_server_group("limited", Policy::AntiAffinity).await.unwrap();
    assert_eq!(cloud.compute().unwrap().server_groups().await.unwrap().len(), 1);
    sandbox.shutdown().await;
}
