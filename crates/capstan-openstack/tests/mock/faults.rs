//! What the client makes of clouds and networks that misbehave.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{ManualTime, Mock, Reply, options};
use capstan_openstack::network::{Filter, Kind, Network};
use capstan_openstack::{Cloud, Error, Limiter, Options, ServiceType, SystemTime};
use futures::future::join_all;
use serde_json::json;

const NETWORKS: &str = "GET /network/v2.0/networks";
const MAKE: &str = "POST /network/v2.0/networks";

fn no_networks() -> Reply {
    Reply::json(200, json!({"networks": []}))
}

async fn list(cloud: &Cloud) -> Result<Vec<Network>, Error> {
    cloud.network().unwrap().networks(&Filter::default()).await
}

async fn make(cloud: &Cloud) -> Result<Network, Error> {
    let body = json!({"network": {"name": "one"}});
    cloud.service(ServiceType::Network).unwrap().post(&["networks"]).json(body).one("network").await
}

#[tokio::test]
async fn retry_after_is_honoured_also_for_a_create_because_it_was_not_looked_at() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    let made = json!({"network": {"id": "1", "name": "one"}});
    mock.once(MAKE, Reply::json(429, json!({"message": "slow down"})).header("Retry-After", "7"))
        .once(MAKE, Reply::json(201, made));
    let cloud = mock.connect(&time).await;
    assert_eq!(make(&cloud).await.unwrap().id, "1");
    assert_eq!(mock.seen(MAKE).len(), 2);
    assert!(time.slept().iter().sum::<Duration>() >= Duration::from_secs(7), "{:?}", time.slept());
}

#[tokio::test]
async fn a_retry_after_of_an_hour_ends_the_call() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, Reply::json(429, json!({"message": "slow down"})).header("Retry-After", "3600"));
    let cloud = mock.connect(&time).await;
    let error = list(&cloud).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("slow down"), "{error}");
    assert_eq!((mock.seen(NETWORKS).len(), time.slept().len()), (1, 0));
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_not_mistaken_for_overload() {
    const VOLUMES: &str = "POST /volume/v3/project-id/volumes";
    let (mock, time) = (Mock::start().await, ManualTime::new());
    let message =
        "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota.";
    let body = json!({"overLimit": {"code": 413, "message": message, "retryAfter": "0"}});
    mock.always(VOLUMES, Reply::json(413, body).header("Retry-After", "0"));
    let cloud = mock.connect(&time).await;
    let call =
        cloud.service(ServiceType::BlockStorage).unwrap().post(&["volumes"]).json(json!({"volume": {}}));
    let error = call.done().await.unwrap_err();
    assert!(error.is_quota() && !error.is_transient(), "{error:?}");
    assert_eq!(mock.seen(VOLUMES).len(), 1);
}

#[tokio::test]
async fn overload_is_waited_out_with_growing_pauses() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    for status in [503, 502, 504] {
        mock.once(NETWORKS, Reply::html(status, "<html><body><h1>Try later</h1></body></html>"));
    }
    mock.always(NETWORKS, no_networks());
    let cloud = mock.connect(&time).await;
    assert!(list(&cloud).await.unwrap().is_empty());
    let slept: Vec<u128> = time.slept().iter().map(Duration::as_millis).collect();
    assert!(matches!(slept[..], [250..=500, 500..=1000, 1000..=2000]), "{slept:?}");
}

#[tokio::test]
async fn overload_that_stays_ends_with_the_error_of_the_service_in_plain_text() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    let page = Reply::html(503, "<html><body><h1>Try later</h1></body></html>");
    mock.always(NETWORKS, page.header("X-Openstack-Request-Id", "req-7"));
    let cloud = mock.connect(&time).await;
    let error = list(&cloud).await.unwrap_err();
    assert_eq!(error.to_string(), "`GET networks` of network (Neutron) answered 503: Try later (req-7)");
    assert_eq!(mock.seen(NETWORKS).len(), 5);
    assert!(error.is_transient() && error.hint().is_some());
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_uncertain_and_not_sent_twice() {
    for lost in [Reply::Drop, Reply::Half, Reply::status(502), Reply::html(200, "<p>welcome")] {
        let (mock, time) = (Mock::start().await, ManualTime::new());
        mock.always(MAKE, lost.clone());
        let cloud = mock.connect(&time).await;
        let error = make(&cloud).await.unwrap_err();
        assert!(error.is_uncertain(), "{lost:?}: {error:?}");
        assert_eq!(mock.seen(MAKE).len(), 1, "{lost:?}");
        assert!(error.hint().unwrap().contains("look"), "{error}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_tried_again_at_once_where_that_is_harmless() {
    for lost in [Reply::Drop, Reply::Half] {
        let (mock, time) = (Mock::start().await, ManualTime::new());
        mock.once(NETWORKS, lost).always(NETWORKS, no_networks());
        let cloud = mock.connect(&time).await;
        assert!(list(&cloud).await.unwrap().is_empty());
        assert_eq!(mock.seen(NETWORKS).len(), 2);
        assert!(time.slept().is_empty(), "{:?}", time.slept());
    }
}

#[tokio::test]
async fn a_removal_whose_answer_is_lost_is_done_when_the_second_finds_nothing() {
    const REMOVE: &str = "DELETE /network/v2.0/networks/1";
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.once(REMOVE, Reply::Drop).once(REMOVE, Reply::status(404));
    let cloud = mock.connect(&time).await;
    cloud.network().unwrap().delete(Kind::Network, "1").await.unwrap();
    assert_eq!(mock.seen(REMOVE).len(), 2);
}

#[tokio::test]
async fn servers_that_close_connections_without_saying_so_are_not_noticed() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.close_silently();
    let made = json!({"network": {"id": "1", "name": "one"}});
    mock.always(NETWORKS, no_networks()).always(MAKE, Reply::json(201, made));
    let cloud = mock.connect(&time).await;
    for _ in 0..50 {
        list(&cloud).await.unwrap();
        make(&cloud).await.unwrap();
    }
    assert_eq!(mock.seen(MAKE).len(), 50);
}

#[tokio::test]
async fn a_time_limit_is_tried_twice_at_most_and_a_create_once() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, Reply::Hang).always(MAKE, Reply::Hang);
    let options = Options { call_limit: Duration::from_millis(150), ..options(&time) };
    let cloud = Cloud::connect(&mock.config(), options).await.unwrap();
    let error = list(&cloud).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(mock.seen(NETWORKS).len(), 2);
    let error = make(&cloud).await.unwrap_err();
    assert!(
        matches!(&error, Error::Uncertain { source, .. } if matches!(**source, Error::TimedOut { .. })),
        "{error:?}"
    );
    assert_eq!(mock.seen(MAKE).len(), 1);
}

