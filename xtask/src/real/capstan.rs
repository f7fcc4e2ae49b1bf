//! Running the binary under test as a user would: a process in the bed, its messages on the terminal.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::bed::Bed;
use crate::run::{cargo, pause, target, visibly};

/// No single command may take longer; the slowest is the upgrade of three control planes.
const LIMIT: Duration = Duration::from_secs(900);

/// Builds the binary with the profile that the tests have filled the target folder with.
pub(super) fn build() -> Result<PathBuf> {
    visibly(&mut cargo(["build", "--quiet", "--locked", "--package", "capstan-cli"]))?;
    Ok(target().join("debug/capstan"))
}

pub(super) struct Capstan<'a> {
    bed: &'a Bed,
    binary: PathBuf,
    fleet: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// How a run of the binary ended.
pub(super) struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub time: Duration,
}

impl<'a> Capstan<'a> {
    pub(super) fn new(bed: &'a Bed, binary: PathBuf, fleet: PathBuf) -> Self {
        Self { bed, binary, fleet, variables: Vec::new() }
    }

    /// The same with one more environment variable.
    pub(super) fn with_variable(mut self, name: &'static str, value: String) -> Self {
        self.variables.push((name, value));
        self
    }

    pub(super) fn fleet(&self) -> &std::path::Path {
        &self.fleet
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bed.inside(&self.binary);
        command.arg("--fleet").arg(&self.fleet).args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start(&self, arguments: &[&str]) -> Result<Running> {
        println!("$ capstan {}", arguments.join(" "));
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start capstan")?;
        let begin = Instant::now();
        let stdout = child.stdout.take().context("no stdout")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            BufReader::new(stdout).read_to_string(&mut text).map(|_| text)
        });
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                println!("{:>8.1}s | {line}", begin.elapsed().as_secs_f64());
                text += &line;
                text.push('\n');
            }
            text
        });
        Ok(Running { child, begin, stdout, stderr })
    }

    /// Runs to the end; `tick` is called a few times a second meanwhile.
    pub(super) fn run_with(&self, arguments: &[&str], mut tick: impl FnMut() -> Result<()>) -> Result<Ended> {
        let mut running = self.start(arguments)?;
        while running.child.try_wait()?.is_none() {
            if running.begin.elapsed() > LIMIT {
                running.child.kill()?;
                bail!("`capstan {}` did not end within {} s", arguments.join(" "), LIMIT.as_secs());
            }
            tick()?;
            pause(Duration::from_millis(50));
        }
        running.end()
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Result<Ended> {
        self.run_with(arguments, || Ok(()))
    }

    /// Runs to the end and insists on the exit code.
    pub(super) fn expect(&self, code: i32, arguments: &[&str]) -> Result<Ended> {
        let ended = self.run(arguments)?;
        ended.insist(code, arguments)?;
        Ok(ended)
    }

    /// Kills it (SIGKILL) as soon as `now` says so. That it ends before is an error: nothing was interrupted.
    pub(super) fn kill_when(
        &self,
        arguments: &[&str],
        what: &str,
        mut now: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let mut running = self.start(arguments)?;
        while !now()? {
            if let Some(status) = running.child.try_wait()? {
                bail!("`capstan {}` ended ({status}) before {what}", arguments.join(" "));
            }
            ensure!(running.begin.elapsed() < LIMIT, "{what}: not within {} s", LIMIT.as_secs());
            pause(Duration::from_millis(50));
        }
        running.child.kill()?;
        let ended = running.end()?;
        ensure!(ended.code.is_none(), "it ended by itself with {:?} before the signal came", ended.code);
        println!("killed (SIGKILL) after {:.1} s: {what}", ended.time.as_secs_f64());
        Ok(())
    }

    /// Kills it (SIGKILL) after some time, or tells how it ended before.
    pub(super) fn kill_after(&self, arguments: &[&str], time: Duration) -> Result<Option<Ended>> {
        let mut running = self.start(arguments)?;
        while running.begin.elapsed() < time {
            if running.child.try_wait()?.is_some() {
                return running.end().map(Some);
            }
            pause(Duration::from_millis(5));
        }
        running.child.kill()?;
        let ended = running.end()?;
        if ended.code.is_some() {
            return Ok(Some(ended));
        }
        println!("killed (SIGKILL) after {:.2} s", ended.time.as_secs_f64());
        Ok(None)
    }
}

impl Ended {
    pub(super) fn insist(&self, code: i32, arguments: &[&str]) -> Result<()> {
        let shown = arguments.join(" ");
        ensure!(
            self.code == Some(code),
            "`capstan {shown}` ended with {:?}, expected {code}\n{}",
            self.code,
            self.stdout
        );
        Ok(())
    }
}

struct Running {
    child: Child,
    begin: Instant,
    stdout: JoinHandle<std::io::Result<String>>,
    stderr: JoinHandle<String>,
}

impl Running {
    fn end(mut self) -> Result<Ended> {
        let status = self.child.wait()?;
        let time = self.begin.elapsed();
        let stdout = self.stdout.join().map_err(|_| anyhow::anyhow!("reading stdout failed"))??;
        let stderr = self.stderr.join().map_err(|_| anyhow::anyhow!("reading stderr failed"))?;
        Ok(Ended { code: status.code(), stdout, stderr, time })
    }
}
