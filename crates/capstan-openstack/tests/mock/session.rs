//! Logging in, once for all, and finding the services.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{ManualTime, Mock, Reply, options, version};
use capstan_openstack::network::Filter;
use capstan_openstack::{Cloud, Error};
use futures::future::join_all;
use serde_json::json;

const NETWORKS: &str = "GET /network/v2.0/networks";
const LOGIN: &str = "POST /identity/v3/auth/tokens";

async fn cloud_with_networks() -> (Mock, Arc<ManualTime>, Cloud) {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, Reply::json(200, json!({"networks": []})));
    let cloud = mock.connect(&time).await;
    (mock, time, cloud)
}

async fn list(cloud: &Cloud) -> Result<(), Error> {
    cloud.network()?.networks(&Filter::default()).await.map(drop)
}

fn refusal() -> Reply {
    let message = "The request you have made requires authentication.";
    Reply::json(401, json!({"error": {"code": 401, "message": message, "title": "Unauthorized"}}))
}

#[tokio::test]
async fn many_callers_with_a_revoked_token_log_in_exactly_once() {
    let (mock, _, cloud) = cloud_with_networks().await;
    mock.revoke();
    mock.take(Duration::from_millis(5));
    let results = join_all((0..40).map(|_| list(&cloud))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(mock.logins(), 2);
    assert_eq!(cloud.calls().logins(), 2);
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_renewed_before_it_is_used() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, Reply::json(200, json!({"networks": []})));
    mock.tokens_end_at("2026-11-23T13:00:00Z");
    let cloud = mock.connect(&time).await;
    time.advance(Duration::from_secs(58 * 60));
    list(&cloud).await.unwrap();
    assert_eq!(mock.logins(), 1);
    time.advance(Duration::from_secs(60));
    mock.tokens_end_at("2026-11-23T14:00:00Z");
    join_all((0..10).map(|_| list(&cloud))).await.into_iter().for_each(Result::unwrap);
    assert_eq!(mock.logins(), 2);
    let tokens: Vec<_> = mock.seen(NETWORKS).into_iter().filter_map(|seen| seen.token).collect();
    assert_eq!(tokens[0], "token-1");
    assert!(tokens[1..].iter().all(|token| token == "token-2"), "{tokens:?}");
}

#[tokio::test]
async fn clocks_that_differ_and_short_lives_do_not_mean_a_login_for_each_call() {
    for end in ["2026-11-23T12:01:00Z", "2026-11-23T11:00:00Z"] {
        let (mock, time) = (Mock::start().await, ManualTime::new());
        mock.always(NETWORKS, Reply::json(200, json!({"networks": []})));
        mock.tokens_end_at(end);
        let cloud = mock.connect(&time).await;
        for _ in 0..5 {
            list(&cloud).await.unwrap();
        }
        assert_eq!(mock.logins(), 1, "{end}");
    }
}

#[tokio::test]
async fn a_password_that_is_refused_is_sent_once_for_all_who_wait() {
    let (mock, _, cloud) = cloud_with_networks().await;
    mock.revoke();
    mock.always(LOGIN, refusal()).take(Duration::from_millis(5));
    let before = mock.seen(LOGIN).len();
    let results = join_all((0..20).map(|_| list(&cloud))).await;
    assert!(results.iter().all(|result| result.as_ref().is_err_and(Error::is_unauthorized)), "{results:?}");
    assert_eq!(mock.seen(LOGIN).len() - before, 1);
}

#[tokio::test]
async fn a_refused_login_is_tried_again_after_a_while() {
    let (mock, time, cloud) = cloud_with_networks().await;
    mock.revoke();
    mock.once(LOGIN, refusal());
    list(&cloud).await.unwrap_err();
    list(&cloud).await.unwrap_err();
    assert_eq!(mock.seen(LOGIN).len(), 2, "not at once");
    time.advance(Duration::from_secs(11));
    list(&cloud).await.unwrap();
    assert_eq!(mock.seen(LOGIN).len(), 3);
}

