//! stub
use super::queue::{Item, Origin};
use crate::World;
use crate::kubernetes::store::Event;
/// x
pub(crate) fn of_change(_world: &World, _origin: &Origin, _event: &Event, _push: &mut dyn FnMut(Item)) {}
