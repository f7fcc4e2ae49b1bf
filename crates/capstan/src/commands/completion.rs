//! `capstan completion`

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::error::{CommandResult, Done};
use crate::printer::Printer;

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  capstan completion bash > ~/.local/share/bash-completion/completions/capstan"
)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> CommandResult {
    let mut script = Vec::new();
    generate(args.shell, &mut crate::args::Args::command(), "capstan", &mut script);
    printer.text(&String::from_utf8_lossy(&script))?;
    Ok(Done::Done)
}
