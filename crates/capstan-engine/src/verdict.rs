//! What a component's plan comes to.

use std::time::Duration;

/// The result of comparing what is wanted with what was seen. Planning is pure: the same inputs give the same verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<Change> {
    /// The world is as desired.
    InSync,
    /// These changes, applied in this order, bring it nearer. Never empty.
    Change(Vec<Change>),
    /// Nothing to do but wait for somebody else: a controller, a server that boots.
    Waiting {
        /// What it waits for, in words that a user understands.
        on: String,
        /// When to look again at the latest; a change in the world may wake the driver earlier.
        recheck: Duration,
    },
    /// A person must act; waiting will not help.
    Blocked {
        /// What is wrong.
        why: String,
        /// The way out.
        hint: String,
    },
}

impl<Change> Verdict<Change> {
    /// `Change(changes)`, or `InSync` where there are none.
    #[must_use]
    pub fn from_changes(changes: Vec<Change>) -> Self {
        if changes.is_empty() { Self::InSync } else { Self::Change(changes) }
    }

    /// Waits for `on` and looks again after `seconds` at the latest.
    #[must_use]
    pub fn waiting(on: impl Into<String>, seconds: u64) -> Self {
        Self::Waiting { on: on.into(), recheck: Duration::from_secs(seconds) }
    }

    /// Blocked: `why`, and the way out in `hint`.
    #[must_use]
    pub fn blocked(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Blocked { why: why.into(), hint: hint.into() }
    }
}