#[tokio::test]
async fn a_page_instead_of_json_is_said_so() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, Reply::html(200, "<html>please log in</html>"));
    let cloud = mock.connect(&time).await;
    let error = list(&cloud).await.unwrap_err();
    assert!(error.to_string().ends_with("status 200 with `text/html` instead of JSON"), "{error}");
    assert!(error.hint().unwrap().contains("proxy"));
}

#[tokio::test]
async fn json_of_another_shape_names_the_field() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, Reply::json(200, json!({"networks": [{"id": "1"}]})));
    let cloud = mock.connect(&time).await;
    let error = list(&cloud).await.unwrap_err();
    assert!(
        matches!(&error, Error::Decode { source, .. } if source.to_string().contains("`name`")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_redirection_is_not_followed_with_the_token() {
    let (mock, other, time) = (Mock::start().await, Mock::start().await, ManualTime::new());
    let elsewhere = format!("{}/network/v2.0/networks", other.address);
    mock.always(NETWORKS, Reply::status(302).header("Location", elsewhere));
    let cloud = mock.connect(&time).await;
    let error = list(&cloud).await.unwrap_err();
    assert!(error.to_string().contains("redirection (302)"), "{error}");
    assert!(other.seen(NETWORKS).is_empty());
}

#[tokio::test]
async fn nobody_waits_for_an_address_that_never_answered() {
    let time = ManualTime::new();
    let mut config = Mock::start().await.config();
    config.auth_url = "http://127.0.0.1:1/v3".parse().unwrap();
    let error = Cloud::connect(&config, options(&time)).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot log in to cloud `mock`");
    assert!(error.is_transient() && error.hint().unwrap().contains("address"), "{error:?}");
    assert!(time.slept().is_empty());
}

#[tokio::test]
async fn many_callers_share_the_bound() {
    let mock = Mock::start().await;
    mock.always(NETWORKS, no_networks()).take(Duration::from_millis(5));
    let options =
        Options { limiter: Limiter::new(3, 10_000), time: Arc::new(SystemTime), ..Options::default() };
    let cloud = Cloud::connect(&mock.config(), options).await.unwrap();
    let results = join_all((0..24).map(|_| list(&cloud))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(mock.most_in_flight(), 3);
}

#[tokio::test]
async fn one_who_is_told_to_wait_makes_all_wait() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.once(NETWORKS, Reply::status(429).header("Retry-After", "30")).always(NETWORKS, no_networks());
    let cloud = mock.connect(&time).await;
    let start = capstan_openstack::Time::now(&*time);
    list(&cloud).await.unwrap();
    let waited = capstan_openstack::Time::now(&*time).duration_since(start);
    assert!(waited.as_secs() >= 30 && waited.as_secs() < 62, "{waited}");
}

#[tokio::test]
async fn requests_are_counted_with_repetitions() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.once(NETWORKS, Reply::status(503)).always(NETWORKS, no_networks());
    mock.always(MAKE, Reply::json(201, json!({"network": {"id": "1", "name": "one"}})));
    let cloud = mock.connect(&time).await;
    let before = cloud.calls();
    assert_eq!((before.total(), before.logins(), before.writes()), (1, 1, 0));
    list(&cloud.clone()).await.unwrap();
    make(&cloud).await.unwrap();
    let calls = cloud.calls().since(&before);
    assert_eq!((calls.total(), calls.writes(), calls.of(ServiceType::Network)), (3, 1, 3), "{calls}");
}
