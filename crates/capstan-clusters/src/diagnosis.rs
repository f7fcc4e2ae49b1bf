//! What a cluster waits for, and why something failed: from conditions, Nova's faults and the provider's events, in
//! words that a user can act on.

use std::fmt;
use std::sync::Arc;

use capstan_engine::Failure;
use capstan_kube::conditions::Conditions;
use capstan_kube::{DynamicObject, Kind};

use crate::control_plane::Replicas;
use crate::failure;
use crate::subject::Subject;

/// A machine whose server will never come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedMachine {
    /// Name of the `Machine`.
    pub(crate) name: String,
    /// Uid of the provider's server object.
    pub(crate) uid: String,
    /// Why, in Nova's or the provider's words.
    pub(crate) cause: String,
}

impl fmt::Display for FailedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine `{}`, which failed: {}", self.name, self.cause)
    }
}

/// The machines that the OpenStack provider has given up: it never tries a server in `ERROR` again (its issue #1582).
///
/// # Errors
/// Nova could not be asked for the fault.
pub(crate) async fn failed_machines(subject: &Subject) -> Result<Vec<FailedMachine>, Failure> {
    let mut failed = Vec::new();
    for server in subject.list(&Kind::OPENSTACK_SERVER) {
        let status = &server.data["status"];
        let is_error = status["instanceState"] == "ERROR";
        let message = condition_error(&server);
        if server.metadata.deletion_timestamp.is_some() || !(is_error || message.is_some()) {
            continue;
        }
        let cause = match (message.filter(|message| !message.is_empty()), status["instanceID"].as_str()) {
            (Some(message), _) => message,
            (None, Some(id)) => fault(subject, id).await?,
            (None, None) => "the provider tells no reason".to_owned(),
        };
        failed.push(FailedMachine {
            name: server.metadata.name.clone().unwrap_or_default(),
            uid: server.metadata.uid.clone().unwrap_or_default(),
            cause,
        });
    }
    Ok(failed)
}

/// The message of a server's condition of severity `Error`; empty where only the state says that it failed.
fn condition_error(server: &DynamicObject) -> Option<String> {
    let conditions = server.data["status"]["conditions"].as_array()?;
    let error = conditions.iter().find(|condition| {
        condition["type"] == "InstanceReady"
            && condition["status"] == "False"
            && condition["severity"] == "Error"
    })?;
    Some(error["message"].as_str().unwrap_or_default().to_owned())
}

/// What Nova says of a server in `ERROR`.
async fn fault(subject: &Subject, id: &str) -> Result<String, Failure> {
    let compute = subject.project.cloud().compute().map_err(failure::openstack)?;
    match compute.server(id).await {
        Ok(server) => Ok(server
            .fault
            .map_or_else(|| format!("server {id} is {} without a fault", server.status), |f| f.message)),
        Err(error) if error.is_not_found() => Ok(format!("server {id} is gone")),
        Err(error) => Err(failure::openstack(error)),
    }
}

/// What the first control plane machine waits for.
pub(crate) fn initialising(subject: &Subject) -> String {
    let Some(cluster) = subject.get(&Kind::CLUSTER, subject.names().base()) else {
        return "the Cluster object".to_owned();
    };
    if !cluster.data["status"]["initialization"]["infrastructureProvisioned"].as_bool().unwrap_or_default() {
        return format!("network and API load balancer{}", because(infrastructure(subject)));
    }
    let machines = subject.list(&Kind::MACHINE);
    let Some(first) = machines.iter().find(|machine| is_control_plane(machine)) else {
        return "the first control plane machine".to_owned();
    };
    let name = first.metadata.name.clone().unwrap_or_default();
    if first.data["spec"]["providerID"].as_str().is_none_or(str::is_empty) {
        return format!("server `{name}` to become active{}", because(server_warning(subject, &name)));
    }
    format!("kubeadm to initialise the control plane on `{name}`")
}

/// What a cluster whose machines are not all as wanted waits for: `control-plane 2/3, default 0/2 (why)`.
pub(crate) fn rolling(subject: &Subject) -> String {
    let groups: Vec<_> = subject
        .list(&Kind::KUBEADM_CONTROL_PLANE)
        .into_iter()
        .chain(subject.list(&Kind::MACHINE_DEPLOYMENT))
        .collect();
    let unsettled: Vec<_> = groups
        .iter()
        .map(|group| (group, Replicas::of(group)))
        .filter(|(_, replicas)| !replicas.is_settled())
        .collect();
    let counts: Vec<_> = unsettled
        .iter()
        .map(|(group, replicas)| {
            let name = group.metadata.name.as_deref().unwrap_or_default();
            let short = name.strip_prefix(&format!("{}-", subject.names().base())).unwrap_or(name);
            // Up to date and available: while a rollout is under way, old machines are available, too.
            let done = replicas.up_to_date.min(replicas.available).min(replicas.desired);
            let extra = replicas.existing.saturating_sub(replicas.desired);
            let extra = if extra == 0 { String::new() } else { format!(" and {extra} to go") };
            format!("{short} {done}/{}{extra}", replicas.desired)
        })
        .collect();
    if counts.is_empty() {
        let cluster = subject.get(&Kind::CLUSTER, subject.names().base());
        let why = cluster.and_then(|cluster| {
            Conditions::of(&cluster).find("Available").map(|condition| condition.message.clone())
        });
        return format!("Cluster API to find the cluster available{}", because(why));
    }
    let of_group = || unsettled.iter().find_map(|(group, _)| group_trouble(group));
    let why = machine_trouble(subject).or_else(of_group);
    format!("machines: {}{}", counts.join(", "), because(why))
}

