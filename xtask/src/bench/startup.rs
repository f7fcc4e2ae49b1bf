//! From the start of the process to the end of `capstan --version`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Figure, median, timed};

const RUNS: usize = 41;

pub(super) fn run(binary: &Path) -> Result<Vec<Figure>> {
    let mut ours = Vec::new();
    let mut nothing = Vec::new();
    for _ in 0..RUNS {
        ours.push(timed(Command::new(binary).arg("--version"))?);
        nothing.push(timed(&mut Command::new("true"))?);
    }
    let (ours, nothing) = (median(ours), median(nothing));
    let mut figure = Figure::new("`capstan --version`, whole process", ours, "ms").at_most(10.0);
    figure.ratio = Some((ours / nothing, "`true`".into()));
    Ok(vec![figure])
}
