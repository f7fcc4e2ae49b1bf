//! One file per command, as the command line has them.

pub(crate) mod cluster;
pub(crate) mod completion;
pub(crate) mod demo;
pub(crate) mod image;
pub(crate) mod init;
mod plan;
mod preflight;
pub(crate) mod sandbox;
pub(crate) mod schema;
mod status;
mod up;
mod watch;

use crate::args::Command;
use crate::error::CommandResult;
use crate::printer::Printer;
use crate::settings::Settings;

/// Runs a command.
pub(crate) async fn run(command: Command, settings: &Settings, printer: &Printer) -> CommandResult {
    match command {
        Command::Demo(args) => demo::run(args, settings, printer).await,
        Command::Sandbox(args) => sandbox::run(args, settings, printer).await,
        Command::Init(args) => init::run(args, settings, printer),
        Command::Preflight(args) => preflight::run(&args, settings, printer).await,
        Command::Plan(args) => plan::run(&args, settings, printer).await,
        Command::Up => up::run(settings, printer).await,
        Command::Status => status::run(settings, printer).await,
        Command::Watch(args) => watch::run(&args, settings, printer).await,
        Command::Cluster(command) => cluster::run(command, settings, printer).await,
        Command::Image(command) => image::run(command, settings, printer).await,
        Command::Schema(args) => schema::run(&args, printer),
        Command::Completion(args) => completion::run(&args, printer),
    }
}
