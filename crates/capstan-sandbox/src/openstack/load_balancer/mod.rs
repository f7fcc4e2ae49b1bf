//! Octavia: load balancers, listeners, pools, members, health monitors.

mod balancers;
mod health_monitors;
mod listeners;
mod members;
mod pools;
mod routes;

use serde::Serialize;

pub use self::balancers::{LoadBalancer, LoadBalancerCreate, LoadBalancerUpdate};
pub use self::health_monitors::{HealthMonitor, HealthMonitorCreate, HealthMonitorUpdate};
pub use self::listeners::{Listener, ListenerCreate, ListenerUpdate};
pub use self::members::{Member, MemberCreate, MemberUpdate};
pub use self::pools::{Pool, PoolCreate, PoolUpdate};
pub(crate) use self::routes::router;

use super::error::ApiError;
use super::table::Table;
use super::time;
use super::{LOOK_AGAIN, OpenStack};

/// Octavia's state.
#[derive(Default)]
pub struct Octavia {
    pub(crate) balancers: Table<LoadBalancer>,
    pub(crate) listeners: Table<Listener>,
    pub(crate) pools: Table<Pool>,
    pub(crate) members: Table<Member>,
    pub(crate) monitors: Table<HealthMonitor>,
}

/// A reference to another resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// Its id.
    pub id: String,
}

impl Reference {
    fn to(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

/// Attributes that every resource of Octavia has.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Standard {
    /// `ACTIVE`, `PENDING_CREATE`, ...
    pub provisioning_status: String,
    /// `ONLINE`, `OFFLINE`, `NO_MONITOR`.
    pub operating_status: String,
    /// Up or down, as asked for.
    pub admin_state_up: bool,
    /// Owner.
    pub project_id: String,
    /// The owner's old name.
    pub tenant_id: String,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
}

/// What belongs to a load balancer and goes through its states with it.
#[derive(Debug, Clone)]
enum Part {
    Balancer,
    Listener(String),
    Pool(String),
    Member(String),
    Monitor(String),
}

/// What happens to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Create,
    Update,
    Delete,
}

impl OpenStack {
    /// Attributes of something that is made now.
    fn octavia_standard(&self, project_id: &str, up: Option<bool>, tags: Vec<String>) -> Standard {
        Standard {
            provisioning_status: "PENDING_CREATE".to_owned(),
            operating_status: "OFFLINE".to_owned(),
            admin_state_up: up.unwrap_or(true),
            project_id: project_id.to_owned(),
            tenant_id: project_id.to_owned(),
            created_at: time::bare(self.clock.now()),
            updated_at: None,
            tags,
        }
    }

