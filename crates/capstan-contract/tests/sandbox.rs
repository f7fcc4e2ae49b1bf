//! The behaviours of OpenStack on the sandbox, each on one of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use capstan_contract::openstack::{SUITE, Site};
use capstan_openstack::{Cloud, CloudConfig, Options};
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
