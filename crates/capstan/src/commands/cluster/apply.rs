//! `capstan cluster apply`

use capstan_engine::Direction;

use super::NamesArgs;
use crate::commands::plan;
use crate::error::{CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::run;
use crate::settings::Settings;
use crate::world::World;

pub(super) async fn run(args: &NamesArgs, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    apply_all(&world, &args.names, settings, printer).await
}

/// Makes clusters what their documents say; with `--dry-run`, says what that would be.
pub(crate) async fn apply_all(
    world: &World,
    names: &[String],
    settings: &Settings,
    printer: &Printer,
) -> CommandResult {
    if settings.dry_run {
        let plans = plan::of_clusters(world, names, Direction::Present, settings).await?;
        return plan::conclude(&plans, printer);
    }
    let clusters = world.folder.select(names)?;
    if clusters.is_empty() {
        printer.message("the fleet has no clusters yet: capstan cluster create NAME");
    }
    let subjects = world.subjects(&clusters, Direction::Present).await?;
    let endings = run::drive(subjects, &world.clock, settings, printer).await?;
    printer.result(&endings, String::new)?;
    run::conclude(&endings)?;
    Ok(Done::Done)
}
