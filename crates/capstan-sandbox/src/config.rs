//! How a sandbox is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Speed;

/// How a sandbox is set up. `Config::default()` listens on a free port of 127.0.0.1 and runs at [`Speed::Max`].
#[derive(Debug, Clone)]
pub struct Config {
    /// How simulated time passes.
    pub speed: Speed,
    /// Seed of every random id.
    pub seed: u64,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Calendar time at the start; the machine's if none is given. Give one where results are compared.
    pub start: Option<Timestamp>,
    /// Simulated time after which a token is refused.
    pub token_lifetime: Duration,
    /// How long the cloud takes for what it does.
    pub timings: Timings,
    /// Workload clusters behave as if the OpenStack cloud controller manager and Cinder CSI ran in them. False: only where a
    /// DaemonSet `openstack-cloud-controller-manager` is in `kube-system`; without it a control plane stays at one machine.
    pub assume_cloud_controller: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            speed: Speed::Max,
            seed: 0,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            start: None,
            token_lifetime: Duration::from_secs(3600),
            timings: Timings::default(),
            assume_cloud_controller: true,
        }
    }
}

/// Simulated durations of OpenStack's transitions.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Server: BUILD to ACTIVE.
    pub server_build: Duration,
    /// Server: delete accepted to gone.
    pub server_delete: Duration,
    /// Server: stop and start.
    pub server_power: Duration,
    /// Volume: creating to available, attaching to in-use, deleting to gone.
    pub volume: Duration,
    /// What copying an image into a volume adds.
    pub volume_from_image: Duration,
    /// Load balancer: PENDING_CREATE to ACTIVE.
    pub load_balancer_create: Duration,
    /// Load balancer: PENDING_UPDATE to ACTIVE (listeners, pools, members, monitors).
    pub load_balancer_update: Duration,
    /// Load balancer: PENDING_DELETE to gone.
    pub load_balancer_delete: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            server_build: seconds(20),
            server_delete: seconds(5),
            server_power: seconds(5),
            volume: seconds(2),
            volume_from_image: seconds(15),
            load_balancer_create: seconds(40),
            load_balancer_update: seconds(3),
            load_balancer_delete: seconds(5),
        }
    }
}
