//! The engine: **observe the world → a pure plan → apply → a typed status.**
//!
//! A [`Component`] looks after one thing of a *subject* (the management plane, or one workload cluster). It observes
//! that thing, plans purely and applies idempotently. A [pass](pass::Pass) walks a subject's components once, those
//! at the same time that nothing holds back; it never sleeps, because waiting is a value. A [`Driver`] repeats
//! passes on timer, change and signal until the subject is settled, or for ever.
//!
//! What this crate never does: it knows no vendor (no OpenStack, no Kubernetes), keeps no state between processes,
//! has no second path for undo (teardown is the same components with [`Direction::Absent`], walked against the
//! order), prints nothing, and reads no environment.
//!
//! ```text
//! Driver ──▶ Pass ──▶ Component::observe ─▶ plan ─▶ apply ─▶ observe …
//!    ▲         │
//!    │         └──▶ Event ──▶ terminal, JSON, server-sent events, dashboard
//!    └── timer (recheck) · change (watch) · signal (cancel)
//! ```

pub mod clock;
pub mod component;
pub mod driver;
pub mod event;
pub mod failure;
pub mod pass;
pub mod slot;
pub mod verdict;

pub use clock::{Clock, ScaledClock, SystemClock};
pub use component::{Any, Component, Describe, Direction, StepCx, erase};
pub use driver::{Driver, Ended, RunReport, Until};
pub use event::{Event, EventKind, Events};
pub use failure::Failure;
pub use pass::{Outcome, PassReport, StepReport};
pub use slot::Slot;
pub use verdict::Verdict;
