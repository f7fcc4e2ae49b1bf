//! What happens, as one serialisable stream. Terminal, JSON output, server-sent events and the dashboard are its
//! consumers; only the engine announces.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One thing that happened to one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at: u64,
    /// Whose event it is: the name of a workload cluster or of the fleet.
    pub subject: String,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events. A component's state is announced when it changes, not at each pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A pass begins.
    PassStarted {
        /// Counts from 1.
        pass: u64,
        /// What woke the driver.
        reason: Reason,
    },
    /// A component begins to change the world.
    StepStarted {
        /// The component.
        component: String,
        /// What it is going to do, one line each.
        changes: Vec<String>,
    },
    /// How far a long change has come.
    Progress {
        /// The component.
        component: String,
        /// So much is done.
        done: u64,
        /// Of so much, where it is known.
        total: Option<u64>,
        /// What is counted: `bytes`, `machines`.
        unit: String,
    },
    /// A component waits for somebody else.
    Waiting {
        /// The component.
        component: String,
        /// What it waits for.
        on: String,
    },
    /// A component is as desired.
    StepDone {
        /// The component.
        component: String,
        /// So many changes were applied in this run.
        changes: usize,
        /// Milliseconds since the component was first looked at in this run.
        elapsed: u64,
    },
    /// A component was not looked at, because another one holds it back.
    Held {
        /// The component.
        component: String,
        /// The component that it comes after.
        by: String,
    },
    /// A component needs a person.
    Blocked {
        /// The component.
        component: String,
        /// What is wrong.
        why: String,
        /// The way out.
        hint: String,
    },
    /// Something a user should know, that stops nothing.
    Warned {
        /// The component.
        component: String,
        /// What was noticed.
        message: String,
    },
    /// A component failed.
    Failed {
        /// The component.
        component: String,
        /// The error and its causes, outermost first.
        causes: Vec<String>,
        /// Ways out.
        hints: Vec<String>,
        /// Whether the engine tries again by itself.
        retried: bool,
    },
    /// The run ended.
    Ended {
        /// How.
        how: crate::driver::Ended,
        /// Milliseconds since the run began.
        elapsed: u64,
    },
}

/// What woke the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The first pass of a run.
    Start,
    /// A component asked to be looked at again by now.
    Timer,
    /// Something changed in the world.
    Change,
    /// The pass before changed something itself.
    Progress,
}

/// The sending end of the stream, for one subject. Cheap to clone; a stream that nobody reads costs nothing.
#[derive(Debug, Clone)]
pub struct Events {
    subject: String,
    sender: Option<mpsc::UnboundedSender<Event>>,
}

impl Events {
    /// A stream for `subject`, and its receiving end.
    #[must_use]
    pub fn channel(subject: impl Into<String>) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self::to(subject, sender), receiver)
    }

    /// A stream for `subject` into a receiver that several subjects share.
    #[must_use]
    pub fn to(subject: impl Into<String>, sender: mpsc::UnboundedSender<Event>) -> Self {
        Self { subject: subject.into(), sender: Some(sender) }
    }

    /// A stream that goes nowhere.
    #[must_use]
    pub fn none(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), sender: None }
    }

    /// Announces. A receiver that has gone is no error: the work goes on unwatched.
    pub fn send(&self, wall: SystemTime, kind: EventKind) {
        if let Some(sender) = &self.sender {
            let at = millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default());
            let _ = sender.send(Event { at, subject: self.subject.clone(), kind });
        }
    }
}

/// Whole milliseconds of a duration, for events.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
