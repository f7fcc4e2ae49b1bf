//! `capstan cluster plan`

use capstan_engine::Direction;

use crate::commands::plan;
use crate::error::CommandResult;
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::world::World;

/// Of what to make a plan.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of clusters; by default all of the fleet
    #[arg(value_name = "CLUSTER")]
    names: Vec<String>,
    /// Say what `delete` would take away
    #[arg(long)]
    delete: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let direction = if args.delete { Direction::Absent } else { Direction::Present };
    plan::conclude(&plan::of_clusters(&world, &args.names, direction, settings).await?, printer)
}
