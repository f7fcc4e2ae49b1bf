//! The behaviours on the sandbox's management plane.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use capstan_contract::kubernetes::{SUITE, Site};
use capstan_kube::connect::{Options, Source, connect};
use capstan_sandbox::{Config, Sandbox};
use futures::StreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_holds_on_the_sandbox() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let connection = connect(&Options::new(Source::Text(sandbox.kubeconfig().into()))).await.unwrap();
    let failures: Vec<String> = futures::stream::iter(SUITE)
        .map(|behaviour| {
            let site = Site::new(connection.client.clone());
            async move { site.run(behaviour).await.err().map(|error| format!("{error:#}")) }
        })
        .buffer_unordered(8)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    sandbox.shutdown().await;
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n\n{}",
        failures.len(),
        SUITE.len(),
        failures.join("\n\n")
    );
}
