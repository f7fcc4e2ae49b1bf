//! `cargo xtask bench NAME`: figures of the release binary. Whole processes are run again and again and the median
//! is told, because that is what a person waits for; what is compared runs alternately, in the same minutes.

mod clusters;
mod plan;
mod render;
mod requests;
mod sandboxed;
mod size;
mod startup;
mod upload;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{cargo, target, visibly};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which ones; all without a name.
    names: Vec<String>,
    /// Another binary than the release build of this tree.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// One line of a result.
pub(crate) struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    /// What it may be at most, or has to be at least.
    limit: Option<Limit>,
    /// How it stands to something else that was measured in the same run.
    ratio: Option<(f64, String)>,
}

/// What a figure is held to.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, limit: None, ratio: None }
    }

    fn at_most(mut self, limit: f64) -> Self {
        self.limit = Some(Limit::AtMost(limit));
        self
    }

    fn at_least(mut self, limit: f64) -> Self {
        self.limit = Some(Limit::AtLeast(limit));
        self
    }

    fn holds(&self) -> bool {
        match self.limit {
            None => true,
            Some(Limit::AtMost(limit)) => self.value <= limit,
            Some(Limit::AtLeast(limit)) => self.value >= limit,
        }
    }

    /// A row of a Markdown table.
    fn row(&self) -> String {
        let limit = match self.limit {
            None => String::new(),
            Some(Limit::AtMost(limit)) => format!("≤ {limit} {}", self.unit),
            Some(Limit::AtLeast(limit)) => format!("≥ {limit} {}", self.unit),
        };
        let ratio = self.ratio.as_ref().map_or(String::new(), |(ratio, to)| format!("{ratio:.2} × {to}"));
        let verdict = if self.holds() { "" } else { " **missed**" };
        format!("| {} | {:.1} {}{verdict} | {limit} | {ratio} |", self.what, self.value, self.unit)
    }
}

struct Bench {
    name: &'static str,
    run: fn(&Path) -> Result<Vec<Figure>>,
}

const BENCHES: &[Bench] = &[
    Bench { name: "startup", run: startup::run },
    Bench { name: "size", run: size::run },
    Bench { name: "render", run: render::run },
    Bench { name: "plan", run: plan::run },
    Bench { name: "upload", run: upload::run },
    Bench { name: "sandbox", run: requests::run },
    Bench { name: "clusters", run: clusters::run },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
    for name in &arguments.names {
        ensure!(known.contains(&name.as_str()), "no benchmark `{name}`; there are {}", known.join(", "));
    }
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => release()?,
    };
    println!("| figure | value | limit | ratio |\n|---|---|---|---|");
    let mut missed = Vec::new();
    for bench in BENCHES {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|name| name == bench.name) {
            continue;
        }
        for figure in (bench.run)(&binary).with_context(|| format!("benchmark `{}`", bench.name))? {
            println!("{}", figure.row());
            if !figure.holds() {
                missed.push(figure.what);
            }
        }
    }
    if !missed.is_empty() {
        bail!("over the limit: {}", missed.join(", "));
    }
    Ok(())
}

/// Builds the release binary and tells where it is.
fn release() -> Result<PathBuf> {
    visibly(&mut cargo(["build", "--quiet", "--release", "--locked", "--package", "capstan-cli"]))?;
    Ok(target().join("release/capstan"))
}

/// Runs a command once and tells how long the whole process took.
fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status =
        command.status().with_context(|| format!("start {}", command.get_program().to_string_lossy()))?;
    ensure!(status.success(), "{} ended with {status}", command.get_program().to_string_lossy());
    Ok(begin.elapsed())
}

/// The middle of some durations, in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_slow_run() {
        let times = [3, 1, 500, 2, 4].map(Duration::from_millis).to_vec();
        assert!((median(times) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_figure_over_its_limit_says_so() {
        let figure = Figure::new("size", 41.0, "MiB").at_most(40.0);
        assert!(!figure.holds());
        assert_eq!(figure.row(), "| size | 41.0 MiB **missed** | ≤ 40 MiB |  |");
        assert!(Figure::new("rate", 9.0, "1/s").at_least(9.0).holds());
        assert!(!Figure::new("rate", 8.0, "1/s").at_least(9.0).holds());
    }
}
