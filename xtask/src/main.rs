//! Tasks of the repository, run as `cargo xtask TASK`; one file per task.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for the terminal of a developer")]

mod bench;
mod codegen;
mod fuzz;
mod real;
mod run;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that has to hold before a change lands: format, lints, house rules, tests, documentation.
    Test(test::Arguments),
    /// The house rules: direction of dependencies, sizes, texts, one TLS stack.
    Tidy,
    /// Writes the generated files anew.
    Codegen(codegen::Arguments),
    /// Measures the release binary.
    Bench(bench::Arguments),
    /// Feeds what is read from people and networks with what nobody would write.
    Fuzz(fuzz::Arguments),
    /// Runs the main job on a real OpenStack with the real Cluster API (root, Debian 12).
    Real(real::Arguments),
    /// Random walks over documents, changes, faults and kills on the sandbox.
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Codegen(arguments) => codegen::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Real(arguments) => real::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
