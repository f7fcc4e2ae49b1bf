//! What goes wrong, how it is put right again, and what a user has to be told of it.

use std::fmt;

use anyhow::{Context as _, Result};
use capstan_sandbox::faults::{Effect, Fault, KubernetesFault, Match, Refusal};
use serde_json::json;

use crate::chance::Chance;
use crate::process::Why;
use crate::raw::{Raw, named};
use crate::snapshot::Snapshot;
use crate::wire;
use crate::world::World;

/// About how many objects a process applies that makes a cluster.
const APPLIES: u32 = 16;

/// Names of the cluster's servers.
const OWN: &str = "prod-web-*";

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// A call of the process, by its number, is treated badly.
    Strike {
        /// Which call.
        nth: u32,
        /// How many in a row.
        times: u32,
        /// How.
        effect: Effect,
    },
    /// The process is killed.
    Kill {
        /// At which call.
        nth: u32,
        /// Whether that call has its effect.
        effect: wire::Effect,
        /// Whether its Lease has to run out before anybody goes on.
        lingers: bool,
    },
    /// Two processes do the same at once.
    Twice,
    /// The next server ends in ERROR.
    Server,
    /// Load balancers stay PENDING.
    Balancer,
    /// The project has no cores left.
    Quota,
    /// It has none left for the second server.
    QuotaMidway,
    /// No host takes the next server.
    NoHost,
    /// The ports of two servers are left behind when they go.
    PortLeak,
    /// The management plane's API server restarts.
    Restart,
    /// A webhook is not reached for some writes.
    Webhook,
    /// CAPO looks half a minute late at everything.
    LateProvider,
    /// Every call takes seconds.
    Slow,
    /// Call after call is refused for the rate.
    Storm,
    /// The cluster's application credential was deleted by somebody.
    Revoked,
    /// Somebody has put a port of a server of their own onto the cluster's network.
    ForeignPort,
    /// Controllers have left a load balancer, a port and a volume of the cluster behind.
    Orphans,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strike { nth, times, effect } => write!(f, "{effect:?} from call {nth}, {times} in a row"),
            Self::Kill { nth, effect, lingers } => {
                let when = if *effect == wire::Effect::Done { "after" } else { "before" };
                write!(f, "killed {when} call {nth}{}", if *lingers { ", unseen" } else { "" })
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl Trouble {
    /// Puts it in force.
    pub(crate) async fn begin(&self, world: &World) -> Result<()> {
        let faults = world.sandbox.faults();
        match self {
            Self::None | Self::Twice | Self::Kill { .. } => {}
            Self::Strike { nth, times, effect } => {
                let mut matching = Match::default().nth(*nth).times(*times);
                // An API server refuses writes so, and nobody else does.
                if matches!(effect, Effect::Refuse { .. }) {
                    matching.nth = 1 + nth % APPLIES;
                    matching.service = Some("kubernetes".to_owned());
                    matching.method = Some("PATCH".to_owned());
                }
                faults.request(matching, effect.clone());
            }
            Self::Server => {
                faults.next_server_fails(OWN, "No valid host was found. There are not enough hosts.");
            }
            Self::Balancer => {
                faults.add(Fault::LoadBalancer { name: "*prod-web-prod-web*".to_owned() });
            }
            Self::Quota => world.sandbox.set_quota("compute", "cores", 4),
            Self::QuotaMidway => {
                let (service, resource) = ("compute".to_owned(), "cores".to_owned());
                faults.add(Fault::Quota { service, resource, after: 1, limit: 4 });
            }
            Self::NoHost => {
                faults.add(Fault::NoValidHost { name: OWN.to_owned(), times: Some(1) });
            }
            Self::PortLeak => {
                faults.add(Fault::PortLeak { name: OWN.to_owned(), times: Some(2) });
            }
            Self::Restart => {
                faults.api_server_restarts("management", 6);
            }
            Self::Webhook => {
                let fault = KubernetesFault::Webhook { name: "*".to_owned(), times: Some(3) };
                faults.add(Fault::Kubernetes(fault));
            }
            Self::LateProvider => {
                let (resource, name) = ("openstack*".to_owned(), "*".to_owned());
                faults.add(Fault::Kubernetes(KubernetesFault::Controller {
                    resource,
                    name,
                    seconds: Some(30),
                }));
            }
            Self::Slow => {
                faults.request(Match::default().always(), Effect::Delay { millis: 3000 });
            }
            Self::Storm => {
                let effect = Effect::Fail { status: 429, body: None, retry_after: Some(3) };
                faults.request(Match::default().nth(40).times(12), effect);
            }
            Self::Revoked => revoke(world).await?,
            Self::ForeignPort => foreign_port(world).await?,
            Self::Orphans => orphans(world).await?,
        }
        Ok(())
    }

    /// Takes its cause away.
    pub(crate) async fn cure(&self, world: &World) -> Result<()> {
        world.sandbox.faults().clear();
        match self {
            Self::Quota | Self::QuotaMidway => world.sandbox.set_quota("compute", "cores", 8000),
            Self::ForeignPort => {
                let raw = Raw::demo(&world.sandbox).await?;
                let ports = raw.get("/network/v2.0/ports").await?;
                if let Ok(port) = named(&ports["ports"], FOREIGN_PORT) {
                    raw.delete(&format!("/network/v2.0/ports/{port}")).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether what the user is told of a run that didn't settle names the cause, and where a person must act the way
    /// out.
    pub(crate) fn is_named(&self, troubles: &[Why]) -> bool {
        let words: &[&str] = match self {
            Self::None
            | Self::Twice
            | Self::Kill { .. }
            | Self::Revoked
            | Self::Orphans
            | Self::PortLeak
            | Self::LateProvider
            | Self::Slow => &[],
            Self::Strike { .. } | Self::Storm | Self::Restart => &[
                "the sandbox cut the connection",
                "answered 5",
                "answered 4",
                "busy (",
                "didn't answer within",
                "was not answered within",
                "can't be reached",
                "no answer",
                "error reading a body",
                "makes no sense",
                "was changed by somebody else",
                "etcdserver",
            ],
            Self::Webhook => &["webhook"],
            Self::Server | Self::NoHost => &["No valid host was found"],
            Self::Balancer => &["load balancer"],
            Self::Quota | Self::QuotaMidway => &["quota", "Quota"],
            Self::ForeignPort => &["what doesn't belong to it", FOREIGN_PORT],
        };
        troubles.iter().any(|why| {
            let causes = why.causes.join(": ");
            words.iter().any(|word| causes.contains(word))
        })
    }

    /// Any trouble that makes sense for a process of about so many calls.
    pub(crate) fn any(chance: &Chance, calls: u64, is_delete: bool) -> Self {
        let nth = u32::try_from(chance.between(1, calls)).unwrap_or(1);
        match chance.between(0, 99) {
            0..=24 => Self::None,
            25..=49 => {
                let times = chance.one_of(&[1, 1, 1, 2, 8]);
                Self::Strike { nth, times, effect: strike(chance) }
            }
            50..=69 => Self::Kill {
                nth,
                effect: chance.one_of(&[wire::Effect::Nothing, wire::Effect::Done]),
                lingers: chance.percent(30),
            },
            70..=76 => Self::Twice,
            77..=79 => Self::Slow,
            80..=83 => Self::Storm,
            84..=90 if is_delete => chance.one_of(&[Self::ForeignPort, Self::Orphans]),
            84..=90 => chance.one_of(&[Self::Server, Self::NoHost, Self::Quota, Self::QuotaMidway]),
            91..=92 => Self::Balancer,
            93..=94 => Self::Revoked,
            _ => chance.one_of(&[Self::PortLeak, Self::Restart, Self::Webhook, Self::LateProvider]),
        }
    }
}

impl Trouble {
    /// The same, but for what only clusters know.
    pub(crate) fn of_up(self) -> Self {
        match self {
            Self::Strike { nth, times, effect } => Self::Strike { nth: 1 + nth % 24, times, effect },
            Self::Kill { nth, effect, lingers } => Self::Kill { nth: 1 + nth % 24, effect, lingers },
            Self::Twice | Self::Slow | Self::Restart => self,
            _ => Self::None,
        }
    }
}

/// The ways in which a single call goes wrong.
#[must_use]
pub fn strikes() -> Vec<Effect> {
    let fail = |status| Effect::Fail { status, body: None, retry_after: None };
    vec![
        fail(503),
        fail(500),
        fail(409),
        Effect::Html { status: 502 },
        Effect::Disconnect,
        Effect::FailAfter { status: 503 },
        Effect::FailAfter { status: 500 },
        Effect::LoseAnswer,
        Effect::CutAnswer,
        Effect::Hang,
        Effect::Refuse { refusal: Refusal::Conflict },
        Effect::Refuse { refusal: Refusal::StoreTimeout },
    ]
}

fn strike(chance: &Chance) -> Effect {
    chance.one_of(&strikes())
}

const FOREIGN_PORT: &str = "a-stranger-in-the-net";

async fn network(raw: &Raw) -> Result<String> {
    let networks = raw.get("/network/v2.0/networks").await?;
    named(&networks["networks"], "k8s-clusterapi-cluster-prod-web-prod-web")
}

async fn foreign_port(world: &World) -> Result<()> {
    let raw = Raw::demo(&world.sandbox).await?;
    let Ok(network) = network(&raw).await else { return Ok(()) };
    let port = json!({"network_id": network, "name": FOREIGN_PORT, "device_id": "somebody",
        "device_owner": "compute:nova"});
    raw.make("/network/v2.0/ports", "port", port).await.map(drop)
}

async fn orphans(world: &World) -> Result<()> {
    let raw = Raw::demo(&world.sandbox).await?;
    let metadata = json!({"cinder.csi.openstack.org/cluster": "prod-web"});
    let volume = json!({"size": 1, "name": "pvc-1", "metadata": metadata});
    raw.make(&format!("/volume/v3/{}/volumes", raw.project), "volume", volume).await?;
    let Ok(network) = network(&raw).await else { return Ok(()) };
    raw.make("/network/v2.0/ports", "port", json!({ "network_id": network })).await?;
    let balancer = json!({"name": "kube_service_prod-web_default_site", "vip_network_id": network,
        "description": "Kubernetes external service default/site from cluster prod-web"});
    raw.make("/load-balancer/v2/lbaas/loadbalancers", "loadbalancer", balancer).await.map(drop)
}

async fn revoke(world: &World) -> Result<()> {
    let raw = Raw::demo(&world.sandbox).await?;
    let snapshot = Snapshot::of(&world.sandbox).await?;
    for (_, credential) in snapshot.of_kind("application_credentials") {
        if credential["description"] == "capstan:fleet=prod capstan:cluster=web" {
            let id = credential["id"].as_str().context("an id")?;
            raw.delete(&format!("/identity/v3/users/{}/application_credentials/{id}", raw.user)).await?;
        }
    }
    Ok(())
}