    /// Refuses more than the quota.
    fn octavia_quota(
        &self,
        project_id: &str,
        resource: &str,
        name: &str,
        more: usize,
    ) -> Result<(), ApiError> {
        self.faults.count_create("load-balancer", resource);
        let limit = self.limit(project_id, "load-balancer", resource);
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        if limit < 0 || self.octavia_usage(project_id, resource).saturating_add(more) <= limit {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("Quota has been met for resources: {name}")))
    }

    fn octavia_usage(&self, project_id: &str, resource: &str) -> i64 {
        fn count<T>(items: impl Iterator<Item = T>, owned: impl Fn(&T) -> bool) -> i64 {
            i64::try_from(items.filter(owned).count()).unwrap_or(i64::MAX)
        }
        let of = |standard: &Standard| standard.project_id == project_id;
        let octavia = &self.load_balancer;
        match resource {
            "load_balancer" => count(octavia.balancers.iter(), |each| of(&each.standard)),
            "listener" => count(octavia.listeners.iter(), |each| of(&each.standard)),
            "pool" => count(octavia.pools.iter(), |each| of(&each.standard)),
            "member" => count(octavia.members.iter(), |each| of(&each.standard)),
            "health_monitor" => count(octavia.monitors.iter(), |each| of(&each.standard)),
            _ => 0,
        }
    }

    /// Refuses a change while the load balancer is being changed.
    fn check_mutable(&self, id: &str) -> Result<(), ApiError> {
        let status =
            self.load_balancer.balancers.get(id).map(|each| each.standard.provisioning_status.as_str());
        if status == Some("ACTIVE") {
            return Ok(());
        }
        Err(ApiError::conflict(format!("Load Balancer {id} is immutable and cannot be updated.")))
    }

    /// Starts a change of a part: it and its load balancer are PENDING until it is done.
    fn start_change(&mut self, balancer: &str, part: Part, change: Change) {
        let status = match change {
            Change::Create => "PENDING_CREATE",
            Change::Update => "PENDING_UPDATE",
            Change::Delete => "PENDING_DELETE",
        };
        let whole = matches!(part, Part::Balancer);
        self.set_status(balancer, &Part::Balancer, if whole { status } else { "PENDING_UPDATE" }, None);
        if !whole {
            self.set_status(balancer, &part, status, None);
        }
        let delay = match (whole, change) {
            (true, Change::Create) => self.timings.load_balancer_create,
            (true, Change::Delete) => self.timings.load_balancer_delete,
            _ => self.timings.load_balancer_update,
        };
        let balancer = balancer.to_owned();
        self.clock.after(delay, move |world| world.openstack().finish_change(balancer, part, change));
    }

    fn finish_change(&mut self, balancer: String, part: Part, change: Change) {
        let Some(name) = self.load_balancer.balancers.get(&balancer).map(|each| each.name.clone()) else {
            return;
        };
        if self.faults.load_balancer_is_stuck(&name) {
            self.clock
                .background(LOOK_AGAIN, move |world| world.openstack().finish_change(balancer, part, change));
            return;
        }
        let now = time::bare(self.clock.now());
        if self.faults.load_balancer_fails(&name) {
            self.set_status(&balancer, &part, "ERROR", None);
            self.set_status(&balancer, &Part::Balancer, "ERROR", None);
            return;
        }
        if change == Change::Delete {
            self.remove_part(&balancer, &part);
        } else {
            self.set_status(&balancer, &part, "ACTIVE", Some(&now));
        }
        if !matches!(part, Part::Balancer) {
            self.set_status(&balancer, &Part::Balancer, "ACTIVE", Some(&now));
        }
    }

    fn set_status(&mut self, balancer: &str, part: &Part, status: &str, settled: Option<&str>) {
        let octavia = &mut self.load_balancer;
        let (standard, online) = match part {
            Part::Balancer => (octavia.balancers.get_mut(balancer).map(|each| &mut each.standard), "ONLINE"),
            Part::Listener(id) => (octavia.listeners.get_mut(id).map(|each| &mut each.standard), "ONLINE"),
            Part::Pool(id) => (octavia.pools.get_mut(id).map(|each| &mut each.standard), "ONLINE"),
            Part::Monitor(id) => (octavia.monitors.get_mut(id).map(|each| &mut each.standard), "ONLINE"),
            Part::Member(id) => {
                let monitored = octavia.members.get(id).is_some_and(|member| {
                    octavia
                        .monitors
                        .iter()
                        .any(|monitor| monitor.pools.contains(&Reference::to(&member.pool_id)))
                });
                let status = if monitored { "ONLINE" } else { "NO_MONITOR" };
                (octavia.members.get_mut(id).map(|each| &mut each.standard), status)
            }
        };
        if let Some(standard) = standard {
            status.clone_into(&mut standard.provisioning_status);
            if let Some(now) = settled {
                online.clone_into(&mut standard.operating_status);
                standard.updated_at = Some(now.to_owned());
            }
        }
    }

    /// Takes a part out, with what hangs on it.
    fn remove_part(&mut self, balancer: &str, part: &Part) {
        match part {
            Part::Balancer => self.remove_balancer(balancer),
            Part::Listener(id) => {
                self.load_balancer.listeners.remove(id);
                for pool in self.load_balancer.pools.iter_mut() {
                    pool.listeners.retain(|each| each.id != *id);
                }
            }
            Part::Pool(id) => self.remove_pool(id),
            Part::Member(id) => {
                self.load_balancer.members.remove(id);
            }
            Part::Monitor(id) => {
                self.load_balancer.monitors.remove(id);
            }
        }
    }

    fn remove_pool(&mut self, id: &str) {
        let octavia = &mut self.load_balancer;
        octavia.pools.remove(id);
        let members: Vec<String> =
            octavia.members.iter().filter(|each| each.pool_id == id).map(|each| each.id.clone()).collect();
        for member in members {
            octavia.members.remove(&member);
        }
        let on_it = |monitor: &&HealthMonitor| monitor.pools.contains(&Reference::to(id));
        let monitors: Vec<String> =
            octavia.monitors.iter().filter(on_it).map(|each| each.id.clone()).collect();
        for monitor in monitors {
            octavia.monitors.remove(&monitor);
        }
        for listener in
            octavia.listeners.iter_mut().filter(|each| each.default_pool_id.as_deref() == Some(id))
        {
            listener.default_pool_id = None;
        }
    }

    fn remove_balancer(&mut self, id: &str) {
        let is_of = |references: &[Reference]| references.iter().any(|each| each.id == id);
        let octavia = &self.load_balancer;
        let pools: Vec<String> = octavia
            .pools
            .iter()
            .filter(|each| is_of(&each.loadbalancers))
            .map(|each| each.id.clone())
            .collect();
        let listeners: Vec<String> = octavia
            .listeners
            .iter()
            .filter(|each| is_of(&each.loadbalancers))
            .map(|each| each.id.clone())
            .collect();
        for pool in pools {
            self.remove_pool(&pool);
        }
        for listener in listeners {
            self.load_balancer.listeners.remove(&listener);
        }
        let Some(balancer) = self.load_balancer.balancers.remove(id) else { return };
        if balancer.own_port {
            self.unplug(&balancer.vip_port_id);
        } else {
            self.bind_port(&balancer.vip_port_id, None);
        }
    }
}

/// Octavia's refusal of a value.
fn not_one_of(field: &str, value: &str, choices: &[&str]) -> ApiError {
    ApiError::bad_request(format!(
        "Invalid input for field/attribute {field}. Value: '{value}'. Value should be one of: {}",
        choices.join(", ")
    ))
}

fn check_choice(field: &str, value: &str, choices: &[&str]) -> Result<(), ApiError> {
    if choices.contains(&value) { Ok(()) } else { Err(not_one_of(field, value, choices)) }
}

fn validation(text: &str) -> ApiError {
    ApiError::bad_request(format!("Validation failure: {text}"))
}

/// Octavia's refusal by policy.
fn policy() -> ApiError {
    ApiError::forbidden("Policy does not allow this request to be performed.")
}
