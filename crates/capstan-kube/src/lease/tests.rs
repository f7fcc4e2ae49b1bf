use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::fake::Fake;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/n/leases/web";

fn lease(fake: &Fake, holder: &str) -> Lease {
    Lease::new(fake.client(), "n", "web", holder, Duration::from_secs(30))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn held(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Held { .. })
}

#[tokio::test]
async fn the_first_gets_it_and_the_second_learns_who_has_it() {
    let fake = Fake::default();
    let (mut one, mut two) = (lease(&fake, "one"), lease(&fake, "two"));
    assert_eq!(one.acquire(at(0)).await.unwrap(), Attempt::Held { until: at(30) });
    assert_eq!(
        two.acquire(at(5)).await.unwrap(),
        Attempt::Taken { holder: "one".into(), since: Some(at(0)), renewed: Some(at(0)) }
    );
    assert_eq!(one.acquire(at(20)).await.unwrap(), Attempt::Held { until: at(50) });
    let spec = &fake.get(PATH).unwrap()["spec"];
    assert_eq!((&spec["leaseTransitions"], &spec["leaseDurationSeconds"]), (&json!(0), &json!(30)));
}

#[tokio::test]
async fn a_dead_holder_is_followed_after_its_time_and_the_allowance() {
    let fake = Fake::default();
    let (mut one, mut two) = (lease(&fake, "one"), lease(&fake, "two"));
    one.acquire(at(0)).await.unwrap();
    assert!(!held(&two.acquire(at(39)).await.unwrap()));
    assert!(held(&two.acquire(at(41)).await.unwrap()));
    assert!(!held(&one.acquire(at(42)).await.unwrap()), "the old holder learns that it has lost it");
    assert_eq!(fake.get(PATH).unwrap()["spec"]["leaseTransitions"], json!(1));
}

#[tokio::test]
async fn clocks_that_differ_do_not_lock_anybody_out_for_ever() {
    let fake = Fake::default();
    let (mut ahead, mut two) = (lease(&fake, "ahead"), lease(&fake, "two"));
    ahead.acquire(at(100_000)).await.unwrap();
    assert!(!held(&two.acquire(at(0)).await.unwrap()));
    assert!(!held(&two.acquire(at(30)).await.unwrap()));
    assert!(held(&two.acquire(at(31)).await.unwrap()), "watched unchanged for its whole duration");
}

#[tokio::test]
async fn a_holder_that_renews_is_not_robbed_however_long_one_watches() {
    let fake = Fake::default();
    let (mut one, mut two) = (lease(&fake, "one"), lease(&fake, "two"));
    for second in (0..300).step_by(10) {
        assert!(held(&one.acquire(at(second)).await.unwrap()));
        assert!(!held(&two.acquire(at(second + 5)).await.unwrap()));
    }
}

#[tokio::test]
async fn a_lost_answer_is_harmless() {
    let fake = Fake::default();
    let mut one = lease(&fake, "one");
    // The read is answered; the create has its effect, but its answer never comes.
    fake.lose_answer_after(1);
    assert_eq!(one.acquire(at(0)).await.unwrap_err().name(), "unreachable");
    assert_eq!(fake.get(PATH).unwrap()["spec"]["holderIdentity"], json!("one"));
    assert!(!held(&lease(&fake, "two").acquire(at(1)).await.unwrap()));
    assert!(held(&one.acquire(at(2)).await.unwrap()));
    assert_eq!(fake.get(PATH).unwrap()["spec"]["leaseTransitions"], json!(0));
}

#[tokio::test]
async fn a_released_one_is_free_at_once() {
    let fake = Fake::default();
    let (mut one, mut two) = (lease(&fake, "one"), lease(&fake, "two"));
    one.acquire(at(0)).await.unwrap();
    two.release(at(1)).await.unwrap();
    assert!(!held(&two.acquire(at(1)).await.unwrap()), "who doesn't hold it can't release it");
    one.release(at(2)).await.unwrap();
    assert!(held(&two.acquire(at(3)).await.unwrap()));
    one.release(at(4)).await.unwrap();
    assert!(held(&two.acquire(at(5)).await.unwrap()));
}

#[tokio::test]
async fn it_is_removed_only_by_its_holder() {
    let fake = Fake::default();
    let (mut one, mut two) = (lease(&fake, "one"), lease(&fake, "two"));
    one.acquire(at(0)).await.unwrap();
    two.remove().await.unwrap();
    assert!(fake.get(PATH).is_some());
    one.remove().await.unwrap();
    assert!(fake.get(PATH).is_none());
    one.remove().await.unwrap();
}

/// Nobody comes later to remove what was left: a server's bad moment must not leave it.
#[tokio::test]
async fn it_is_removed_although_the_server_fails_once() {
    let fake = Fake::default();
    let mut one = lease(&fake, "one");
    one.acquire(at(0)).await.unwrap();
    fake.fail_next(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500,
        "reason": "InternalError", "message": "etcdserver: request timed out"
    }));
    one.remove().await.unwrap();
    assert!(fake.get(PATH).is_none());
}

#[tokio::test]
async fn it_is_taken_only_from_the_holder_that_is_known_to_be_dead() {
    let fake = Fake::default();
    let (mut one, mut two) = (lease(&fake, "one"), lease(&fake, "two"));
    one.acquire(at(0)).await.unwrap();
    assert!(!two.take_from("another", at(1)).await.unwrap());
    assert!(two.take_from("one", at(1)).await.unwrap());
    assert!(!held(&one.acquire(at(2)).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_gets_it() {
    let fake = Fake::default();
    let barrier = Arc::new(tokio::sync::Barrier::new(16));
    let tasks: Vec<_> = (0..16)
        .map(|index| {
            let (mut lease, barrier) = (lease(&fake, &format!("holder {index}")), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                held(&lease.acquire(at(0)).await.unwrap())
            })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += u32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}
