//! One run over one cluster: as its only writer, with the engine's driver, woken by what the management plane tells.

use std::sync::Arc;
use std::time::Duration;

use capstan_core::names::SYSTEM_NAMESPACE;
use capstan_core::plan::{Obstacle, Plan};
use capstan_engine::pass::Pass;
use capstan_engine::{
    Clock, Direction, Driver, Ended, EventKind, Events, Failure, RunReport, Until, Verdict,
};
use capstan_kube::lease::{Attempt, Lease};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::subject::Subject;
use crate::{failure, quota};

/// How long a Lease outlives a holder that was killed.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(8);
/// How often somebody else's progress is looked at.
const FOLLOW: Duration = Duration::from_secs(2);

/// Says of a Lease's holder whether it is known to be dead, so that its end needn't be awaited.
pub type IsDead = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How a run is made.
#[derive(Clone)]
pub struct Settings {
    /// The run's clock.
    pub clock: Arc<dyn Clock>,
    /// Where steps are announced.
    pub events: Events,
    /// The user's wish to stop.
    pub cancel: CancellationToken,
    /// How long to go on.
    pub deadline: Option<Duration>,
    /// Who we are, in words that people understand and that no other process has.
    pub holder: String,
    /// See [`IsDead`].
    pub is_dead: IsDead,
}

/// What would be done.
///
/// # Errors
/// The quota could not be asked for. Components that could not be seen are in the plan's obstacles.
pub async fn plan(
    subject: &Arc<Subject>,
    direction: Direction,
    settings: &Settings,
) -> Result<Plan, Failure> {
    let components = subject.components();
    let pass = Pass {
        components: &components,
        direction,
        clock: Arc::clone(&settings.clock),
        cancel: settings.cancel.clone(),
        events: settings.events.clone(),
    };
    let mut plan = Plan::default();
    for step in pass.plan().await {
        match step.verdict {
            Ok(Verdict::InSync) => {}
            Ok(Verdict::Change(changes)) => plan.changes.extend(changes),
            Ok(Verdict::Waiting { on, .. }) => plan.waiting.push(format!("{}: {on}", step.component)),
            Ok(Verdict::Blocked { why, hint }) => plan.blocked.push(Obstacle { why, hint }),
            Err(error) => plan.blocked.push(Obstacle {
                why: format!("{}: {}", step.component, error.causes().join(": ")),
                hint: error.hints().join("; "),
            }),
        }
    }
    if direction == Direction::Present
        && let Some(facts) = subject.facts.get()
        && !plan.changes.is_empty()
    {
        plan.quota = quota::lines(subject, &facts).await?;
    }
    Ok(plan)
}

/// Makes the cluster as its document says, or gone. Where somebody else is at it, their work is followed first.
///
/// # Errors
/// The Lease could not be had: the management plane is not prepared, or cannot be reached.
pub async fn run(
    subject: &Arc<Subject>,
    direction: Direction,
    settings: Settings,
) -> Result<RunReport, Failure> {
    let name = subject.names().base();
    let mut lease =
        Lease::new(subject.plane.client().clone(), SYSTEM_NAMESPACE, name, &settings.holder, LEASE);
    if !acquire(subject, direction, &mut lease, &settings).await? {
        return Ok(RunReport { ended: Ended::Cancelled, last: Default::default(), passes: 0, applied: 0 });
    }
    let lost = settings.cancel.child_token();
    let driver = Driver {
        components: subject.components(),
        direction,
        clock: Arc::clone(&settings.clock),
        events: settings.events.clone(),
        cancel: lost.clone(),
        changed: changes(subject),
        deadline: settings.deadline,
    };
    let report = tokio::select! {
        biased;
        report = driver.run(Until::Settled) => report,
        // Ends only by cancelling the run, which then ends by itself.
        never = renew(&mut lease, &settings, &lost) => never,
    };
    let given_up = match (direction, report.ended) {
        // Nothing of the cluster is left, so nothing of its runs, either.
        (Direction::Absent, Ended::Settled) => lease.remove().await,
        _ => lease.release(now(&settings)).await,
    };
    if let Err(error) = given_up {
        tracing::warn!(%error, "the Lease could not be given up; it ends by itself");
    }
    Ok(report)
}

fn now(settings: &Settings) -> Timestamp {
    Timestamp::try_from(settings.clock.wall()).unwrap_or(Timestamp::MAX)
}

/// Gets the Lease; `false` if the user wanted to stop before. While somebody else has it, tells how far they are.
async fn acquire(
    subject: &Arc<Subject>,
    direction: Direction,
    lease: &mut Lease,
    settings: &Settings,
) -> Result<bool, Failure> {
    let mut told = None;
    loop {
        let attempt = lease.acquire(now(settings)).await.map_err(|error| {
            let missing = matches!(error, capstan_kube::Error::NotFound { .. });
            let failure = failure::kubernetes(error);
            if missing { failure.hint("`capstan up` prepares the management plane") } else { failure }
        })?;
        let Attempt::Taken { holder, .. } = attempt else { return Ok(true) };
        if (settings.is_dead)(&holder)
            && lease.take_from(&holder, now(settings)).await.map_err(failure::kubernetes)?
        {
            return Ok(true);
        }
        let on = match plan(subject, direction, settings).await {
            Ok(plan) if !plan.waiting.is_empty() => {
                format!("{holder}, who is at it: {}", plan.waiting.join("; "))
            }
            _ => format!("{holder}, who is at it"),
        };
        if told.as_ref() != Some(&on) {
            let waiting = EventKind::Waiting { component: "lease".to_owned(), on: on.clone() };
            settings.events.send(settings.clock.wall(), waiting);
            told = Some(on);
        }
        tokio::select! {
            biased;
            () = settings.clock.sleep(FOLLOW) => {}
            () = settings.cancel.cancelled() => return Ok(false),
        }
    }
}

/// Keeps the Lease; stops the run when it is lost: two writers are worse than a run that must be started again.
async fn renew(lease: &mut Lease, settings: &Settings, run: &CancellationToken) -> RunReport {
    let mut held_until = now(settings) + LEASE;
    loop {
        settings.clock.sleep(RENEW).await;
        match lease.acquire(now(settings)).await {
            Ok(Attempt::Held { until }) => held_until = until,
            Ok(Attempt::Taken { holder, .. }) => {
                tracing::warn!(holder, "somebody else has taken the Lease: stopping");
                run.cancel();
            }
            // Nobody can take it before its end, and the management plane may be back by then.
            Err(error) if now(settings) < held_until => {
                tracing::debug!(%error, "the Lease could not be renewed")
            }
            Err(error) => tracing::warn!(%error, "the Lease could not be renewed before its end"),
        }
    }
}

/// Ticks when something in the cluster's namespace changes.
fn changes(subject: &Subject) -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(0);
    let mut changes = subject.plane.mirror().subscribe(None);
    let namespace = subject.names().namespace().to_owned();
    tokio::spawn(async move {
        loop {
            let changed = tokio::select! {
                biased;
                () = sender.closed() => return,
                changed = changes.next() => changed,
            };
            // Namespaces themselves are in none.
            if changed.contains(&namespace) || changed.contains("") {
                sender.send_modify(|count| *count += 1);
            }
        }
    });
    receiver
}
