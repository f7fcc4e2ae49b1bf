//! `capstan image`: one file per command.

mod list;
mod prune;
mod register;

use clap::Subcommand;

use crate::error::{CommandError, CommandResult};
use crate::printer::Printer;
use crate::settings::Settings;

/// The commands about images.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the images that nodes start from: the fleet's own, and those that fit the names in the documents
    List(CloudArgs),
    /// Register the image of a Kubernetes version from its source
    Register(register::Args),
    /// Remove the fleet's own images that no cluster uses any more
    Prune(CloudArgs),
}

/// In which cloud.
#[derive(Debug, clap::Args)]
pub(crate) struct CloudArgs {
    /// Entry of `clouds.yaml`; by default the fleet's
    #[arg(long)]
    pub(crate) cloud: Option<String>,
}

/// Runs a command about images.
pub(crate) async fn run(command: Command, settings: &Settings, printer: &Printer) -> CommandResult {
    match command {
        Command::List(args) => list::run(&args, settings, printer).await,
        Command::Register(args) => register::run(&args, settings, printer).await,
        Command::Prune(args) => prune::run(&args, settings, printer).await,
    }
}

/// A failure of a step as the end of a command.
fn from_failure(failure: &capstan_engine::Failure) -> CommandError {
    failure.hints().iter().fold(CommandError::failed(failure.to_string()), |error, hint| error.hint(hint))
}
