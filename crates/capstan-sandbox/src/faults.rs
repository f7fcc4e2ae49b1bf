//! Things that go wrong because somebody asked for it: in process ([`Faults`]) and over HTTP (`/_sandbox/faults`).

mod cloud;
mod kubernetes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

pub(crate) use self::kubernetes::Attention;
pub use self::kubernetes::KubernetesFault;

/// The faults in force; cheap to clone, a leaf lock.
#[derive(Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<Inner>>,
    listener: Arc<OnceLock<Listener>>,
}

/// Told of every fault that comes (`true`) or goes, with no lock held.
type Listener = Box<dyn Fn(&Fault, bool) + Send + Sync>;

#[derive(Default)]
struct Inner {
    next: u64,
    active: BTreeMap<u64, Active>,
    /// Servers whose ports are left behind: Nova and CAPO ask one after the other.
    leaking: BTreeSet<String>,
}

struct Active {
    fault: Fault,
    /// Matching occasions so far.
    seen: u32,
    /// Occasions at which it struck.
    struck: u32,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Fault {
    /// A request is treated badly.
    #[serde(rename_all = "camelCase")]
    Request {
        /// Which requests.
        #[serde(flatten)]
        matching: Match,
        /// What happens to them.
        effect: Effect,
    },
    /// A server ends in ERROR instead of ACTIVE.
    #[serde(rename_all = "camelCase")]
    Server {
        /// Its name; `*` stands for any characters.
        name: String,
        /// Text of its fault.
        message: String,
        /// How many servers; any number if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// No host takes a server: it ends in ERROR before it has a host, ports or volumes.
    #[serde(rename_all = "camelCase")]
    NoValidHost {
        /// Its name; `*` stands for any characters.
        name: String,
        /// How many servers; any number if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// The ports of a server are left behind when it goes: Nova's own, and those that CAPO made for it.
    #[serde(rename_all = "camelCase")]
    PortLeak {
        /// The server's name; `*` stands for any characters.
        name: String,
        /// How many servers; any number if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// A load balancer stays in its PENDING state until the fault is removed.
    #[serde(rename_all = "camelCase")]
    LoadBalancer {
        /// Its name; `*` stands for any characters.
        name: String,
    },
    /// A change of a load balancer (or of a part of it) ends in ERROR instead of ACTIVE.
    #[serde(rename_all = "camelCase")]
    LoadBalancerError {
        /// Its name; `*` stands for any characters.
        name: String,
        /// How many changes; any number if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// A volume or a snapshot stays in `deleting` until the fault is removed.
    #[serde(rename_all = "camelCase")]
    VolumeDelete {
        /// Its name; `*` stands for any characters.
        name: String,
    },
    /// A limit of all projects is another one after some creates: somebody else lowered it, or used it up.
    #[serde(rename_all = "camelCase")]
    Quota {
        /// `compute`, `network`, `volume`, `load-balancer`.
        service: String,
        /// `cores`, `port`, `gigabytes`, ...
        resource: String,
        /// Creates of that kind that are still measured by the old limit.
        #[serde(default)]
        after: u32,
        /// The limit from then on; it may be below what is used.
        #[serde(default)]
        limit: i64,
    },
    /// A port that nobody looks after turns up in a network as soon as that has a subnet. It keeps both from being removed.
    #[serde(rename_all = "camelCase")]
    StrayPort {
        /// The network's name; `*` stands for any characters.
        network: String,
        /// Another project's, else an orphan of the network's own.
        #[serde(default)]
        foreign: bool,
        /// How many networks; any number if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// A second resource of the same name is made beside one: somebody else made it, or a proxy repeated the request.
    #[serde(rename_all = "camelCase")]
    Twin {
        /// What it is: `network`, `router`, `server`, `server_group`, `image`, `volume`, `loadbalancer`, ...
        resource: String,
        /// Its name; `*` stands for any characters.
        name: String,
        /// How many; any number if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// An application credential ends in the middle of the work that is done with it.
    #[serde(rename_all = "camelCase")]
    Credential {
        /// Its name; `*` stands for any characters.
        name: String,
        /// Requests with its tokens that are still answered.
        #[serde(default)]
        after: u32,
        /// Removed by its owner, else expired.
        #[serde(default)]
        revoked: bool,
    },
    /// A service is not in the catalog.
    #[serde(rename_all = "camelCase")]
    Catalog {
        /// `load-balancer`, ...
        without: String,
    },
    /// Something of Kubernetes' goes wrong.
    Kubernetes(KubernetesFault),
}

/// Which requests a fault is for. What isn't given matches anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    /// `compute`, `network`, `kubernetes`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Route template (`/compute/v2.1/servers/{id}`) or path; `*` stands for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The first matching request that it strikes, counted from 1.
    pub nth: u32,
    /// How many it strikes from there on; none given: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Default for Match {
    fn default() -> Self {
        Self { service: None, method: None, route: None, nth: 1, times: Some(1) }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Effect {
    /// Answered with this status before anything happened.
    #[serde(rename_all = "camelCase")]
    Fail {
        /// HTTP status.
        status: u16,
        /// Body; the service's own error shape if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// `Retry-After` in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Answered with this status and an HTML page, as a proxy in front of the service does, before anything happened.
    Html {
        /// HTTP status.
        status: u16,
    },
    /// Done, but the connection is closed instead of an answer.
    LoseAnswer,
    /// The connection is closed before anything happened.
    Disconnect,
    /// Done, but answered with this status.
    FailAfter {
        /// HTTP status.
        status: u16,
    },
    /// Done, but the answer ends in its middle.
    CutAnswer,
    /// Done, but never answered.
    Hang,
    /// Handled after so many milliseconds of wall time.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// Handled after so many seconds of simulated time. With a clock that is stepped by hand it waits for the step.
    Slow {
        /// Seconds.
        seconds: u64,
    },
    /// Refused by an API server before anything happened, in its own words.
    Refuse {
        /// Why.
        refusal: Refusal,
    },
}

/// Why an API server refuses a request that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// Somebody else has written meanwhile, it says (409).
    Conflict,
    /// Its store didn't answer in time (500).
    StoreTimeout,
}

/// A fault in force, with what it has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// Names it, to remove it.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// How often it struck.
    pub struck: u32,
}

impl Match {
    /// Requests of a method to a route template or path.
    #[must_use]
    pub fn route(method: &str, route: &str) -> Self {
        Self { method: Some(method.to_owned()), route: Some(route.to_owned()), ..Self::default() }
    }

    /// From the `nth` matching request on, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { nth, ..self }
    }

    /// So many in a row.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// All from there on.
    #[must_use]
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }

    fn matches(&self, service: &str, method: &str, template: &str, path: &str) -> bool {
        self.service.as_deref().is_none_or(|wanted| wanted == service)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.route.as_deref().is_none_or(|wanted| wanted == template || glob(wanted, path))
    }
}

impl Active {
    /// Counts an occasion and says whether it strikes.
    fn strikes(&mut self, nth: u32, times: Option<u32>) -> bool {
        self.seen += 1;
        let strikes = self.seen >= nth && times.is_none_or(|times| self.seen - nth < times);
        self.struck += u32::from(strikes);
        strikes
    }
}

impl Faults {
    /// Puts a fault in force; its id removes it.
    pub fn add(&self, fault: Fault) -> u64 {
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        inner.active.insert(id, Active { fault: fault.clone(), seen: 0, struck: 0 });
        drop(inner);
        self.tell(&fault, true);
        id
    }

    /// Has every fault that comes or goes from now on told; only the first listener is.
    pub(crate) fn listen(&self, listener: impl Fn(&Fault, bool) + Send + Sync + 'static) {
        // The world is the only one who listens.
        let _ = self.listener.set(Box::new(listener));
    }

    fn tell(&self, fault: &Fault, comes: bool) {
        if let Some(listener) = self.listener.get() {
            listener(fault, comes);
        }
    }

    /// A request fault.
    pub fn request(&self, matching: Match, effect: Effect) -> u64 {
        self.add(Fault::Request { matching, effect })
    }

    /// The faults in force and what they have done.
    #[must_use]
    pub fn list(&self) -> Vec<FaultReport> {
        let inner = self.lock();
        let report = |(id, active): (&u64, &Active)| FaultReport {
            id: *id,
            fault: active.fault.clone(),
            struck: active.struck,
        };
        inner.active.iter().map(report).collect()
    }

    /// Takes one away; false if there is none of that id.
    pub fn remove(&self, id: u64) -> bool {
        let removed = self.lock().active.remove(&id);
        if let Some(active) = &removed {
            self.tell(&active.fault, false);
        }
        removed.is_some()
    }

    /// Takes all away.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.leaking.clear();
        let removed = std::mem::take(&mut inner.active);
        drop(inner);
        removed.values().for_each(|active| self.tell(&active.fault, false));
    }

    /// What happens to this request: every fault that strikes, in the order in which they were added.
    pub(crate) fn on_request(&self, service: &str, method: &str, template: &str, path: &str) -> Vec<Effect> {
        let mut inner = self.lock();
        let mut effects = Vec::new();
        for active in inner.active.values_mut() {
            if Self::refuses_connections(active, service, path) {
                effects.push(Effect::Disconnect);
            }
            let Fault::Request { matching, effect } = &active.fault else { continue };
            if !matching.matches(service, method, template, path) {
                continue;
            }
            let (nth, times, effect) = (matching.nth, matching.times, effect.clone());
            if active.strikes(nth, times) {
                effects.push(effect);
            }
        }
        effects
    }

    /// Counts an occasion of the first fault that `pick` takes and that strikes, and gives what it says.
    fn strike<T>(&self, pick: impl Fn(&Fault) -> Option<Occasion<T>>) -> Option<T> {
        let mut inner = self.lock();
        inner.active.values_mut().find_map(|active| {
            let Occasion { after, times, what } = pick(&active.fault)?;
            active.strikes(after + 1, times).then_some(what)
        })
    }

    /// Whether a fault for which `pick` holds is in force: one that lasts.
    fn lasts(&self, pick: impl Fn(&Fault) -> bool) -> bool {
        let mut inner = self.lock();
        let Some(active) = inner.active.values_mut().find(|active| pick(&active.fault)) else { return false };
        active.struck = active.struck.max(1);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a fault strikes, and what it says then.
struct Occasion<T> {
    /// Occasions that it lets pass.
    after: u32,
    /// How many it strikes from there on; none given: all.
    times: Option<u32>,
    what: T,
}

/// `*` in the pattern stands for any characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_any_characters() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_request_fault_strikes_from_the_nth_call_so_many_times() {
        let faults = Faults::default();
        let matching = Match::route("POST", "/compute/v2.1/servers").nth(2).times(2);
        let id = faults.request(matching, Effect::LoseAnswer);
        let strikes = || {
            let path = "/compute/v2.1/servers";
            faults.on_request("compute", "POST", path, path).len()
        };
        assert_eq!([strikes(), strikes(), strikes(), strikes()], [0, 1, 1, 0]);
        assert_eq!(faults.list()[0].struck, 2);
        assert!(faults.remove(id) && faults.list().is_empty());
    }

    #[test]
    fn only_the_named_server_fails() {
        let faults = Faults::default();
        faults.next_server_fails("prod-web-*", "No valid host was found.");
        assert_eq!(faults.on_server("other"), None);
        assert_eq!(faults.on_server("prod-web-1").as_deref(), Some("No valid host was found."));
        assert_eq!(faults.on_server("prod-web-2"), None);
    }
}
