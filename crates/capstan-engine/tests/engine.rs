//! The engine alone, with scripted components and paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capstan_core::plan::ChangeClass;
use capstan_engine::pass::Pass;
use capstan_engine::{
    Clock, Direction, Ended, Event, EventKind, Events, Failure, Outcome, SystemClock, Until, Verdict,
};
use support::{Log, Mock, change, drain, rig, taken};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

fn position(log: &[String], line: &str) -> usize {
    log.iter().position(|entry| entry == line).unwrap_or_else(|| panic!("no `{line}` in {log:?}"))
}

#[tokio::test(start_paused = true)]
async fn later_components_come_after_earlier_ones_and_are_seen_in_sync() {
    let log = Log::default();
    let rig = rig(
        vec![
            Mock::new("cluster", &["network", "image"], &log).any(),
            Mock::new("network", &[], &log).any(),
            Mock::new("image", &[], &log).any(),
        ],
        Direction::Present,
        None,
    );
    let report = rig.driver.run(Until::Settled).await;
    assert_eq!(report.ended, Ended::Settled);
    assert_eq!((report.passes, report.applied), (2, 3), "the second pass proves that nothing is left to do");
    let log = taken(&log);
    let start = position(&log, "observe cluster");
    assert!(position(&log, "create network") < start && position(&log, "create image") < start, "{log:?}");
    assert_eq!(
        log.iter().filter(|line| *line == "observe network").count(),
        3,
        "applied, then seen again, then proven"
    );
}

