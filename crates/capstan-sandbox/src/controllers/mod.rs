//! Controllers that behave as Cluster API, its kubeadm control plane and its OpenStack provider do.

use crate::World;

/// Starts the controllers: they hook into the clock's queue and into the stores' changes.
pub(crate) fn start(_world: &World) {}
