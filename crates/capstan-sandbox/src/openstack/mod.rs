//! The simulated OpenStack cloud.

use axum::Router;

use crate::World;
use crate::clock::Clock;
use crate::config::Config;
use crate::faults::Faults;
use crate::ids::Ids;

/// The state of the cloud.
pub struct OpenStack {
    #[expect(dead_code, reason = "first frame")]
    clock: Clock,
    #[expect(dead_code, reason = "first frame")]
    ids: Ids,
    #[expect(dead_code, reason = "first frame")]
    faults: Faults,
}

impl OpenStack {
    pub(crate) fn new(_config: &Config, clock: Clock, ids: Ids, faults: Faults) -> Self {
        Self { clock, ids, faults }
    }
}

/// Routes of all services; paths are whole.
pub(crate) fn router(_world: &World) -> Router<World> {
    Router::new()
}
