//! `capstan status`

use serde::Serialize;

use super::cluster::{Row, rows, table_of};
use super::{plan, up};
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::{Printer, Style};
use crate::run;
use crate::settings::Settings;
use crate::world::World;

/// The fleet at a glance.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    fleet: String,
    management: Management,
    clusters: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Management {
    context: String,
    server: String,
    version: String,
    /// What is missing or too old.
    problems: Vec<String>,
    /// What `up` would do.
    pending: Vec<String>,
}

pub(crate) async fn run(settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let plans = run::plan(&[up::subject(&world)], &world.clock, settings).await;
    let plan = plans.into_iter().next().map(|plan| plan.plan).unwrap_or_default();
    let connection = world.connection();
    let status = Status {
        fleet: world.folder.loaded.name().to_owned(),
        management: Management {
            context: connection.context.clone(),
            server: connection.server.clone(),
            version: world.server_version.clone(),
            problems: plan
                .blocked
                .iter()
                .map(|obstacle| obstacle.why.clone())
                .chain(plan.waiting.clone())
                .collect(),
            pending: plan
                .changes
                .iter()
                .map(|change| format!("{} {}", change.class.verb(), change.object))
                .collect(),
        },
        clusters: rows(&world),
    };
    printer.result(&status, || shown(&status, printer))?;
    if status.management.problems.is_empty() {
        return Ok(Done::Done);
    }
    let error = CommandError::blocked("the management plane is not ready");
    Err(plan::with_hints(error, &plan))
}

fn shown(status: &Status, printer: &Printer) -> String {
    let plane = &status.management;
    let mut lines = vec![format!(
        "{}  {} ({}, {})",
        printer.style(Style::Strong, &status.fleet),
        plane.context,
        plane.server,
        plane.version
    )];
    lines.extend(
        plane.problems.iter().map(|problem| format!("  {} {problem}", printer.style(Style::Bad, "✗"))),
    );
    if !plane.pending.is_empty() {
        lines.push(format!(
            "  {} capstan up would {}",
            printer.style(Style::Active, "~"),
            plane.pending.join(", ")
        ));
    }
    if plane.problems.is_empty() && plane.pending.is_empty() {
        lines.push(format!("  {} management plane ready", printer.style(Style::Good, "✓")));
    }
    lines.push(String::new());
    lines.push(if status.clusters.is_empty() { "no clusters".into() } else { table_of(&status.clusters) });
    lines.join("\n")
}