/// Whether Cluster API calls the cluster available.
pub(crate) fn is_available(subject: &Subject) -> bool {
    let cluster = subject.get(&Kind::CLUSTER, subject.names().base());
    cluster.is_some_and(|cluster| Conditions::of(&cluster).is_true("Available"))
}

/// What a cluster that is being deleted waits for.
pub(crate) fn deleting(subject: &Subject) -> String {
    let machines = subject.list(&Kind::MACHINE).len();
    if machines > 0 {
        let going = if machines == 1 { "machine" } else { "machines" };
        return format!("{machines} {going} to be deleted{}", because(machine_trouble(subject)));
    }
    if !subject.list(&Kind::OPENSTACK_CLUSTER).is_empty() {
        return format!("network and API load balancer to be deleted{}", because(infrastructure(subject)));
    }
    "Cluster API to finish the deletion".to_owned()
}

/// Whether a machine is one of the control plane.
pub(crate) fn is_control_plane(machine: &Arc<DynamicObject>) -> bool {
    machine
        .metadata
        .labels
        .as_ref()
        .is_some_and(|labels| labels.contains_key("cluster.x-k8s.io/control-plane"))
}

/// The trouble of the OpenStackCluster, in the provider's words.
fn infrastructure(subject: &Subject) -> Option<String> {
    let cluster = subject.get(&Kind::OPENSTACK_CLUSTER, subject.names().base())?;
    if let Some(message) = cluster.data["status"]["failureMessage"].as_str() {
        return Some(message.to_owned());
    }
    let conditions = cluster.data["status"]["conditions"].as_array()?;
    let bad =
        conditions.iter().filter(|condition| condition["status"] == "False" && condition["type"] != "Ready");
    let message =
        |condition: &serde_json::Value| condition["message"].as_str().unwrap_or_default().to_owned();
    bad.map(message).find(|message| !message.is_empty())
}

/// What keeps the provider from making or deleting a machine, such as a load balancer that lets no member come or go.
fn machine_trouble(subject: &Subject) -> Option<String> {
    let machines = subject.list(&Kind::OPENSTACK_MACHINE);
    machines.iter().find_map(|machine| {
        let conditions = machine.data["status"]["conditions"].as_array()?;
        let grave = |condition: &&serde_json::Value| {
            condition["status"] == "False"
                && matches!(condition["severity"].as_str(), Some("Error" | "Warning"))
        };
        let messages = conditions.iter().filter(grave).filter_map(|condition| condition["message"].as_str());
        messages.map(str::to_owned).find(|message| !message.is_empty())
    })
}

/// The last warning of a machine's server.
fn server_warning(subject: &Subject, name: &str) -> Option<String> {
    let server = subject.get(&Kind::OPENSTACK_SERVER, name)?;
    condition_error(&server).filter(|message| !message.is_empty())
}

/// What a group's controller says about why it isn't done, where it is more than that somebody else isn't, either.
fn group_trouble(group: &DynamicObject) -> Option<String> {
    let conditions = Conditions::of(group);
    TROUBLES
        .iter()
        .filter_map(|kind| conditions.find(kind))
        .filter(|condition| condition.status == capstan_kube::conditions::Status::False)
        .map(|condition| one_line(&condition.message))
        .find(|message| !message.is_empty() && !NOISE.iter().any(|noise| message.contains(noise)))
}

/// Conditions of a group that tell trouble, the gravest first.
const TROUBLES: [&str; 4] =
    ["EtcdClusterHealthy", "ControlPlaneComponentsHealthy", "MachinesReady", "Available"];

/// What these conditions say while everything goes its way.
const NOISE: [&str; 7] = [
    "Waiting for",
    "not yet reported",
    "available replicas, at least",
    "dataSecretCreated",
    "WaitingFor",
    "provisioned is false",
    "Control plane not yet initialized",
];

/// Messages of Cluster API are lists over several lines.
fn one_line(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .map(|line| line.trim().trim_start_matches("* "))
        .filter(|line| !line.is_empty())
        .collect();
    let text = lines.join(", ");
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn because(cause: Option<String>) -> String {
    cause
        .filter(|cause| !cause.is_empty())
        .map(|cause| format!(" ({})", one_line(&cause)))
        .unwrap_or_default()
}