#[tokio::test(start_paused = true)]
async fn what_nothing_holds_back_runs_side_by_side() {
    let log = Log::default();
    let slow = |name| Mock::new(name, &[], &log).takes(SECOND, 10 * SECOND).any();
    let rig = rig(vec![slow("a"), slow("b"), slow("c")], Direction::Present, None);
    let start = Instant::now();
    assert_eq!(rig.driver.run(Until::Settled).await.ended, Ended::Settled);
    assert_eq!(
        start.elapsed(),
        13 * SECOND,
        "observe, apply, observe, and a last look: once, not three times"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_component_changes_is_seen_by_one_that_looked_before() {
    let log = Log::default();
    let rolling = Arc::new(AtomicUsize::new(0));
    let (changed, looked) = (Arc::clone(&rolling), Arc::clone(&rolling));
    // The template is changed while the machines were still found right.
    let template =
        Mock::new("template", &[], &log).takes(SECOND, SECOND).verdict(move |_, made| match made {
            0 => Verdict::Change(vec![change("template", ChangeClass::Creates)]),
            _ => {
                let _ = changed.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
                Verdict::InSync
            }
        });
    let machines =
        Mock::new("machines", &[], &log).verdict(move |_, _| match looked.load(Ordering::SeqCst) {
            1 => {
                looked.store(2, Ordering::SeqCst);
                Verdict::waiting("the machines to be replaced", 15)
            }
            _ => Verdict::InSync,
        });
    let report =
        rig(vec![template.any(), machines.any()], Direction::Present, None).driver.run(Until::Settled).await;
    assert_eq!(report.ended, Ended::Settled);
    assert_eq!(rolling.load(Ordering::SeqCst), 2, "the run did not end before the machines were waited for");
}

#[tokio::test(start_paused = true)]
async fn a_settled_subject_is_not_written_to() {
    let log = Log::default();
    let still = |name| Mock::new(name, &[], &log).verdict(|_, _| Verdict::InSync).any();
    let report = rig(vec![still("a"), still("b")], Direction::Present, None).driver.run(Until::Settled).await;
    assert_eq!((report.ended, report.applied), (Ended::Settled, 0));
    assert_eq!(taken(&log), ["observe a", "observe b"]);
}

#[tokio::test(start_paused = true)]
async fn teardown_walks_against_the_order() {
    let log = Log::default();
    let rig = rig(
        vec![
            Mock::new("credential", &[], &log).any(),
            Mock::new("cluster", &["credential"], &log).any(),
            Mock::new("addons", &["cluster"], &log).any(),
        ],
        Direction::Absent,
        None,
    );
    assert_eq!(rig.driver.run(Until::Settled).await.ended, Ended::Settled);
    let log = taken(&log);
    assert!(position(&log, "delete addons") < position(&log, "observe cluster"));
    assert!(position(&log, "delete cluster") < position(&log, "observe credential"));
}

#[tokio::test(start_paused = true)]
async fn waiting_holds_back_those_behind_and_is_looked_at_again_in_time() {
    let log = Log::default();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let waiting =
        Mock::new("server", &[], &log).verdict(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Verdict::waiting("the server to boot", 15),
            _ => Verdict::InSync,
        });
    let mut rig =
        rig(vec![waiting.any(), Mock::new("kubernetes", &["server"], &log).any()], Direction::Present, None);
    let start = Instant::now();
    let report = rig.driver.run(Until::Settled).await;
    assert_eq!((report.ended, report.passes), (Ended::Settled, 4));
    assert_eq!(start.elapsed(), 30 * SECOND);
    let waits =
        drain(&mut rig.events).into_iter().filter(|e| matches!(e.kind, EventKind::Waiting { .. })).count();
    assert_eq!(waits, 1, "the same wait is announced once");
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_world_wakes_the_driver_before_the_timer() {
    let log = Log::default();
    let ready = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ready);
    let component = Mock::new("machine", &[], &log).verdict(move |_, _| match seen.load(Ordering::SeqCst) {
        0 => Verdict::waiting("a machine", 600),
        _ => Verdict::InSync,
    });
    let rig = rig(vec![component.any()], Direction::Present, None);
    let changed = rig.changed.clone();
    let start = Instant::now();
    let run = tokio::spawn(rig.driver.run(Until::Settled));
    SystemClock::new().sleep(5 * SECOND).await;
    ready.store(1, Ordering::SeqCst);
    changed.send_modify(|count| *count += 1);
    assert_eq!(run.await.unwrap().ended, Ended::Settled);
    assert!(start.elapsed() < 6 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn independent_failures_do_not_stop_one_another() {
    let log = Log::default();
    let broken = Mock::new("image", &[], &log)
        .fault(|_| Err(Failure::permanent(io::Error::other("checksum differs")).hint("download it again")));
    let mut rig = rig(
        vec![
            broken.any(),
            Mock::new("network", &[], &log).any(),
            Mock::new("router", &["network"], &log).any(),
            Mock::new("server", &["image"], &log).any(),
        ],
        Direction::Present,
        None,
    );
    let report = rig.driver.run(Until::Settled).await;
    assert_eq!(report.ended, Ended::Failed);
    assert!(matches!(report.last.step("router").unwrap().outcome, Outcome::Settled));
    assert!(matches!(report.last.step("server").unwrap().outcome, Outcome::Held { by: "image" }));
    let failed = drain(&mut rig.events).into_iter().find_map(|event| match event.kind {
        EventKind::Failed { component, causes, hints, retried } => Some((component, causes, hints, retried)),
        _ => None,
    });
    let expected = (
        "image".to_owned(),
        vec!["checksum differs".to_owned()],
        vec!["download it again".to_owned()],
        false,
    );
    assert_eq!(failed, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_tried_again_ever_slower() {
    let log = Log::default();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&calls);
    let flaky = Mock::new("network", &[], &log).fault(move |_| {
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        if times.len() < 5 { Err(Failure::transient(io::Error::other("503"))) } else { Ok(()) }
    });
    let report = rig(vec![flaky.any()], Direction::Present, None).driver.run(Until::Settled).await;
    assert_eq!((report.ended, report.applied), (Ended::Settled, 1));
    let pauses: Vec<u64> = calls.lock().unwrap().windows(2).map(|w| (w[1] - w[0]).as_secs()).collect();
    assert_eq!(pauses, [2, 4, 8, 16]);
}

#[tokio::test(start_paused = true)]
async fn blocked_ends_the_run_when_nothing_else_goes_on() {
    let log = Log::default();
    let blocked = Mock::new("image", &[], &log)
        .verdict(|_, _| Verdict::blocked("two images of one name", "rename one"));
    let report = rig(vec![blocked.any(), Mock::new("network", &[], &log).any()], Direction::Present, None)
        .driver
        .run(Until::Settled)
        .await;
    assert_eq!(report.ended, Ended::Blocked);
    assert!(matches!(report.last.step("network").unwrap().outcome, Outcome::Settled));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_run_does_not_wait_for_ever_for_what_is_blocked() {
    let log = Log::default();
    let blocked =
        Mock::new("machines", &[], &log).verdict(|_, _| Verdict::blocked("no valid host", "free some"));
    let waiting = Mock::new("access", &[], &log).verdict(|_, _| Verdict::waiting("a machine", 600));
    let start = Instant::now();
    let report =
        rig(vec![blocked.any(), waiting.any()], Direction::Present, None).driver.run(Until::Settled).await;
    assert_eq!(report.ended, Ended::Blocked);
    assert!((30..40).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_run_but_not_the_work() {
    let log = Log::default();
    let never = Mock::new("server", &[], &log).verdict(|_, _| Verdict::waiting("a host", 60));
    let start = Instant::now();
    let report =
        rig(vec![never.any()], Direction::Present, Some(90 * SECOND)).driver.run(Until::Settled).await;
    assert_eq!((report.ended, start.elapsed()), (Ended::Deadline, 90 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_signal_finishes_the_change_at_hand_and_stops_before_the_next() {
    let log = Log::default();
    let two = Mock::new("network", &[], &log)
        .verdict(|_, applied| match applied {
            0 => Verdict::Change(vec![
                change("net", ChangeClass::Creates),
                change("subnet", ChangeClass::Creates),
            ]),
            _ => Verdict::InSync,
        })
        .takes(Duration::ZERO, 10 * SECOND);
    let rig = rig(vec![two.any(), Mock::new("router", &["network"], &log).any()], Direction::Present, None);
    let cancel = rig.cancel.clone();
    let run = tokio::spawn(rig.driver.run(Until::Settled));
    SystemClock::new().sleep(SECOND).await;
    cancel.cancel();
    let report = run.await.unwrap();
    assert_eq!((report.ended, report.applied), (Ended::Cancelled, 1));
    assert_eq!(taken(&log), ["observe network", "apply network", "create network"]);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_never_rests_gets_no_hot_loop() {
    let log = Log::default();
    let restless = Mock::new("tags", &[], &log)
        .verdict(|_, _| Verdict::Change(vec![change("tags", ChangeClass::InPlace)]));
    let report =
        rig(vec![restless.any()], Direction::Present, Some(60 * SECOND)).driver.run(Until::Settled).await;
    assert_eq!(report.ended, Ended::Deadline);
    assert!(report.passes < 10, "{} passes in a minute", report.passes);
}

#[tokio::test(start_paused = true)]
async fn a_plan_applies_nothing_and_shows_what_lies_behind_unsettled_components() {
    let log = Log::default();
    let components = vec![Mock::new("cluster", &["image"], &log).any(), Mock::new("image", &[], &log).any()];
    let pass = Pass {
        components: &components,
        direction: Direction::Present,
        clock: Arc::new(SystemClock::new()),
        cancel: CancellationToken::new(),
        events: Events::none("subject"),
    };
    let planned = pass.plan().await;
    assert_eq!(planned.iter().map(|step| step.component).collect::<Vec<_>>(), ["image", "cluster"]);
    assert!(
        planned
            .iter()
            .all(|step| matches!(&step.verdict, Ok(Verdict::Change(changes)) if changes.len() == 1))
    );
    assert_eq!(taken(&log), ["observe image", "observe cluster"]);
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_story_in_order_and_survive_serialisation() {
    let log = Log::default();
    let mut rig = rig(vec![Mock::new("network", &[], &log).any()], Direction::Present, None);
    rig.driver.run(Until::Settled).await;
    let events = drain(&mut rig.events);
    let names: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["pass-started", "step-started", "progress", "step-done", "pass-started", "ended"]);
    assert!(events.iter().all(|event| event.subject == "subject"));
    let text = serde_json::to_string(&events).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Event>>(&text).unwrap(), events);
}

#[tokio::test(start_paused = true)]
async fn a_circle_is_reported_and_does_not_hang() {
    let log = Log::default();
    let components = vec![Mock::new("a", &["b"], &log).any(), Mock::new("b", &["a"], &log).any()];
    let report = rig(components, Direction::Present, None).driver.run(Until::Settled).await;
    assert_eq!(report.ended, Ended::Failed);
    assert!(taken(&log).is_empty());
}
