//! Faults of OpenStack's resources: short ways to ask for them, and what the services ask before they do something.
//!
//! They strike whoever makes the request, so the simulated controllers meet them, too.

use super::{Effect, Fault, Faults, Match, Occasion, glob};

/// How a simulated service was told to fail is asked for by these.
impl Faults {
    /// The next server of that name (`*` stands for any characters) ends in ERROR with this message.
    pub fn next_server_fails(&self, name: &str, message: &str) -> u64 {
        self.add(Fault::Server { name: name.to_owned(), message: message.to_owned(), times: Some(1) })
    }

    /// So many requests to a service (all services if none is given) are answered with 429, with `Retry-After` or without.
    pub fn storm(&self, service: Option<&str>, requests: u32, retry_after: Option<u64>) -> u64 {
        let matching = Match { service: service.map(str::to_owned), ..Match::default() }.times(requests);
        self.request(matching, Effect::Fail { status: 429, body: None, retry_after })
    }

    /// Every request to a service (all services if none is given) takes so many seconds of simulated time.
    pub fn slow(&self, service: Option<&str>, seconds: u64) -> u64 {
        let matching = Match { service: service.map(str::to_owned), ..Match::default() }.always();
        self.request(matching, Effect::Slow { seconds })
    }

    /// The fault message if a server of this name is to end in ERROR.
    pub(crate) fn on_server(&self, name: &str) -> Option<String> {
        self.strike(|fault| match fault {
            Fault::Server { name: pattern, message, times } => named(pattern, name, *times, message.clone()),
            _ => None,
        })
    }

    /// Whether no host takes a server of this name.
    pub(crate) fn no_host(&self, name: &str) -> bool {
        let struck = self.strike(|fault| match fault {
            Fault::NoValidHost { name: pattern, times } => named(pattern, name, *times, ()),
            _ => None,
        });
        struck.is_some()
    }

    /// Whether the ports of a server of this name are to be left behind.
    pub(crate) fn ports_leak(&self, name: &str) -> bool {
        if self.lock().leaking.contains(name) {
            return true;
        }
        let struck = self.strike(|fault| match fault {
            Fault::PortLeak { name: pattern, times } => named(pattern, name, *times, ()),
            _ => None,
        });
        if struck.is_some() {
            self.lock().leaking.insert(name.to_owned());
        }
        struck.is_some()
    }

    /// Whether a load balancer of this name is to stay PENDING.
    pub(crate) fn load_balancer_is_stuck(&self, name: &str) -> bool {
        self.lasts(|fault| matches!(fault, Fault::LoadBalancer { name: pattern } if glob(pattern, name)))
    }

    /// Whether a change of a load balancer of this name is to end in ERROR.
    pub(crate) fn load_balancer_fails(&self, name: &str) -> bool {
        let struck = self.strike(|fault| match fault {
            Fault::LoadBalancerError { name: pattern, times } => named(pattern, name, *times, ()),
            _ => None,
        });
        struck.is_some()
    }

    /// Whether a volume or snapshot of this name is to stay in `deleting`.
    pub(crate) fn volume_is_stuck(&self, name: &str) -> bool {
        self.lasts(|fault| matches!(fault, Fault::VolumeDelete { name: pattern } if glob(pattern, name)))
    }

    /// Whether a port is to turn up in a network of this name, and if so, whether it is another project's.
    pub(crate) fn stray_port(&self, network: &str) -> Option<bool> {
        self.strike(|fault| match fault {
            Fault::StrayPort { network: pattern, foreign, times } => {
                named(pattern, network, *times, *foreign)
            }
            _ => None,
        })
    }

    /// Whether another resource of this name is to be made beside it.
    pub(crate) fn has_twin(&self, resource: &str, name: &str) -> bool {
        let struck = self.strike(|fault| match fault {
            Fault::Twin { resource: wanted, name: pattern, times } if wanted == resource => {
                named(pattern, name, *times, ())
            }
            _ => None,
        });
        struck.is_some()
    }

    /// Whether an application credential of this name ends with the request that is being made, and if so, whether it is
    /// removed (else it has expired).
    pub(crate) fn credential_ends(&self, name: &str) -> Option<bool> {
        self.strike(|fault| match fault {
            Fault::Credential { name: pattern, after, revoked } if glob(pattern, name) => {
                Some(Occasion { after: *after, times: None, what: *revoked })
            }
            _ => None,
        })
    }

    /// Whether the catalog lacks a service.
    pub(crate) fn catalog_lacks(&self, service: &str) -> bool {
        self.lasts(|fault| matches!(fault, Fault::Catalog { without } if without == service))
    }

    /// Counts a create that is measured by a limit.
    pub(crate) fn count_create(&self, service: &str, resource: &str) {
        self.strike(|fault| match fault {
            Fault::Quota { service: of, resource: what, after, .. } if of == service && what == resource => {
                Some(Occasion { after: *after, times: None, what: () })
            }
            _ => None,
        });
    }

    /// The limit that stands in for the project's own.
    pub(crate) fn limit(&self, service: &str, resource: &str) -> Option<i64> {
        let inner = self.lock();
        inner.active.values().find_map(|active| match &active.fault {
            Fault::Quota { service: of, resource: what, limit, .. } => {
                (active.struck > 0 && of == service && what == resource).then_some(*limit)
            }
            _ => None,
        })
    }
}

/// An occasion if the name fits.
fn named<T>(pattern: &str, name: &str, times: Option<u32>, what: T) -> Option<Occasion<T>> {
    glob(pattern, name).then_some(Occasion { after: 0, times, what })
}
