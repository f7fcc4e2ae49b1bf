//! `cargo xtask soak`: random walks over documents, changes, faults and kills, on the sandbox. It builds the harness
//! with optimisation and runs it; a seed that finds a violation is told with the command that walks it again.

use std::process::Command;

use anyhow::Result;

use crate::run::{cargo, target, visibly};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// This seed alone, with every step and request.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Every flow with every call going wrong in turn, in place of random walks.
    #[arg(long, conflicts_with_all = ["seeds", "from", "seed"])]
    enumerate: bool,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    visibly(&mut cargo(["build", "--quiet", "--profile=soak", "--locked", "--package=capstan-harness"]))?;
    let mut harness = Command::new(target().join("soak/capstan-harness"));
    match arguments.seed {
        _ if arguments.enumerate => harness.arg("--enumerate"),
        Some(seed) => harness.arg(format!("--seed={seed}")),
        None => harness.args([format!("--seeds={}", arguments.seeds), format!("--from={}", arguments.from)]),
    };
    if arguments.keep_going {
        harness.arg("--keep-going");
    }
    visibly(&mut harness)
}
