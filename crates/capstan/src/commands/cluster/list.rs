//! `capstan cluster list`

use capstan_core::status::ClusterPhase;
use capstan_engine::event::millis;
use serde::Serialize;

use crate::display::elapsed;
use crate::error::{CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::table::table;
use crate::world::World;

/// A cluster in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Where it is in its life; none where the management plane doesn't know it.
    pub(crate) phase: Option<ClusterPhase>,
    pub(crate) version: String,
    pub(crate) nodes: String,
    pub(crate) endpoint: String,
    /// Seconds since it was asked for.
    pub(crate) age: Option<u64>,
    /// Whether the fleet's folder has a document of it.
    pub(crate) documented: bool,
    /// What the user should know of it: the first condition that doesn't hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

pub(super) async fn run(settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let rows = rows(&world);
    printer.result(&rows, || table_of(&rows))?;
    Ok(Done::Done)
}

/// The clusters of the documents and those that the management plane has, by name.
pub(crate) fn rows(world: &World) -> Vec<Row> {
    let now = jiff::Timestamp::try_from(world.clock.wall()).unwrap_or_default();
    let documents = &world.folder.loaded.clusters;
    let mut rows: Vec<Row> = world
        .recorded()
        .into_iter()
        .map(|recorded| {
            let troubled = recorded.status.conditions.iter().find(|condition| {
                condition.status != capstan_core::status::ConditionStatus::True
                    && !condition.message.is_empty()
            });
            let message = troubled.map(|condition| condition.message.clone()).unwrap_or_default();
            let age = recorded.created.map(|created| now.duration_since(created).as_secs());
            Row {
                documented: documents.iter().any(|cluster| cluster.name() == recorded.name),
                phase: Some(recorded.status.phase),
                version: recorded.status.version,
                nodes: recorded.status.nodes,
                endpoint: recorded.status.endpoint,
                age: age.map(|seconds| u64::try_from(seconds).unwrap_or_default()),
                name: recorded.name,
                message,
            }
        })
        .collect();
    for cluster in documents {
        if !rows.iter().any(|row| row.name == cluster.name()) {
            let (version, nodes, endpoint, message) = Default::default();
            let name = cluster.name().to_owned();
            rows.push(Row {
                name,
                phase: None,
                version,
                nodes,
                endpoint,
                age: None,
                documented: true,
                message,
            });
        }
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// The list for people.
pub(crate) fn table_of(rows: &[Row]) -> String {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    table(
        ["NAME", "PHASE", "VERSION", "NODES", "AGE", "NOTE"],
        rows.iter().map(|row| {
            let note = match (row.phase, row.documented) {
                (None, _) => "not made yet",
                (Some(ClusterPhase::Available), true) => "",
                (_, true) => row.message.as_str(),
                (_, false) => "has no document here",
            };
            [
                row.name.clone(),
                row.phase.map_or_else(|| "-".into(), |phase| phase.to_string()),
                or_dash(&row.version),
                or_dash(&row.nodes),
                row.age
                    .map_or_else(|| "-".into(), |age| elapsed(millis(std::time::Duration::from_secs(age)))),
                note.to_owned(),
            ]
        }),
    )
}
