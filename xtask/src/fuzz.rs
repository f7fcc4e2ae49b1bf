//! `cargo xtask fuzz`: the targets of `fuzz/`, built once and run two at a time. Inputs that were found stay in
//! `fuzz/corpus` for the next run, those that break something in `fuzz/artifacts`; `fuzz/seeds` is where all begin.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{output, repository, visibly};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these targets.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many run at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Run the one target with this input alone, and show what it says.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// No input of ours needs more: files of fleets and answers are a few kilobytes.
const LONGEST_INPUT: usize = 16 * 1024;

/// How a target's run ended.
struct Ended {
    target: String,
    good: bool,
    stats: Stats,
    time: Duration,
    log: PathBuf,
}

/// What libFuzzer tells at the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stats {
    executions: u64,
    coverage: u64,
    peak_mib: u64,
    /// The input that broke something.
    broken_by: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tools()?;
    let folder = repository().join("fuzz");
    let all = targets(&folder)?;
    for wanted in &arguments.targets {
        ensure!(all.contains(wanted), "there is no target `{wanted}`; there are: {}", all.join(", "));
    }
    let chosen = if arguments.targets.is_empty() { all } else { arguments.targets.clone() };
    let begin = Instant::now();
    let binaries = build(&folder, &chosen)?;
    println!("built in {:.0} s", begin.elapsed().as_secs_f64());
    if let Some(input) = &arguments.input {
        let [target] = chosen.as_slice() else { bail!("`--input` is for one target: name it") };
        return visibly(Command::new(binaries.join(target)).arg(input).env("RUST_BACKTRACE", "1"));
    }
    report(&side_by_side(&folder, &binaries, chosen, arguments)?)
}

/// Whether the tools are there; the error says how to get them.
fn tools() -> Result<()> {
    output(nightly().arg("--version")).context(
        "fuzzing needs a nightly compiler: `rustup toolchain install nightly --profile minimal` installs it",
    )?;
    let fuzz = output(nightly().args(["fuzz", "--version"]));
    fuzz.context("fuzzing needs cargo-fuzz: `cargo install cargo-fuzz --locked` installs it").map(drop)
}

/// `cargo` of the nightly toolchain.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    // What the toolchain of this task has set is not for another one.
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// The names of all targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets")).context("read fuzz/fuzz_targets")? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds, and tells where the programs are. There is no `unsafe` code of ours, so that the address sanitizer would
/// find nothing but take half of the time.
fn build(folder: &Path, chosen: &[String]) -> Result<PathBuf> {
    let mut build = nightly();
    build.args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir"]).arg(folder);
    if let [only] = chosen {
        build.arg(only);
    }
    visibly(build.current_dir(repository()))?;
    let about = output(Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(folder.join("target").join(host).join("release"))
}

fn side_by_side(
    folder: &Path,
    binaries: &Path,
    chosen: Vec<String>,
    arguments: &Arguments,
) -> Result<Vec<Ended>> {
    let queue = Mutex::new(VecDeque::from(chosen));
    let ended = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = one(folder, binaries, &target, arguments.seconds);
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let mut ended =
        ended.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect::<Result<Vec<_>>>()?;
    ended.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(ended)
}

/// Runs one target; what it prints goes into a file.
fn one(folder: &Path, binaries: &Path, target: &str, seconds: u64) -> Result<Ended> {
    let place = |name: &str| folder.join(name).join(target);
    let (corpus, seeds, artifacts) = (place("corpus"), place("seeds"), place("artifacts"));
    for made in [&corpus, &artifacts] {
        std::fs::create_dir_all(made)?;
    }
    let log = artifacts.join("log");
    let file = File::create(&log).with_context(|| format!("write {}", log.display()))?;
    let mut command = Command::new(binaries.join(target));
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={LONGEST_INPUT}"),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-timeout=20".to_owned(),
        "-rss_limit_mb=3000".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    let words = folder.join("dictionaries").join(target);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    command.arg(&corpus).arg(&seeds).env("RUST_BACKTRACE", "1");
    let begin = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("start {target}"))?;
    // What a target prints of an input need not be text.
    let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    Ok(Ended {
        target: target.to_owned(),
        good: status.success(),
        stats: Stats::read(&said),
        time: begin.elapsed(),
        log,
    })
}

impl Stats {
    fn read(log: &str) -> Self {
        let mut stats = Self::default();
        for line in log.lines() {
            let number = |text: &str| text.trim().parse().unwrap_or(0);
            if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
                stats.executions = number(rest);
            } else if let Some(rest) = line.strip_prefix("stat::peak_rss_mb:") {
                stats.peak_mib = number(rest);
            } else if let Some((_, rest)) = line.split_once(" cov: ") {
                stats.coverage = number(rest.split(' ').next().unwrap_or_default());
            } else if let Some((_, rest)) = line.split_once("Test unit written to ") {
                stats.broken_by = Some(rest.trim().to_owned());
            }
        }
        stats
    }
}

fn report(ended: &[Ended]) -> Result<()> {
    println!("\n{:<12} {:>12} {:>9} {:>9} {:>8}", "target", "executions", "per s", "coverage", "MiB");
    let mut broken = Vec::new();
    for Ended { target, good, stats, time, log } in ended {
        let rate = stats.executions as f64 / time.as_secs_f64().max(0.001);
        println!(
            "{target:<12} {:>12} {rate:>9.0} {:>9} {:>8}  {}",
            stats.executions,
            stats.coverage,
            stats.peak_mib,
            if *good { "ok" } else { "BROKEN" }
        );
        if !good {
            broken.push((target, stats, log));
        }
    }
    for (target, stats, log) in &broken {
        let said = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
        let panicked = said.lines().skip_while(|line| !line.contains("panicked at")).take(12);
        println!("\n{target}:\n{}", panicked.collect::<Vec<_>>().join("\n"));
        match &stats.broken_by {
            Some(input) => println!("again: cargo xtask fuzz {target} --input {input}"),
            None => println!("it ended without an input: {}", log.display()),
        }
    }
    ensure!(broken.is_empty(), "{} of {} targets found something", broken.len(), ended.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_says_is_read() {
        let log = "#8\tINITED cov: 120 ft: 300 corp: 3/90b exec/s: 0 rss: 60Mb\n#900\tDONE   cov: 345 ft: 1 corp: 1/1b\n\
                   stat::number_of_executed_units: 900\nstat::peak_rss_mb:              77\n";
        let wanted = Stats { executions: 900, coverage: 345, peak_mib: 77, broken_by: None };
        assert_eq!(Stats::read(log), wanted);
        let broken = Stats::read("artifact_prefix='x/'; Test unit written to x/crash-1\n");
        assert_eq!(broken.broken_by.as_deref(), Some("x/crash-1"));
    }

    #[test]
    fn every_target_has_seeds_and_a_place_in_the_manifest() {
        let folder = repository().join("fuzz");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for target in targets(&folder).unwrap() {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not built");
            let seeds = std::fs::read_dir(folder.join("seeds").join(&target)).unwrap().count();
            assert!(seeds > 0, "{target} begins with nothing");
        }
    }
}
