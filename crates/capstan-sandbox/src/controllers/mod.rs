//! Controllers that behave as Cluster API, its kubeadm control plane and its OpenStack provider do.
//!
//! Each controller is a function that looks at one object and brings the world one step nearer to it. All of them are driven by
//! one queue, in the order of the changes that they have to look at; it is emptied by an event of the simulated clock, so that
//! a run is the same every time.

mod queue;
mod seed;
pub(crate) mod webhooks;

use crate::World;

pub(crate) use queue::{Origin, Queue};

/// Seeds the management plane. The controllers themselves are woken by changes.
pub(crate) fn start(world: &World) {
    seed::fill(world);
}
mod interest;
fn reconcile(_world: &World, _item: &queue::Item) {}
