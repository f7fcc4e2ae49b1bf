//! What goes wrong with API servers, with the webhooks in front of them and the controllers behind them.

use serde::{Deserialize, Serialize};

use super::{Active, Fault, Faults, glob};

/// Something of Kubernetes' that goes wrong. In names and resources `*` stands for any characters; an object is named as
/// `NAMESPACE/NAME`, a resource as `PLURAL.GROUP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
pub enum KubernetesFault {
    /// An API server restarts: its watches are cut, connections to it are closed unanswered, and afterwards it knows
    /// no history, so that a watch cannot go on from a version of before.
    #[serde(rename_all = "camelCase")]
    ApiServer {
        /// `management`, or a workload cluster as `NAMESPACE/NAME`.
        server: String,
        /// How many requests find nobody; all until the fault is removed if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// The webhook that has to be asked about a write cannot be reached.
    #[serde(rename_all = "camelCase")]
    Webhook {
        /// Its name, `validation.cluster.cluster.x-k8s.io`.
        name: String,
        /// How many writes it fails; all if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
    },
    /// A controller does nothing about its objects, or does it late.
    #[serde(rename_all = "camelCase")]
    Controller {
        /// Whose: `openstack*` are CAPO's.
        resource: String,
        /// The object.
        name: String,
        /// How much later it looks, in simulated seconds; never if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A condition is lost and found again, over and over.
    #[serde(rename_all = "camelCase")]
    Condition {
        /// Whose.
        resource: String,
        /// The object.
        name: String,
        /// Type of the condition.
        condition: String,
        /// How long it stays as it is, in simulated seconds.
        seconds: u64,
    },
    /// New objects get a finalizer that nobody takes off.
    #[serde(rename_all = "camelCase")]
    Finalizer {
        /// Whose.
        resource: String,
        /// The object.
        name: String,
        /// The finalizer, `example.com/gone`.
        finalizer: String,
    },
    /// The servers of some machines run, but no Node registers.
    #[serde(rename_all = "camelCase")]
    Node {
        /// Name of the machine.
        machine: String,
    },
}

impl KubernetesFault {
    /// Whether it is about this API server: `management`, or `NAMESPACE/NAME` of a workload cluster.
    pub(crate) fn is_of_server(&self, name: &str) -> bool {
        matches!(self, Self::ApiServer { server, .. } if glob(server, name))
    }

    /// Whether controllers have to look at this object again when the fault comes or goes.
    pub(crate) fn concerns(&self, resource: &str, namespace: &str, name: &str) -> bool {
        match self {
            Self::Controller { resource: wanted, name: object, .. }
            | Self::Condition { resource: wanted, name: object, .. } => {
                glob(wanted, resource) && names(object, namespace, name)
            }
            Self::Node { machine } => resource == "machines.cluster.x-k8s.io" && glob(machine, name),
            Self::ApiServer { server, .. } => {
                resource.ends_with("cluster.x-k8s.io") && glob(server, &format!("{namespace}/{name}"))
            }
            Self::Webhook { .. } | Self::Finalizer { .. } => false,
        }
    }
}

fn names(pattern: &str, namespace: &str, name: &str) -> bool {
    glob(pattern, &format!("{namespace}/{name}"))
}

/// What a controller does about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    /// What it should.
    Full,
    /// It looks so many seconds later.
    Late(u64),
    /// It doesn't look.
    None,
}

impl Active {
    fn of_kubernetes(&self) -> Option<&KubernetesFault> {
        match &self.fault {
            Fault::Kubernetes(fault) => Some(fault),
            _ => None,
        }
    }

    /// An API server that is down; not any more once it has refused as many requests as it should.
    fn keeps_down(&self, server: &str) -> bool {
        let left = match self.of_kubernetes() {
            Some(KubernetesFault::ApiServer { times, .. }) => times.is_none_or(|times| self.struck < times),
            _ => false,
        };
        left && self.of_kubernetes().is_some_and(|fault| fault.is_of_server(server))
    }
}

impl Faults {
    /// An API server restarts, and so many requests find nobody: `management`, or `NAMESPACE/NAME` of a workload cluster.
    pub fn api_server_restarts(&self, server: &str, requests: u32) -> u64 {
        let fault = KubernetesFault::ApiServer { server: server.to_owned(), times: Some(requests) };
        self.add(Fault::Kubernetes(fault))
    }

    /// Whether a request to an API server finds nobody; it is counted.
    pub(super) fn refuses_connections(active: &mut Active, service: &str, path: &str) -> bool {
        let server = match service {
            "kubernetes" => "management".to_owned(),
            "workload" => path.split('/').skip(2).take(2).collect::<Vec<_>>().join("/"),
            _ => return false,
        };
        active.keeps_down(&server) && active.strikes(1, None)
    }

    /// Whether an API server is down, for those who reach it in process.
    pub(crate) fn is_down(&self, server: &str) -> bool {
        self.lock().active.values().any(|active| active.keeps_down(server))
    }

    /// Whether this webhook cannot be reached; it is counted.
    pub(crate) fn on_webhook(&self, webhook: &str) -> bool {
        self.lock().active.values_mut().any(|active| {
            let Some(KubernetesFault::Webhook { name, times }) = active.of_kubernetes() else { return false };
            let times = *times;
            glob(name, webhook) && active.strikes(1, times)
        })
    }

    /// What the controller of a resource does about an object.
    pub(crate) fn attention(&self, resource: &str, namespace: &str, name: &str) -> Attention {
        let inner = self.lock();
        let mut attention = Attention::Full;
        for fault in inner.active.values().filter_map(Active::of_kubernetes) {
            let KubernetesFault::Controller { seconds, .. } = fault else { continue };
            if !fault.concerns(resource, namespace, name) {
                continue;
            }
            match seconds {
                Some(seconds) => attention = Attention::Late(*seconds),
                None => return Attention::None,
            }
        }
        attention
    }

    /// The conditions of an object that flap, each with its seconds.
    pub(crate) fn flapping(&self, resource: &str, namespace: &str, name: &str) -> Vec<(String, u64)> {
        let inner = self.lock();
        let faults = inner.active.values().filter_map(Active::of_kubernetes);
        let concerned = faults.filter(|fault| fault.concerns(resource, namespace, name));
        concerned
            .filter_map(|fault| match fault {
                KubernetesFault::Condition { condition, seconds, .. } => Some((condition.clone(), *seconds)),
                _ => None,
            })
            .collect()
    }

    /// The finalizers that a new object gets.
    pub(crate) fn finalizers(&self, resource: &str, namespace: &str, name: &str) -> Vec<String> {
        let inner = self.lock();
        let faults = inner.active.values().filter_map(Active::of_kubernetes);
        faults
            .filter_map(|fault| match fault {
                KubernetesFault::Finalizer { resource: wanted, name: object, finalizer }
                    if glob(wanted, resource) && names(object, namespace, name) =>
                {
                    Some(finalizer.clone())
                }
                _ => None,
            })
            .collect()
    }

    /// Whether no Node registers for a machine.
    pub(crate) fn lacks_node(&self, machine: &str) -> bool {
        let inner = self.lock();
        let mut faults = inner.active.values().filter_map(Active::of_kubernetes);
        faults.any(
            |fault| matches!(fault, KubernetesFault::Node { machine: pattern } if glob(pattern, machine)),
        )
    }

    /// Whether a fault is in force.
    pub(crate) fn has(&self, fault: &KubernetesFault) -> bool {
        self.lock().active.values().any(|active| active.of_kubernetes() == Some(fault))
    }
}
