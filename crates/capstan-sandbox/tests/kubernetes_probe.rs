#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, clippy::print_stdout)]
#[tokio::test(flavor = "multi_thread")]
async fn probe() {
    let sandbox = capstan_sandbox::Sandbox::start(capstan_sandbox::Config::default()).await.unwrap();
    std::fs::write("/var/tmp/sandbox-kubeconfig", sandbox.kubeconfig()).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(600), std::future::pending::<()>()).await.ok();
}
