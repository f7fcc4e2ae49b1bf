//! Drives subjects to what is wanted, side by side, with display, deadline and Ctrl-C.

use std::sync::Arc;

use capstan_clusters::run as clusters;
use capstan_core::plan::{Obstacle, Plan};
use capstan_engine::event::Events;
use capstan_engine::pass::{Pass, Planned};
use capstan_engine::{Any, Clock, Direction, Driver, Ended, Outcome, RunReport, Until, Verdict};
use futures::future::join_all;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::display;
use crate::error::{CommandError, CommandResult, ErrorKind};
use crate::printer::{Printer, Style};
use crate::settings::Settings;

/// A subject to drive.
pub(crate) struct Subject {
    /// The name under which it is shown.
    pub(crate) name: String,
    /// What it is.
    pub(crate) work: Work,
    /// Whether it shall be there.
    pub(crate) direction: Direction,
}

/// What a subject is.
pub(crate) enum Work {
    /// A workload cluster: its run is the only writer.
    Cluster(Arc<capstan_clusters::Subject>),
    /// Components, and what ticks when something of them changed.
    Components(Vec<Arc<dyn Any>>, watch::Receiver<u64>),
}

impl Subject {
    /// Leaves only the component of that name.
    pub(crate) fn retain(&mut self, component: &str) {
        let mut components = match &self.work {
            Work::Cluster(cluster) => cluster.components(),
            Work::Components(components, _) => components.clone(),
        };
        components.retain(|known| known.name() == component);
        self.work = Work::Components(components, watch::channel(0).1);
    }
}

/// How a subject's run ended, for programs and for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ending {
    /// The subject.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) ended: Ended,
    /// So many changes were made.
    pub(crate) changes: usize,
    /// What is not as wanted, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remaining: Vec<String>,
    /// Ways out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hints: Vec<String>,
}

/// Drives the subjects until each is settled or cannot go on. One that fails does not stop the others.
pub(crate) async fn drive(
    subjects: Vec<Subject>,
    clock: &Arc<dyn Clock>,
    settings: &Settings,
    printer: &Printer,
) -> CommandResult<Vec<Ending>> {
    let cancel = CancellationToken::new();
    let (sender, receiver) = mpsc::unbounded_channel();
    let shown = display::follow(receiver, settings, printer);
    let runs = subjects.into_iter().map(|subject| {
        let run = clusters::Settings {
            clock: Arc::clone(clock),
            events: Events::to(subject.name.clone(), sender.clone()),
            cancel: cancel.clone(),
            deadline: settings.timeout,
            holder: settings.holder(),
            is_dead: Arc::new(Settings::is_dead),
        };
        drive_one(subject, run)
    });
    let runs = join_all(runs);
    drop(sender);
    let endings = tokio::select! {
        endings = runs => Some(endings),
        () = interrupted_twice(&cancel, printer) => None,
    };
    let Some(endings) = endings else {
        printer.set_live(None);
        return Err(CommandError::interrupted("stopped at once, in the middle of a call").hint(GO_ON));
    };
    // The display ends when the last sender has gone; it only fails if it was ended from elsewhere.
    let _ = shown.await;
    Ok(endings)
}

async fn drive_one(subject: Subject, run: clusters::Settings) -> Ending {
    let Subject { name, work, direction } = subject;
    match work {
        Work::Cluster(cluster) => match clusters::run(&cluster, direction, run).await {
            Ok(report) => ending(name, &report),
            Err(failure) => {
                let (ended, hints) = (Ended::Failed, failure.hints().to_vec());
                Ending { name, ended, changes: 0, remaining: vec![failure.to_string()], hints }
            }
        },
        Work::Components(components, changed) => {
            let clusters::Settings { clock, events, cancel, deadline, .. } = run;
            let driver = Driver { components, direction, clock, events, cancel, changed, deadline };
            ending(name, &driver.run(Until::Settled).await)
        }
    }
}

const GO_ON: &str = "run the same command again: it finds what is there and goes on";

/// Resolves at the second Ctrl-C. The first one asks for an orderly end.
async fn interrupted_twice(cancel: &CancellationToken, printer: &Printer) {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    cancel.cancel();
    let text = "stopping: the call at hand is finished first; Ctrl-C again stops at once";
    printer.styled_message(Style::Attention, text);
    // Who cannot be told of a second signal is left with the orderly end.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn ending(name: String, report: &RunReport) -> Ending {
    let mut remaining = Vec::new();
    let mut hints = Vec::new();
    for step in &report.last.steps {
        let component = step.component;
        match &step.outcome {
            Outcome::Settled => {}
            Outcome::Changed => remaining.push(format!("{component}: more is to be changed")),
            Outcome::Waiting { on, .. } => remaining.push(format!("{component}: waits for {on}")),
            Outcome::Blocked { why, hint } => {
                remaining.push(format!("{component}: {why}"));
                hints.extend((!hint.is_empty()).then(|| hint.clone()));
            }
            Outcome::Failed(failure) => {
                remaining.push(format!("{component}: {failure}"));
                hints.extend(failure.hints().iter().cloned());
            }
            Outcome::Held { by } => remaining.push(format!("{component}: comes after {by}")),
            Outcome::Cancelled => remaining.push(format!("{component}: was stopped")),
        }
    }
    hints.dedup();
    Ending { name, ended: report.ended, changes: report.applied, remaining, hints }
}

