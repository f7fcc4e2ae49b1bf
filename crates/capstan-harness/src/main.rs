//! Walks seeds until they are done or one finds a violation: what `cargo xtask soak` runs.
#![allow(clippy::print_stdout, reason = "a command for the terminal of a developer")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use capstan_harness::enumerate::{Case, Flow, check, everything};
use capstan_harness::{Walked, folder, walk};
use clap::Parser;

/// Random walks over documents, changes, faults and kills.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// This seed alone, with every step and request.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many at once; as many as there are cores if it isn't said.
    #[arg(long)]
    workers: Option<usize>,
    /// Every flow with every call going wrong in turn, in place of random walks.
    #[arg(long, conflicts_with_all = ["seeds", "from", "seed"])]
    enumerate: bool,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
}

/// How often is told how far it is.
const TELL: u64 = 500;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder = folder()?;
    if let Some(seed) = arguments.seed {
        let walked = walked(seed, folder.path());
        walked.told.iter().for_each(|line| println!("{line}"));
        walked.calls.iter().for_each(|call| println!("{call}"));
        return Ok(match walked.violation {
            Some(violation) => {
                println!("seed {seed}: {violation:#}");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        });
    }
    let begin = Instant::now();
    let mut cases = Vec::new();
    if arguments.enumerate {
        for flow in Flow::all() {
            cases.extend(everything(flow, folder.path())?);
        }
    }
    let (from, count) =
        if arguments.enumerate { (0, cases.len() as u64) } else { (arguments.from, arguments.seeds) };
    let soak = Soak {
        cases,
        from,
        next: AtomicU64::new(from),
        end: from + count,
        steps: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        violations: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        keep_going: arguments.keep_going,
        begin,
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..arguments.workers.unwrap_or(cores) {
            scope.spawn(|| soak.work(folder.path()));
        }
    });
    soak.conclude()
}

/// What the workers share.
struct Soak {
    /// What is enumerated; empty on random walks.
    cases: Vec<Case>,
    from: u64,
    next: AtomicU64,
    end: u64,
    steps: AtomicU64,
    calls: AtomicU64,
    violations: AtomicU64,
    stop: AtomicBool,
    keep_going: bool,
    begin: Instant,
}

impl Soak {
    fn work(&self, folder: &Path) {
        while !self.stop.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let case = usize::try_from(seed).ok().and_then(|index| self.cases.get(index));
            let walked = match case {
                Some(case) => caught(|| check(case, folder)),
                None => walked(seed, folder),
            };
            self.steps.fetch_add(walked.told.len() as u64, Ordering::Relaxed);
            self.calls.fetch_add(walked.calls.len() as u64, Ordering::Relaxed);
            if let Some(violation) = &walked.violation {
                self.violations.fetch_add(1, Ordering::Relaxed);
                let told = walked.told.join("\n  ");
                match case {
                    Some(Case { flow, trouble }) => {
                        println!("{flow:?}; {trouble}: VIOLATION: {violation:#}\n  {told}")
                    }
                    None => println!(
                        "seed {seed}: VIOLATION: {violation:#}\n  {told}\nagain, with every request: cargo xtask soak --seed {seed}"
                    ),
                }
                self.stop.fetch_or(!self.keep_going, Ordering::Relaxed);
            }
            if seed.is_multiple_of(TELL) {
                println!("{seed} done, {:.0} s", self.begin.elapsed().as_secs_f64());
            }
        }
    }

    fn conclude(&self) -> Result<ExitCode> {
        let elapsed = self.begin.elapsed();
        let seeds = self.next.load(Ordering::Relaxed).min(self.end) - self.from;
        let violations = self.violations.load(Ordering::Relaxed);
        println!(
            "{seeds} worlds, {} steps, {} requests, {violations} violations; {:.0} s, {:.1} worlds a second, \
             {:.3} s of processor a world",
            self.steps.load(Ordering::Relaxed),
            self.calls.load(Ordering::Relaxed),
            elapsed.as_secs_f64(),
            seeds as f64 / elapsed.as_secs_f64(),
            processor_time()?.as_secs_f64() / seeds.max(1) as f64,
        );
        Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Walks a seed; a panic on the way is a violation, too.
fn walked(seed: u64, folder: &Path) -> Walked {
    caught(|| walk(seed, folder))
}

fn caught(work: impl FnOnce() -> Walked) -> Walked {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let violation = anyhow!("panic: {}", text.unwrap_or_default());
        Walked { told: vec![], calls: vec![], violation: Some(violation) }
    })
}

/// What this process has used, from `/proc` (in hundredths of a second).
fn processor_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let Some((_, fields)) = stat.rsplit_once(')') else { bail!("/proc/self/stat is of an unknown form") };
    let used: u64 =
        fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(used * 10))
}
