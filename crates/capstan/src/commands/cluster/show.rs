//! `capstan cluster show`

use capstan_core::documents::ResolvedCluster;
use capstan_core::status::{ConditionStatus, WorkloadClusterStatus};
use serde::Serialize;

use super::NameArg;
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::world::World;

/// A cluster in full.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    name: &'a str,
    namespace: &'a str,
    #[serde(flatten)]
    cluster: &'a ResolvedCluster,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a WorkloadClusterStatus>,
}

pub(super) async fn run(args: &NameArg, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let cluster = world.cluster(&args.name)?;
    let recorded = world.recorded().into_iter().find(|recorded| recorded.name == args.name);
    let status = recorded.as_ref().map(|recorded| &recorded.status);
    let shown =
        Shown { name: cluster.name(), namespace: cluster.names.namespace(), cluster: &cluster, status };
    let document = serde_saphyr::to_string(&cluster.document()).map_err(CommandError::failed)?;
    printer.result(&shown, || {
        format!("{document}{}", status.map(|status| in_words(status, printer)).unwrap_or_default())
    })?;
    Ok(Done::Done)
}

fn in_words(status: &WorkloadClusterStatus, printer: &Printer) -> String {
    let mut lines =
        vec![String::new(), format!("# {}, {} nodes ready, {}", status.phase, status.nodes, status.version)];
    if !status.endpoint.is_empty() {
        lines.push(format!("# API server: {}", status.endpoint));
    }
    for group in &status.groups {
        let (name, ready, desired, new) = (&group.name, group.ready, group.desired, group.up_to_date);
        lines.push(format!("#   {name}: {ready} of {desired} ready, {new} up to date"));
    }
    for condition in &status.conditions {
        let sign = match condition.status {
            ConditionStatus::True => printer.style(Style::Good, "✓"),
            ConditionStatus::False => printer.style(Style::Bad, "✗"),
            ConditionStatus::Unknown => printer.style(Style::Attention, "?"),
        };
        let line =
            format!("# {sign} {}: {} {}", condition.condition_type, condition.reason, condition.message);
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}