#[tokio::test]
async fn a_service_that_refuses_every_token_is_asked_twice() {
    let (mock, _, cloud) = cloud_with_networks().await;
    mock.always(NETWORKS, refusal());
    let error = list(&cloud).await.unwrap_err();
    assert!(error.is_unauthorized() && matches!(error, Error::Api(_)), "{error:?}");
    assert_eq!((mock.seen(NETWORKS).len(), mock.logins()), (2, 2));
}

#[tokio::test]
async fn a_wrong_password_is_told_with_a_hint_and_without_the_password() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(LOGIN, refusal());
    let error = Cloud::connect(&mock.config(), options(&time)).await.unwrap_err();
    assert!(error.is_unauthorized() && error.hint().unwrap().contains("password"), "{error:?}");
    assert!(!format!("{error:?}").contains("s3cret"));
    assert_eq!(mock.seen(LOGIN).len(), 1, "a wrong password is not tried again");
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let (_, _, cloud) = cloud_with_networks().await;
    let shown = format!("{cloud:?} {:?}", cloud.token().await.unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains("token-1"), "{shown}");
}

#[tokio::test]
async fn logging_in_survives_an_overloaded_identity_service() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.once(LOGIN, Reply::status(503)).once(LOGIN, Reply::Drop);
    mock.connect(&time).await;
    assert_eq!(mock.seen(LOGIN).len(), 3);
}

#[tokio::test]
async fn a_missing_service_is_named_with_those_that_exist() {
    let (_, _, cloud) = cloud_with_networks().await;
    let error = cloud.load_balancer().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cloud has no service of type load-balancer (Octavia) with a public endpoint; \
         it has `compute`, `image`, `network`, `volumev3`"
    );
}

#[tokio::test]
async fn an_override_goes_before_the_catalog() {
    let (mock, other, time) = (Mock::start().await, Mock::start().await, ManualTime::new());
    other.always("GET /elsewhere/v2.0/networks", Reply::json(200, json!({"networks": []})));
    let yaml = format!(
        "clouds: {{mock: {{network_endpoint_override: '{}/elsewhere', auth: {{auth_url: '{}/identity/v3', \
         username: demo, password: x, project_name: demo}}}}}}",
        other.address, mock.address
    );
    let config = capstan_openstack::CloudConfig::from_yaml(&yaml, "mock").unwrap();
    let cloud = Cloud::connect(&config, options(&time)).await.unwrap();
    list(&cloud).await.unwrap();
    assert_eq!(other.seen("GET /elsewhere/v2.0/networks").len(), 1);
}

#[tokio::test]
async fn nova_is_asked_once_what_it_speaks() {
    const ZONES: &str = "GET /compute/v2.1/os-availability-zone";
    let (mock, _, cloud) = cloud_with_networks().await;
    mock.always(ZONES, Reply::json(200, json!({"availabilityZoneInfo": []})));
    let compute = cloud.compute().unwrap();
    join_all((0..8).map(|_| compute.availability_zones()))
        .await
        .into_iter()
        .for_each(|zones| drop(zones.unwrap()));
    assert_eq!(mock.seen("GET /compute/v2.1/").len(), 1);
    let spoken: Vec<_> = mock.seen(ZONES).into_iter().filter_map(|seen| seen.version).collect();
    assert_eq!(spoken, ["compute 2.64"; 8]);
}

#[tokio::test]
async fn too_old_a_nova_is_said_so() {
    let (mock, _, cloud) = cloud_with_networks().await;
    mock.always("GET /compute/v2.1/", version("2.1", "2.53"));
    let error = cloud.compute().unwrap().flavors().await.unwrap_err();
    assert_eq!(error.to_string(), "compute (Nova) offers the microversions 2.1 to 2.53, but 2.60 is needed");
}
