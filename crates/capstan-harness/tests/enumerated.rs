//! The flows with what goes wrong with them, one thing at a time: a selection that a debug build does in two minutes.
//! `cargo xtask soak --enumerate` does all of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use capstan_harness::enumerate::{Calls, Case, Flow, check, clean, killed, struck};
use capstan_harness::{Change, Effect, Trouble, folder};
use capstan_sandbox::faults::Effect as Strike;

/// Runs the cases and tells of all that don't hold.
fn hold(cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let folder = folder().unwrap();
    let count = cases.len();
    let failed: Vec<_> = cases
        .into_iter()
        .filter_map(|case| {
            let walked = check(&case, folder.path());
            let violation = walked.violation?;
            Some(format!("{:?}; {}: {violation:#}\n  {}", case.flow, case.trouble, walked.told.join("\n  ")))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {count} cases:\n{}", failed.len(), failed.join("\n"));
}

fn writes(flow: Flow, ways: &[Strike], kills: &[Effect]) -> Vec<Case> {
    let folder = folder().unwrap();
    let calls = clean(flow, folder.path()).unwrap();
    let mut cases = struck(flow, &calls, Calls::Writes, ways);
    cases.extend(killed(flow, &calls, Calls::Writes, kills));
    cases
}

/// In turn: of one write the answer is lost, at the next one the process is killed.
#[test]
fn creating_survives_every_write_that_loses_its_answer_or_kills() {
    let lost = writes(Flow::Create, &[Strike::LoseAnswer], &[]).into_iter().step_by(2);
    let killed = writes(Flow::Create, &[], &[Effect::Done]).into_iter().skip(1).step_by(2);
    hold(lost.chain(killed).collect());
}

#[test]
fn deleting_survives_every_write_that_loses_its_answer_or_kills() {
    hold(writes(Flow::Delete, &[Strike::LoseAnswer], &[Effect::Done]));
}

#[test]
fn preparing_survives_every_write_that_goes_wrong() {
    hold(writes(Flow::Up, &[Strike::FailAfter { status: 503 }, Strike::Hang], &[Effect::Done]));
}

#[test]
fn an_image_survives_every_write_that_goes_wrong() {
    hold(writes(Flow::Prune, &[Strike::LoseAnswer, Strike::CutAnswer], &[Effect::Done]));
    let folder = folder().unwrap();
    let calls = clean(Flow::CreateWithImage, folder.path()).unwrap();
    let image: Vec<_> =
        struck(Flow::CreateWithImage, &calls, Calls::All, &[Strike::LoseAnswer, Strike::Disconnect])
            .into_iter()
            .filter(|case| {
                let Trouble::Strike { nth, .. } = case.trouble else { return false };
                calls[nth as usize - 1].writes() && calls[nth as usize - 1].path.starts_with("/image")
            })
            .collect();
    hold(image);
}

#[test]
fn changes_survive_a_second_runner() {
    let case = |change| Case { flow: Flow::Change(change), trouble: Trouble::Twice };
    hold([Change::ScaleUp, Change::Flavor, Change::RemoveGroup, Change::Upgrade].map(case).to_vec());
}

#[test]
fn a_failed_server_is_told_with_novas_fault_and_replaced_by_the_next_run() {
    let folder = folder().unwrap();
    let walked = check(&Case { flow: Flow::Create, trouble: Trouble::Server }, folder.path());
    assert!(walked.violation.is_none(), "{:?}", walked.violation);
    let blocked = walked.told.iter().position(|line| line.contains("Server: blocked")).unwrap();
    assert!(walked.told[blocked + 1].contains("once more: settled"), "{:?}", walked.told);
}

#[test]
fn a_refused_change_changes_nothing() {
    hold(vec![Case { flow: Flow::Refused, trouble: Trouble::None }]);
}

#[test]
fn a_cloud_that_misbehaves_is_told_and_outlasted() {
    let creating = [
        Trouble::NoHost,
        Trouble::Balancer,
        Trouble::Quota,
        Trouble::QuotaMidway,
        Trouble::Slow,
        Trouble::Storm,
        Trouble::Webhook,
        Trouble::LateProvider,
    ];
    let deleting = [
        Trouble::Revoked,
        Trouble::ForeignPort,
        Trouble::Orphans,
        Trouble::PortLeak,
        Trouble::Balancer,
        Trouble::Restart,
    ];
    let cases = creating.map(|trouble| Case { flow: Flow::Create, trouble }).into_iter();
    hold(cases.chain(deleting.map(|trouble| Case { flow: Flow::Delete, trouble })).collect());
}
