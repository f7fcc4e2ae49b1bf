//! The behaviours on a real management plane: the one of the kubeconfig that `CAPSTAN_CONTRACT_KUBECONFIG` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

use std::time::Instant;

use capstan_contract::kubernetes::{SUITE, Site};
use capstan_kube::connect::{Options, Source, connect};
use futures::StreamExt;

/// How many behaviours run side by side: each makes and removes a namespace.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_holds_on_the_real_management_plane() {
    let Some(path) = std::env::var_os("CAPSTAN_CONTRACT_KUBECONFIG").filter(|path| !path.is_empty()) else {
        eprintln!(
            "SKIPPED: set CAPSTAN_CONTRACT_KUBECONFIG to the kubeconfig of a management plane to run this on it"
        );
        return;
    };
    let only = std::env::var("CAPSTAN_CONTRACT_ONLY").unwrap_or_default();
    let connection = connect(&Options::new(Source::Path(path.into()))).await.unwrap();
    eprintln!("Kubernetes {} at {}", connection.probe().await.unwrap(), connection.server);

    let chosen = SUITE.iter().filter(|behaviour| behaviour.name.contains(&only));
    let failures: Vec<String> = futures::stream::iter(chosen)
        .map(|behaviour| {
            let site = Site::new(connection.client.clone());
            async move {
                let start = Instant::now();
                let result = site.run(behaviour).await;
                let word = if result.is_ok() { "ok" } else { "FAILED" };
                eprintln!("{word:6} {:5.1} s  {}", start.elapsed().as_secs_f64(), behaviour.name);
                result.err().map(|error| format!("{error:#}"))
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
