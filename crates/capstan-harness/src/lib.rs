//! Every flow that changes the world, under every fault, on the sandbox.
//!
//! A [`Session`] is a user at work in a [`World`]: a sandbox in this process, with strangers' resources that look like
//! the cluster's. Each step is done by a [`Process`], new connections and an empty memory, while a [`Trouble`] is in
//! force: a call that fails or whose answer is lost, a kill, a second runner, a cloud that misbehaves. After each step
//! the invariants hold: the run converges, or stops and says why; nothing is there twice; nothing of a stranger's is
//! touched; a second look plans nothing; after teardown everything is as before; no secret is told.
//!
//! Time is stepped and there are no sockets, so that a run is the same every time: one seed decides ids, latency, order
//! and faults. [`walk()`] goes where chance leads; the tests of this crate enumerate.
//!
//! What this crate never does: it tests no single component, and talks to nothing outside its process.

mod chance;
pub mod enumerate;
mod invariants;
mod process;
mod raw;
mod session;
mod snapshot;
mod spec;
mod strangers;
mod time;
mod trouble;
mod walk;
mod wire;
mod world;

use std::io;

pub use process::{End, Process, Treatment, Why, documents};
pub use session::{Session, Step};
pub use spec::{Change, Spec};
pub use time::run;
pub use trouble::{Trouble, strikes};
pub use walk::{Walked, walk};
pub use wire::{Call, Effect};
pub use world::World;

/// A fleet's folder with the data of an image in it; it goes with the value.
///
/// # Errors
/// There is no room for it.
pub fn folder() -> io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("node.raw"), spec::IMAGE)?;
    Ok(folder)
}
