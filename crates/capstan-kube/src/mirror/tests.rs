use serde_json::{Value, json};

use super::*;
use crate::fake::{Fake, status};

const SECRETS: &str = "/api/v1/secrets";

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/n/secrets/{name}")
}

fn secret(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "n"}, "text": text})
}

fn start(fake: &Fake) -> Mirror {
    Mirror::start(&fake.client(), [Kind::SECRET], &Options::default())
}

fn text(mirror: &Mirror, name: &str) -> Option<String> {
    Some(mirror.get(&Kind::SECRET, "n", name)?.data["text"].as_str()?.to_owned())
}

/// Lets the followers do what they can; paused time goes on only when nobody has anything to do.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lists_once_and_follows_without_further_requests() {
    let fake = Fake::default();
    fake.store(&path("a"), secret("a", "1"));
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    assert_eq!(text(&mirror, "a").as_deref(), Some("1"));
    assert_eq!(mirror.get(&Kind::SECRET, "n", "a").unwrap().types.as_ref().unwrap().kind, "Secret");

    for round in 0..100 {
        let mut changes = mirror.subscribe(Some("n"));
        fake.store(&path("b"), secret("b", &round.to_string()));
        assert_eq!(changes.next().await, BTreeSet::from(["n".to_owned()]));
        assert_eq!(text(&mirror, "b"), Some(round.to_string()));
    }
    fake.remove(&path("a"));
    mirror.changed().await;
    assert_eq!(text(&mirror, "a"), None);
    assert_eq!(mirror.list(&Kind::SECRET, Some("n")).len(), 1);
    assert_eq!(mirror.list(&Kind::SECRET, Some("other")).len(), 0);

    assert_eq!(mirror.requests(), Requests { lists: 1, watches: 1 });
    assert_eq!(fake.requests(), [format!("GET {SECRETS}"), format!("WATCH {SECRETS}")]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_server_makes_the_copy_stale_until_it_is_back() {
    let fake = Fake::default();
    fake.store(&path("a"), secret("a", "1"));
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    assert_eq!(mirror.stale(), None);

    let mut states = mirror.watch_states();
    states.mark_unchanged();
    fake.break_next(3);
    fake.hang_up();
    states.changed().await.unwrap();
    let (since, why) = mirror.stale().unwrap();
    assert!(why.contains("can't be reached") && why.contains("refused"), "{why}");
    assert_eq!(text(&mirror, "a").as_deref(), Some("1"), "the copy stays readable");

    fake.store(&path("a"), secret("a", "2"));
    states.changed().await.unwrap();
    assert_eq!(mirror.stale(), None, "stale since {since} until now");
    settle().await;
    assert_eq!(text(&mirror, "a").as_deref(), Some("2"));
    assert_eq!(mirror.requests().lists, 1, "the watch goes on from where it was");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_has_fallen_behind_lists_again() {
    let fake = Fake::default();
    fake.store(&path("a"), secret("a", "1"));
    fake.store(&path("b"), secret("b", "1"));
    let mirror = start(&fake);
    mirror.ready().await.unwrap();

    let mut changes = mirror.subscribe(None);
    fake.hang_up();
    fake.remove(&path("a"));
    fake.store(&path("b"), secret("b", "2"));
    fake.compact();
    changes.next().await;
    settle().await;
    assert_eq!((text(&mirror, "a"), text(&mirror, "b").as_deref()), (None, Some("2")));
    assert_eq!(mirror.requests().lists, 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_kind_is_told_and_found_when_it_turns_up() {
    let fake = Fake::default();
    // A path that no API serves is answered with a bare 404.
    fake.fail_next(json!({"code": 404, "message": "404 page not found"}));
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    assert_eq!(mirror.states()[&Kind::SECRET], State::Missing);
    assert!(mirror.list(&Kind::SECRET, None).is_empty());

    fake.store(&path("a"), secret("a", "1"));
    mirror.changed().await;
    mirror.watch_states().wait_for(|states| states[&Kind::SECRET] == State::Synced).await.unwrap();
    assert_eq!(text(&mirror, "a").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn missing_rights_end_the_wait() {
    let fake = Fake::default();
    let mut refusal = status(403, "Forbidden");
    refusal["message"] = json!("secrets is forbidden: User \"x\" cannot list resource \"secrets\"");
    fake.fail_next(refusal);
    let mirror = start(&fake);
    let error = mirror.ready().await.unwrap_err();
    assert_eq!(error.name(), "forbidden");
    assert!(error.to_string().contains("cannot list resource"));
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_ends_the_wait_and_a_kind_is_waited_for_by_itself() {
    let fake = Fake::default();
    fake.fail_next(status(401, "Unauthorized"));
    let mirror = Mirror::start(&fake.client(), [Kind::CLUSTER, Kind::SECRET], &Options::default());
    let outcomes = [mirror.ready_kind(&Kind::CLUSTER).await, mirror.ready_kind(&Kind::SECRET).await];
    let names: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(Error::name)).collect();
    assert_eq!(names.iter().flatten().collect::<Vec<_>>(), [&"unauthorized"], "the one that was first");
    assert_eq!(mirror.ready().await.unwrap_err().name(), "unauthorized");
    // The next tries are answered.
    mirror
        .watch_states()
        .wait_for(|states| states.values().all(|state| *state == State::Synced))
        .await
        .unwrap();
    mirror.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clusters_cost_one_list_and_one_watch() {
    let fake = Fake::default();
    for index in 0..1000 {
        let mut object = secret("a", "1");
        object["metadata"]["namespace"] = json!(format!("n{index}"));
        fake.store(&format!("/api/v1/namespaces/n{index}/secrets/a"), object);
    }
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    assert_eq!(mirror.list(&Kind::SECRET, None).len(), 1000);
    for index in 0..1000 {
        assert_eq!(mirror.list(&Kind::SECRET, Some(&format!("n{index}"))).len(), 1);
    }
    assert_eq!(mirror.requests(), Requests { lists: 1, watches: 1 });
}

#[tokio::test(start_paused = true)]
async fn an_own_write_is_seen_at_once_and_announced() {
    let fake = Fake::default();
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    let mut changes = mirror.subscribe(Some("n"));
    let mut written = secret("a", "1");
    written["metadata"]["resourceVersion"] = json!("7");
    let written: DynamicObject = serde_json::from_value(written).unwrap();
    assert!(mirror.put(&Kind::SECRET, written.clone()));
    assert!(!mirror.put(&Kind::SECRET, written), "twice is no news");
    assert_eq!(text(&mirror, "a").as_deref(), Some("1"));
    assert_eq!(changes.next().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_one_namespace_is_not_woken_by_another() {
    let fake = Fake::default();
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    let mut other = mirror.subscribe(Some("other"));
    fake.store(&path("a"), secret("a", "1"));
    mirror.changed().await;
    assert!(tokio::time::timeout(Duration::from_secs(5), other.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_ends_the_watches() {
    let fake = Fake::default();
    let mirror = start(&fake);
    mirror.ready().await.unwrap();
    let clone = mirror.clone();
    drop(mirror);
    fake.store(&path("a"), secret("a", "1"));
    clone.changed().await;
    drop(clone);
    settle().await;
    let before = fake.requests().len();
    fake.hang_up();
    tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(fake.requests().len(), before);
}
