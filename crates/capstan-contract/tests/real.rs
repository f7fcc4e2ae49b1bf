//! The behaviours on a real cloud: the one of `clouds.yaml` that `CAPSTAN_CONTRACT_CLOUD` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

use std::time::{Duration, Instant};

use anyhow::Context;
use capstan_contract::openstack::{SUITE, Site};
use capstan_openstack::{Cloud, CloudConfig, Environment, Options};
use futures::StreamExt;

/// How many behaviours run side by side: quotas of projects are small.
const AT_ONCE: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_holds_on_the_real_services() {
    let Some(name) = std::env::var("CAPSTAN_CONTRACT_CLOUD").ok().filter(|name| !name.is_empty()) else {
        eprintln!(
            "SKIPPED: set CAPSTAN_CONTRACT_CLOUD to a cloud of clouds.yaml to run this on real services"
        );
        return;
    };
    let environment = Environment {
        variables: std::env::vars().collect(),
        cwd: std::env::current_dir().unwrap(),
        home: std::env::home_dir(),
    };
    let config = CloudConfig::load(&environment, Some(&name)).unwrap();
    let only = std::env::var("CAPSTAN_CONTRACT_ONLY").unwrap_or_default();
    let cloud = Cloud::connect(&config, Options::default()).await.unwrap();
    eprintln!("compute microversion {}", cloud.compute().unwrap().microversion().await.unwrap());

    let chosen = SUITE.iter().filter(|behaviour| behaviour.name.contains(&only));
    let failures: Vec<String> = futures::stream::iter(chosen)
        .map(|behaviour| {
            let site = Site::new(cloud.clone(), Duration::from_millis(200));
            async move {
                let start = Instant::now();
                let result = site.run(behaviour).await.with_context(|| site.prefix.clone());
                let word = if result.is_ok() { "ok" } else { "FAILED" };
                eprintln!("{word:6} {:5.1} s  {}", start.elapsed().as_secs_f64(), behaviour.name);
                result.err().map(|error| format!("{error:?}"))
            }
        })
        .buffer_unordered(AT_ONCE)
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
