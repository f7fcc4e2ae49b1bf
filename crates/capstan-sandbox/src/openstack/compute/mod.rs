//! Nova: flavors, servers, server groups, keypairs, attachments, limits.

mod attachments;
mod flavors;
mod keypairs;
mod lifecycle;
mod limits;
mod microversion;
mod request;
mod server_groups;
mod server_routes;
mod servers;
mod view;

use axum::Router;
use axum::middleware::from_fn;

pub use self::flavors::Flavor;
pub use self::keypairs::{KeyPair, KeyPairCreate};
pub use self::request::{BlockDevice, NetworkRequest, SchedulerHints, ServerCreate, ServerRequest};
pub use self::server_groups::{ServerGroup, ServerGroupCreate};
pub use self::servers::{Fault, Server};

use super::table::Table;
use crate::World;
use crate::ids::Ids;

/// Hypervisors in each availability zone: as many servers of one hard anti-affinity group as a zone takes.
const HOSTS_PER_ZONE: usize = 10;

/// Nova's state.
pub struct Nova {
    pub(crate) flavors: Vec<Flavor>,
    pub(crate) servers: Table<Server>,
    pub(crate) groups: Table<ServerGroup>,
    pub(crate) keypairs: Table<KeyPair>,
}

impl Nova {
    pub(crate) fn new(ids: &Ids) -> Self {
        Self {
            flavors: flavors::seed(ids),
            servers: Table::default(),
            groups: Table::default(),
            keypairs: Table::default(),
        }
    }
}

pub(crate) fn router() -> Router<World> {
    microversion::router()
        .merge(flavors::router())
        .merge(keypairs::router())
        .merge(server_groups::router())
        .merge(server_routes::router())
        .merge(attachments::router())
        .merge(limits::router())
        .layer(from_fn(microversion::negotiate))
}
