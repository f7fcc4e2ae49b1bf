//! `cargo xtask test`: everything that has to hold before a change lands. Every step runs, also after one that
//! failed; the summary says what passed, what failed and what was not run.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::run::{cargo, installed, repository, visibly, watched};
use crate::{codegen, tidy};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the steps whose names begin so.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

enum Outcome {
    Passed(String),
    Failed(String),
    /// Not run, and why.
    Skipped(String),
}

struct Step {
    name: &'static str,
    run: fn() -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "tidy", run: || task(tidy::run()) },
    Step { name: "generated files", run: generated },
    Step {
        name: "clippy",
        run: || {
            let arguments =
                ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
            command(&mut cargo(arguments))
        },
    },
    Step { name: "tests", run: tests },
    Step {
        name: "documentation",
        run: || {
            let arguments = ["doc", "--quiet", "--workspace", "--no-deps", "--locked"];
            command(cargo(arguments).env("RUSTDOCFLAGS", "-D warnings"))
        },
    },
    Step { name: "dependencies", run: deny },
    Step { name: "test bed: scripts", run: scripts },
    Step { name: "test bed: Go", run: go },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    let chosen = |step: &&Step| {
        arguments.only.is_empty() || arguments.only.iter().any(|start| step.name.starts_with(start.as_str()))
    };
    ensure!(STEPS.iter().any(|step| chosen(&step)), "no step of that name");
    let mut outcomes = Vec::new();
    for step in STEPS.iter().filter(chosen) {
        println!("=== {}", step.name);
        let begin = Instant::now();
        let outcome = (step.run)().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        if let Outcome::Failed(why) = &outcome {
            println!("{why}");
        }
        outcomes.push((step.name, outcome, begin.elapsed()));
    }
    println!("\n{}", summary(&outcomes, begin.elapsed()));
    if outcomes.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_))) {
        bail!("not everything holds");
    }
    Ok(())
}

fn summary(outcomes: &[(&str, Outcome, Duration)], total: Duration) -> String {
    let mut lines = Vec::new();
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for (name, outcome, time) in outcomes {
        let (verdict, detail) = match outcome {
            Outcome::Passed(detail) => {
                passed += 1;
                ("ok", detail.as_str())
            }
            Outcome::Failed(_) => {
                failed.push(*name);
                ("FAILED", "")
            }
            Outcome::Skipped(why) => {
                skipped.push(format!("{name} ({why})"));
                ("not run", why.as_str())
            }
        };
        lines.push(
            format!("{name:<20} {verdict:<8} {:>6.1} s  {detail}", time.as_secs_f64()).trim_end().to_owned(),
        );
    }
    let mut last = format!("{passed} steps passed");
    for (word, names) in [("FAILED", failed.iter().map(ToString::to_string).collect()), ("not run", skipped)]
    {
        if !names.is_empty() {
            last += &format!("; {word}: {}", names.join(", "));
        }
    }
    lines.push(format!("{last}; {:.0} s", total.as_secs_f64()));
    lines.join("\n")
}

fn command(command: &mut Command) -> Result<Outcome> {
    task(visibly(command))
}

fn task(outcome: Result<()>) -> Result<Outcome> {
    outcome.map(|()| Outcome::Passed(String::new()))
}

/// The workspace, and the fuzz targets beside it.
fn format() -> Result<Outcome> {
    visibly(&mut cargo(["fmt", "--all", "--check"]))?;
    command(&mut cargo(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
}

fn generated() -> Result<Outcome> {
    for program in ["go", "kopium"] {
        if !installed(program, if program == "go" { "version" } else { "--version" }) {
            return Ok(Outcome::Skipped(format!("{program} is not installed")));
        }
    }
    task(codegen::check())
}

fn tests() -> Result<Outcome> {
    let mut counts = Counts::default();
    let mut good = true;
    if installed("cargo-nextest", "--version") {
        let mut nextest = cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
        good &= visibly(&mut nextest).is_ok();
        good &= watched(&mut cargo(["test", "--quiet", "--workspace", "--doc", "--locked"]), |line| {
            counts.read(line)
        })?;
        return Ok(counts.outcome(good, ", and nextest's"));
    }
    let mut all = cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    good &= watched(&mut all, |line| counts.read(line))?;
    Ok(counts.outcome(good, ""))
}

/// What the test harnesses' closing lines add up to.
#[derive(Default, Debug, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn outcome(&self, good: bool, more: &str) -> Outcome {
        let text = format!("{} passed, {} failed, {} ignored{more}", self.passed, self.failed, self.ignored);
        if good { Outcome::Passed(text) } else { Outcome::Failed(text) }
    }
}

fn deny() -> Result<Outcome> {
    if !installed("cargo-deny", "--version") {
        return Ok(Outcome::Skipped("cargo-deny is not installed".into()));
    }
    command(&mut cargo(["deny", "--all-features", "check"]))
}

/// Every script of the repository at least parses; `shellcheck` reads them where it is installed.
fn scripts() -> Result<Outcome> {
    let root = repository();
    let scripts: Vec<_> = tidy::files(&root)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "sh") || path.ends_with(".ci/run"))
        .collect();
    for script in &scripts {
        visibly(Command::new("bash").arg("-n").arg(script).current_dir(&root))?;
    }
    if !installed("shellcheck", "--version") {
        return Ok(Outcome::Passed(format!("{} scripts parse; shellcheck is not installed", scripts.len())));
    }
    let flags = ["--external-sources", "--source-path=SCRIPTDIR", "--severity=warning"];
    visibly(Command::new("shellcheck").args(flags).args(&scripts).current_dir(&root))?;
    Ok(Outcome::Passed(format!("{} scripts", scripts.len())))
}

fn go() -> Result<Outcome> {
    if !installed("go", "version") {
        return Ok(Outcome::Skipped("Go is not installed".into()));
    }
    let folder = repository().join("testbed/management/src");
    for arguments in [["vet", "./..."], ["test", "./..."]] {
        let mut go = Command::new("go");
        visibly(go.args(arguments).current_dir(&folder).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local"))?;
    }
    Ok(Outcome::Passed(String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_over_harnesses() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s",
        ] {
            counts.read(line);
        }
        assert_eq!(counts, Counts { passed: 43, failed: 2, ignored: 1 });
    }

    #[test]
    fn the_summary_hides_neither_failures_nor_gaps() {
        let second = Duration::from_secs(1);
        let outcomes = [
            ("format", Outcome::Passed(String::new()), second),
            ("tests", Outcome::Failed("long".into()), second),
            ("dependencies", Outcome::Skipped("cargo-deny is not installed".into()), second),
        ];
        let text = summary(&outcomes, 3 * second);
        let last = text.lines().last().unwrap();
        assert_eq!(
            last,
            "1 steps passed; FAILED: tests; not run: dependencies (cargo-deny is not installed); 3 s"
        );
        assert!(text.contains("tests                FAILED"), "{text}");
    }
}
