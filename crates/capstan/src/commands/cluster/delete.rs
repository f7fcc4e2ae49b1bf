//! `capstan cluster delete`

use capstan_core::documents::ResolvedCluster;
use capstan_engine::Direction;

use crate::commands::plan;
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::prompt::Prompt;
use crate::run;
use crate::settings::Settings;
use crate::world::World;

/// What to delete.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan cluster delete web
  capstan cluster delete web --dry-run      what would go
  capstan cluster delete web --yes          without typing the name

The document stays, and with it the wish: remove it, or `apply` makes the cluster anew.
Run again, it finishes what is left and does no harm.")]
pub(crate) struct Args {
    /// Names of clusters
    #[arg(value_name = "CLUSTER", required = true)]
    names: Vec<String>,
}

pub(super) async fn run(args: &Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    delete_all(&world, &args.names, settings, printer).await
}

/// Deletes clusters after their names were typed; with `--dry-run`, says what would go.
pub(crate) async fn delete_all(
    world: &World,
    names: &[String],
    settings: &Settings,
    printer: &Printer,
) -> CommandResult {
    let clusters = names.iter().map(|name| world.cluster(name)).collect::<CommandResult<Vec<_>>>()?;
    if settings.dry_run {
        let subjects = world.subjects(&clusters.iter().collect::<Vec<_>>(), Direction::Absent).await?;
        return plan::conclude(&run::plan(&subjects, &world.clock, settings).await, printer);
    }
    for cluster in &clusters {
        check_protection(cluster)?;
    }
    let prompt = Prompt::new(settings, printer);
    for cluster in &clusters {
        let what = format!(
            "The cluster `{}` goes, with the load balancers and volumes of its users.",
            cluster.name()
        );
        prompt.typed_name(&what, cluster.name())?;
    }
    let subjects = world.subjects(&clusters.iter().collect::<Vec<_>>(), Direction::Absent).await?;
    let endings = run::drive(subjects, &world.clock, settings, printer).await?;
    printer.result(&endings, String::new)?;
    run::conclude(&endings)?;
    for cluster in clusters.iter().filter(|cluster| !cluster.file.is_empty()) {
        printer.message(&format!("`{}` is gone; its document stays: {}", cluster.name(), cluster.file));
    }
    Ok(Done::Done)
}

fn check_protection(cluster: &ResolvedCluster) -> CommandResult<()> {
    if !cluster.spec.deletion_protection {
        return Ok(());
    }
    let place = if cluster.file.is_empty() { "its document" } else { cluster.file.as_str() };
    Err(CommandError::blocked(format!("the cluster `{}` is protected", cluster.name()))
        .hint(format!("set `deletionProtection: false` in {place} first")))
}
