//! What must hold whatever went wrong.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use capstan_core::documents::ResolvedCluster;
use capstan_engine::Direction;
use serde_json::Value;

use crate::process::{Process, Treatment};
use crate::raw::text;
use crate::snapshot::Snapshot;
use crate::spec::Spec;
use crate::world::World;

/// Kinds of which two of one name are a twin, as the snapshot calls them.
const NAMED: [&str; 9] = [
    "servers",
    "server_groups",
    "networks",
    "subnets",
    "routers",
    "security_groups",
    "loadbalancers",
    "images",
    "application_credentials",
];

/// A name that every resource of the cluster has in it.
const BASE: &str = "prod-web";

/// What the cluster's application credentials say of themselves.
const CREDENTIAL: &str = "capstan:fleet=prod capstan:cluster=web";

/// What holds at any time.
pub(crate) async fn always(world: &World) -> Result<Snapshot> {
    let now = Snapshot::of(&world.sandbox).await?;
    let unknown = world.sandbox.requests().unknown;
    ensure!(unknown.is_empty(), "the sandbox doesn't know these routes: {unknown:?}");
    let touched = world.snapshot.differences(&now, |line| line.starts_with("new: "));
    ensure!(touched.is_empty(), "something of a stranger's was touched:\n{}", touched.join("\n"));
    keep_secrets(world, &now)?;
    Ok(now)
}

/// Whether no event tells a secret.
fn keep_secrets(world: &World, now: &Snapshot) -> Result<()> {
    for (_, secret) in now.of_kind("secrets") {
        for value in secret["data"].as_object().into_iter().flatten().map(|(_, value)| text(value)) {
            let decoded = STANDARD.decode(value).unwrap_or_default();
            secret_lines(&String::from_utf8_lossy(&decoded)).for_each(|line| world.trace.add_secret(line));
        }
    }
    let secrets = world.trace.secrets();
    for event in &*world.events.borrow() {
        let told = secrets.iter().find(|secret| secret.len() >= 8 && event.contains(secret.as_str()));
        ensure!(told.is_none(), "an event tells the secret `{}`: {event}", told.cloned().unwrap_or_default());
    }
    Ok(())
}

/// The secret values of a clouds.yaml or kubeconfig.
fn secret_lines(yaml: &str) -> impl Iterator<Item = &str> {
    let keys = ["application_credential_secret:", "token:", "password:", "client-key-data:"];
    yaml.lines().filter_map(move |line| {
        let value = keys.iter().find_map(|key| line.trim().strip_prefix(key))?;
        Some(value.trim().trim_matches(['"', '\'']))
    })
}

/// Whether nothing of the cluster is there twice.
fn no_twins(now: &Snapshot, before: &Snapshot) -> Result<()> {
    let strangers: BTreeSet<&str> =
        NAMED.iter().flat_map(|kind| before.of_kind(kind)).map(|(name, _)| name).collect();
    let mut names: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for kind in NAMED {
        for (_, resource) in now.of_kind(kind).filter(|(name, _)| !strangers.contains(name)) {
            *names.entry((kind, text(&resource["name"]))).or_default() += 1;
        }
    }
    let twins: Vec<_> = names.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twins.is_empty(), "there are twins: {twins:?}");
    Ok(())
}

/// What holds of a cluster that has settled: it is as wanted, nothing is there twice, and another look changes nothing.
pub(crate) async fn settled(world: &World, cluster: &ResolvedCluster, spec: &Spec) -> Result<()> {
    let now = always(world).await?;
    no_twins(&now, &world.snapshot)?;
    let own = |kind| {
        let own = |resource: &Value| {
            let of = |value: &Value| value.as_str().is_some_and(|name| name.starts_with(&format!("{BASE}-")));
            of(&resource["name"])
        };
        now.of_kind(kind)
            .filter(|(name, _)| world.snapshot.of_kind(kind).all(|(known, _)| known != *name))
            .filter(move |(_, resource)| own(resource))
            .count()
    };
    let servers = own("servers");
    ensure!(servers == spec.machines() as usize, "{servers} servers for {} machines", spec.machines());
    let groups = own("server_groups");
    ensure!(groups == spec.server_groups(), "{groups} server groups, {} are wanted", spec.server_groups());
    let credentials = now.of_kind("application_credentials");
    let credentials = credentials.filter(|(_, credential)| credential["description"] == CREDENTIAL).count();
    ensure!(credentials == 1, "{credentials} application credentials");
    let writes = world.sandbox.requests().writes;
    let plan = Process::start(world, Treatment::default()).plan(cluster, Direction::Present).await?;
    let is_quiet = plan.is_empty() && plan.waiting.is_empty() && plan.blocked.is_empty();
    ensure!(is_quiet, "a second look plans something: {plan:?}");
    let more = world.sandbox.requests().writes - writes;
    ensure!(more == 0, "planning wrote {more} times");
    Ok(())
}

/// What holds of a world without the cluster: it is as before.
pub(crate) async fn gone(world: &World) -> Result<()> {
    let now = always(world).await?;
    // The management plane stays prepared: Capstan's namespace, and what the API server puts into each.
    let prepared = |line: &str| line.contains("capstan-system") && !line.contains("leases");
    let image = |line: &str| line.contains("images mine-v1.36.");
    let left = world.snapshot.differences(&now, |line| prepared(line) || image(line));
    ensure!(left.is_empty(), "something is left:\n{}", left.join("\n"));
    let inventory = world.sandbox.inventory().without(&world.before);
    let left: Vec<_> = inventory.resources.iter().filter(|entry| entry.kind != "image").collect();
    ensure!(left.is_empty(), "something is left: {left:?}");
    Ok(())
}

/// What holds when the images are pruned, too.
pub(crate) fn pruned(world: &World) -> Result<()> {
    let left = world.sandbox.inventory().without(&world.before);
    ensure!(left.resources.is_empty(), "after pruning is left:\n{left}");
    Ok(())
}
