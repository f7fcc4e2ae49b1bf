//! `capstan up`

use capstan_engine::Direction;
use capstan_management::ManagementPlane;

use super::plan;
use crate::error::{CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::{Printer, Style};
use crate::run;
use crate::settings::Settings;
use crate::world::World;

pub(crate) async fn run(settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let subject = subject(&world);
    if settings.dry_run {
        return plan::conclude(&run::plan(&[subject], &world.clock, settings).await, printer);
    }
    let endings = run::drive(vec![subject], &world.clock, settings, printer).await?;
    printer.result(&endings, String::new)?;
    run::conclude(&endings)?;
    let place = &world.connection().context;
    printer.styled_message(Style::Good, &format!("the management plane `{place}` is ready for the fleet"));
    Ok(Done::Done)
}

/// The management plane as a subject.
pub(crate) fn subject(world: &World) -> run::Subject {
    let fleet = &world.folder.loaded.fleet;
    let components = ManagementPlane::new(world.connection().client.clone(), fleet).components();
    run::Subject {
        name: fleet.metadata.name.clone(),
        work: run::Work::Components(components, world.changes()),
        direction: Direction::Present,
    }
}
