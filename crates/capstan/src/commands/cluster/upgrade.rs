//! `capstan cluster upgrade`

use capstan_core::documents::PathPart::Key;
use capstan_core::documents::set_text;
use capstan_core::versions::{KubernetesVersion, upgrade_step};

use super::apply_all;
use crate::error::{CommandError, CommandResult};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::world::World;

/// To which version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan cluster upgrade web 1.36        the newest patch of 1.36 with a published image
  capstan cluster upgrade web v1.36.1

The control plane goes first, then the node groups, one machine after another.")]
pub(crate) struct Args {
    /// Name of the cluster
    #[arg(value_name = "CLUSTER")]
    name: String,
    /// Kubernetes version
    #[arg(value_name = "VERSION")]
    version: KubernetesVersion,
}

pub(super) async fn run(args: &Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    // What the document says may be ahead of what runs; that is looked at again before anything is changed.
    let from = folder.cluster(&args.name)?.spec.kubernetes.version;
    upgrade_step(&from, &args.version).map_err(CommandError::usage)?;
    let version = match args.version.patch() {
        Some(_) => args.version.to_string(),
        None => args.version.to_string().trim_start_matches('v').to_owned(),
    };
    let folder = folder.edit(&args.name, settings, printer, |text| {
        let path = [Key("spec"), Key("kubernetes"), Key("version")];
        set_text(&text, &args.name, &path, &version).map_err(CommandError::usage)
    })?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    apply_all(&world, std::slice::from_ref(&args.name), settings, printer).await
}