/// Turns the ends of all subjects into the end of the command: the worst decides the exit code, all are told.
pub(crate) fn conclude(endings: &[Ending]) -> CommandResult<()> {
    let worst = endings.iter().filter_map(|ending| kind(ending.ended)).max_by_key(|kind| match kind {
        ErrorKind::Interrupted => 4,
        ErrorKind::Failed | ErrorKind::Usage => 3,
        ErrorKind::Blocked => 2,
        ErrorKind::Deadline => 1,
    });
    let Some(worst) = worst else { return Ok(()) };
    let told: Vec<String> = endings
        .iter()
        .filter(|ending| ending.ended != Ended::Settled)
        .map(|ending| {
            let (_, how) = display::ended(ending.ended);
            format!("`{}` is {how}\n    {}", ending.name, telling(&ending.remaining).join("\n    "))
        })
        .collect();
    let text = told.join("\n  ").trim_end().to_owned();
    let mut error = match worst {
        ErrorKind::Interrupted => CommandError::interrupted(text).hint(GO_ON),
        ErrorKind::Deadline => {
            CommandError::deadline(text).hint(format!("the work goes on; to follow it, {GO_ON}"))
        }
        ErrorKind::Blocked => CommandError::blocked(text),
        ErrorKind::Failed | ErrorKind::Usage => CommandError::failed(text),
    };
    for hint in endings.iter().flat_map(|ending| &ending.hints) {
        if !error.hints().contains(hint) {
            error = error.hint(hint);
        }
    }
    Err(error)
}

/// What is left, without the steps that only wait for other steps, as long as there is a better reason.
fn telling(remaining: &[String]) -> Vec<&str> {
    let causes: Vec<&str> =
        remaining.iter().map(String::as_str).filter(|line| !line.contains(": comes after ")).collect();
    if causes.is_empty() { remaining.iter().map(String::as_str).collect() } else { causes }
}

const fn kind(ended: Ended) -> Option<ErrorKind> {
    match ended {
        Ended::Settled => None,
        Ended::Blocked => Some(ErrorKind::Blocked),
        Ended::Failed => Some(ErrorKind::Failed),
        Ended::Deadline => Some(ErrorKind::Deadline),
        Ended::Cancelled => Some(ErrorKind::Interrupted),
    }
}

/// What an apply would do to one subject.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubjectPlan {
    /// The subject.
    pub(crate) name: String,
    /// Its changes and quota, what waits and what is in the way.
    #[serde(flatten)]
    pub(crate) plan: Plan,
    /// Why it could not be made in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

/// Observes and plans, applies nothing. Subjects are looked at side by side.
pub(crate) async fn plan(
    subjects: &[Subject],
    clock: &Arc<dyn Clock>,
    settings: &Settings,
) -> Vec<SubjectPlan> {
    join_all(subjects.iter().map(|subject| plan_one(subject, clock, settings))).await
}

async fn plan_one(subject: &Subject, clock: &Arc<dyn Clock>, settings: &Settings) -> SubjectPlan {
    let name = subject.name.clone();
    let events = Events::none(name.clone());
    let cancel = CancellationToken::new();
    match &subject.work {
        Work::Cluster(cluster) => {
            let run = clusters::Settings {
                clock: Arc::clone(clock),
                events,
                cancel,
                deadline: settings.timeout,
                holder: settings.holder(),
                is_dead: Arc::new(Settings::is_dead),
            };
            match clusters::plan(cluster, subject.direction, &run).await {
                Ok(plan) => SubjectPlan { name, plan, failed: None },
                Err(failure) => {
                    SubjectPlan { name, plan: Plan::default(), failed: Some(failure.to_string()) }
                }
            }
        }
        Work::Components(components, _) => {
            let clock = Arc::clone(clock);
            let pass = Pass { components, direction: subject.direction, clock, cancel, events };
            SubjectPlan { name, plan: collect(pass.plan().await), failed: None }
        }
    }
}

fn collect(planned: Vec<Planned>) -> Plan {
    let mut plan = Plan::default();
    for Planned { component, verdict } in planned {
        match verdict {
            Ok(Verdict::InSync) => {}
            Ok(Verdict::Change(changes)) => plan.changes.extend(changes),
            Ok(Verdict::Waiting { on, .. }) => plan.waiting.push(format!("{component}: {on}")),
            Ok(Verdict::Blocked { why, hint }) => plan.blocked.push(Obstacle { why, hint }),
            Err(failure) => {
                let why = format!("{component}: {failure}");
                plan.blocked.push(Obstacle { why, hint: failure.hints().join("; ") });
            }
        }
    }
    plan
}
