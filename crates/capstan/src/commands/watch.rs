//! `capstan watch`

use serde::Serialize;

use super::cluster::{NamesArgs, Row, rows, table_of};
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::world::World;

/// A cluster that changed, for programs.
#[derive(Serialize)]
struct Change<'a> {
    event: &'static str,
    cluster: &'a Row,
}

/// Shows the clusters, then each that changes, until Ctrl-C or `--timeout`.
pub(crate) async fn run(args: &NamesArgs, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    world.folder.select(&args.names)?;
    let mut changes = world.changes();
    let mut shown: Vec<Row> = vec![];
    loop {
        changes.mark_unchanged();
        let wanted = |row: &Row| args.names.is_empty() || args.names.contains(&row.name);
        let now: Vec<Row> = rows(&world).into_iter().filter(wanted).collect();
        for row in now.iter().filter(|row| !shown.iter().any(|known| same(known, row))) {
            let change = Change { event: "cluster", cluster: row };
            printer
                .result(&change, || without_header(&table_of(std::slice::from_ref(row)), shown.is_empty()))?;
        }
        for gone in shown.iter().filter(|known| !now.iter().any(|row| row.name == known.name)) {
            printer.result(&Change { event: "gone", cluster: gone }, || format!("{} is gone", gone.name))?;
        }
        shown = now;
        tokio::select! {
            changed = changes.changed() => changed.map_err(CommandError::failed)?,
            signal = tokio::signal::ctrl_c() => return signal.map(|()| Done::Done).map_err(CommandError::failed),
            () = limit(settings) => return Ok(Done::Done),
        }
    }
}

async fn limit(settings: &Settings) {
    match settings.timeout {
        Some(timeout) => settings.clock().sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Whether two rows say the same but for the age.
fn same(a: &Row, b: &Row) -> bool {
    Row { age: None, ..a.clone() } == Row { age: None, ..b.clone() }
}

fn without_header(table: &str, first: bool) -> String {
    if first { table.to_owned() } else { table.lines().skip(1).collect::<Vec<_>>().join("\n") }
}
