//! `capstan cluster create`

use capstan_core::names::check_dns_label;

use super::apply_all;
use crate::commands::init::{ClusterShape, cluster_document};
use crate::error::{CommandError, CommandResult};
use crate::fleet_folder::{CLUSTERS, FleetFolder, write_file};
use crate::printer::Printer;
use crate::settings::Settings;
use crate::world::World;

/// The new cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan cluster create web
  capstan cluster create web --control-planes 3 --workers 5 --kubernetes v1.36.1

Run again, it goes on with what is there.")]
pub(crate) struct Args {
    /// Name of the cluster
    #[arg(value_name = "CLUSTER")]
    name: String,
    /// Kubernetes version; by default the fleet's
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// Number of control plane machines: an odd one
    #[arg(long, value_name = "N")]
    control_planes: Option<u32>,
    /// Number of workers
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Flavor of all machines
    #[arg(long)]
    flavor: Option<String>,
}

pub(super) async fn run(args: Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let folder = match folder.loaded.cluster(&args.name) {
        Some(_) if args.says_something() => {
            let error = CommandError::usage(format!("the fleet has a cluster `{}` already", args.name));
            return Err(error.hint(format!("change its document, then: capstan cluster apply {}", args.name)));
        }
        Some(_) => folder,
        None => write(&args, &folder, settings, printer)?,
    };
    let world = World::connect(folder, settings.clock(), settings).await?;
    apply_all(&world, std::slice::from_ref(&args.name), settings, printer).await
}

impl Args {
    const fn says_something(&self) -> bool {
        self.kubernetes.is_some()
            || self.control_planes.is_some()
            || self.workers.is_some()
            || self.flavor.is_some()
    }
}

/// Writes the document, if the fleet can be read with it.
fn write(
    args: &Args,
    folder: &FleetFolder,
    settings: &Settings,
    printer: &Printer,
) -> CommandResult<FleetFolder> {
    // The name becomes a file's name: it is checked before it is used as one.
    check_dns_label(&args.name)
        .map_err(|why| CommandError::usage(format!("`{}` cannot be a cluster's name: {why}", args.name)))?;
    let shape = ClusterShape {
        kubernetes: args.kubernetes.clone(),
        control_planes: args.control_planes,
        workers: args.workers,
        flavor: args.flavor.clone(),
    };
    let file = format!("{CLUSTERS}/{}.yaml", args.name);
    let text = cluster_document(&args.name, &shape);
    let with = folder.with_file(&file, &text)?;
    if !settings.dry_run {
        write_file(&folder.path.join(&file), &text, false)?;
        printer.message(&format!("wrote {file}"));
    }
    Ok(with)
}
