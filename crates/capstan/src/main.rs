//! `capstan`: turns an OpenStack project into a place that runs Kubernetes clusters.
//!
//! This crate is the rim of the program. It alone reads flags, environment and files of the user, prints, handles
//! signals and chooses exit codes; everything that it does for a command is in the libraries.

mod args;
mod commands;
mod display;
mod error;
mod fleet_folder;
mod printer;
mod prompt;
mod run;
mod settings;
mod table;
mod world;

use std::process::ExitCode;

use crate::args::Args;
use crate::printer::Printer;
use crate::settings::Settings;

fn main() -> ExitCode {
    // One TLS stack for every client of the process. A second installation is the only way in which this fails.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return Printer::plain().usage(&error),
    };
    let settings = match Settings::resolve(&args.global) {
        Ok(settings) => settings,
        Err(error) => return Printer::plain().failure(&error),
    };
    let printer = Printer::new(&settings);
    settings.start_tracing();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return printer.failure(&error::CommandError::failed(error)),
    };
    let outcome = runtime.block_on(commands::run(args.command, &settings, &printer));
    // A thread that waits for an answer on standard input cannot be ended; it must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(done) => done.into(),
        Err(error) => printer.failure(&error),
    }
}
