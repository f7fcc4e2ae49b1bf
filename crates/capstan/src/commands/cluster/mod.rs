//! `capstan cluster`: one file per command.

mod apply;
mod create;
mod delete;
mod kubeconfig;
mod list;
mod plan;
mod scale;
mod show;
mod upgrade;

use clap::Subcommand;

pub(crate) use apply::apply_all;
pub(crate) use delete::delete_all;
pub(crate) use list::{Row, rows, table_of};

use crate::error::CommandResult;
use crate::printer::Printer;
use crate::settings::Settings;

/// The commands about clusters.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the document of a new cluster and make it so
    Create(create::Args),
    /// Make clusters what their documents say
    Apply(NamesArgs),
    /// Say what `apply` would change; exit code 10 if anything
    Plan(plan::Args),
    /// List the clusters of the fleet
    List,
    /// Show a cluster: its document with all defaults, and its status
    Show(NameArg),
    /// Print the administrator's kubeconfig of a cluster, or put it into a file
    Kubeconfig(kubeconfig::Args),
    /// Change the number of machines in the document, then in the cluster
    Scale(scale::Args),
    /// Change the Kubernetes version in the document, then in the cluster
    Upgrade(upgrade::Args),
    /// Take clusters away, with everything that is proven to be their own
    Delete(delete::Args),
}

/// Names of clusters.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct NamesArgs {
    /// Names of clusters; by default all of the fleet
    #[arg(value_name = "CLUSTER")]
    pub(crate) names: Vec<String>,
}

/// The name of a cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct NameArg {
    /// Name of the cluster
    #[arg(value_name = "CLUSTER")]
    pub(crate) name: String,
}

/// Runs a command about clusters.
pub(crate) async fn run(command: Command, settings: &Settings, printer: &Printer) -> CommandResult {
    match command {
        Command::Create(args) => create::run(args, settings, printer).await,
        Command::Apply(args) => apply::run(&args, settings, printer).await,
        Command::Plan(args) => plan::run(&args, settings, printer).await,
        Command::List => list::run(settings, printer).await,
        Command::Show(args) => show::run(&args, settings, printer).await,
        Command::Kubeconfig(args) => kubeconfig::run(&args, settings, printer).await,
        Command::Scale(args) => scale::run(&args, settings, printer).await,
        Command::Upgrade(args) => upgrade::run(&args, settings, printer).await,
        Command::Delete(args) => delete::run(&args, settings, printer).await,
    }
}
