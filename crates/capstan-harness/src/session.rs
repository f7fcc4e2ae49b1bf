//! A user at work: one step after another, each with its trouble, and what must hold after each.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use capstan_core::documents::{Fleet, ResolvedCluster};
use capstan_engine::{Direction, Ended};

use crate::invariants;
use crate::process::{End, Process, Treatment, documents};
use crate::spec::{Change, Spec};
use crate::trouble::Trouble;
use crate::world::World;

/// What a user does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Prepares the management plane.
    Up,
    /// Makes the cluster, or makes it as it is wanted.
    Apply(Change),
    /// Applies the same again.
    Again,
    /// Wants something that the API refuses, and takes it back.
    Refused,
    /// Deletes the cluster.
    Delete,
    /// Removes the images that nobody uses.
    Prune,
}

/// How often a user tries once more after the cause was taken away.
const TRIES: usize = 4;

/// A user's session in a world.
pub struct Session {
    world: World,
    spec: Spec,
    exists: bool,
    /// What was done, for whoever has to understand a failure.
    told: Vec<String>,
}

/// A command, with what it needs to be repeated by another process.
#[derive(Clone)]
enum Command {
    Up(Box<Fleet>),
    Run(Box<ResolvedCluster>, Direction),
    Prune(Box<ResolvedCluster>),
}

impl Command {
    async fn by(&self, process: &Process<'_>) -> End {
        match self {
            Self::Up(fleet) => process.up(fleet).await,
            Self::Run(cluster, direction) => process.run(cluster, *direction).await,
            Self::Prune(cluster) => process.prune(cluster).await,
        }
    }
}

impl Session {
    /// A user who wants a cluster.
    ///
    /// # Errors
    /// The world could not be made.
    pub async fn begin(seed: u64, folder: &Path, spec: Spec) -> Result<Self> {
        Ok(Self { world: World::new(seed, folder).await?, spec, exists: false, told: Vec::new() })
    }

    /// The world.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// What is wanted of the cluster.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What was done so far, a line each.
    #[must_use]
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Makes the cluster, as it is wanted.
    ///
    /// # Errors
    /// See [`Self::step`].
    pub async fn create(&mut self, trouble: &Trouble) -> Result<u32> {
        let command = self.run_of(&self.spec, Direction::Present)?;
        let calls = Box::pin(self.commanded(&format!("create {}", self.spec), &command, trouble)).await?;
        self.exists = true;
        invariants::settled(&self.world, cluster_of(&command)?, &self.spec).await?;
        Ok(calls)
    }

    /// Does a step under a trouble, until it is done, and checks what must hold. Returns how many calls the first
    /// process made.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn step(&mut self, step: &Step, trouble: &Trouble) -> Result<u32> {
        Box::pin(self.stepped(step, trouble)).await
    }

    async fn stepped(&mut self, step: &Step, trouble: &Trouble) -> Result<u32> {
        match step {
            Step::Up => {
                let (fleet, _) = documents(&self.spec.to_string())?;
                self.commanded("up", &Command::Up(Box::new(fleet)), trouble).await
            }
            Step::Apply(change) => {
                self.spec = change.of(&self.spec);
                self.applied(&format!("{change:?}: {}", self.spec), trouble).await
            }
            Step::Again => self.applied("again", trouble).await,
            Step::Refused => self.refused(trouble).await,
            Step::Delete => {
                let command = self.run_of(&self.spec, Direction::Absent)?;
                let calls = self.commanded("delete", &command, trouble).await?;
                self.exists = false;
                invariants::gone(&self.world).await?;
                Ok(calls)
            }
            Step::Prune => {
                let (_, cluster) = documents(&self.spec.to_string())?;
                let calls = self.commanded("prune", &Command::Prune(Box::new(cluster)), trouble).await?;
                if !self.exists {
                    invariants::pruned(&self.world)?;
                }
                Ok(calls)
            }
        }
    }

    async fn applied(&mut self, what: &str, trouble: &Trouble) -> Result<u32> {
        let command = self.run_of(&self.spec, Direction::Present)?;
        let calls = self.commanded(what, &command, trouble).await?;
        invariants::settled(&self.world, cluster_of(&command)?, &self.spec).await?;
        Ok(calls)
    }

    /// Another node network: refused in words, nothing is changed, and the old document is as good as before.
    async fn refused(&mut self, trouble: &Trouble) -> Result<u32> {
        let wanted = Spec { node_cidr: Some("10.7.0.0/24"), ..self.spec.clone() };
        let Command::Run(cluster, direction) = self.run_of(&wanted, Direction::Present)? else {
            bail!("no run");
        };
        let servers = self.world.sandbox.inventory().of_kind("server").count();
        let process = Process::start(&self.world, Treatment::default());
        let end = process.run(&cluster, direction).await;
        self.told.push(format!("refused: {}", end.word()));
        let End::Report(report) = &end else { bail!("a refused change: {end:?}") };
        let words = end.troubles().iter().any(|why| why.causes.join(" ").contains("10.7.0.0/24"));
        ensure!(report.ended == Ended::Blocked && words, "a change that the API refuses ended so: {end:?}");
        let now = self.world.sandbox.inventory().of_kind("server").count();
        ensure!(now == servers, "a refused change made {now} servers of {servers}");
        self.applied("back", trouble).await
    }

    fn run_of(&self, spec: &Spec, direction: Direction) -> Result<Command> {
        let (_, cluster) = documents(&spec.to_string())?;
        Ok(Command::Run(Box::new(cluster), direction))
    }

    /// Gives a command under a trouble, and again after it until everything is as wanted.
    async fn commanded(&mut self, what: &str, command: &Command, trouble: &Trouble) -> Result<u32> {
        let first = self.world.trace.len();
        trouble.begin(&self.world).await.with_context(|| format!("begin of {trouble}"))?;
        let (end, calls) = self.tried(command, trouble).await;
        self.told.push(format!(
            "{what}; {trouble}: {} after {calls} calls from {first} on, at {:.1} s",
            end.word(),
            self.world.time.elapsed().as_secs_f64()
        ));
        self.judge(&end, trouble)?;
        // First: what looks at the world must not be struck itself.
        trouble.cure(&self.world).await.with_context(|| format!("cure of {trouble}"))?;
        if !end.is_settled() {
            // Of what has settled more is asked by whoever gave the command.
            invariants::always(&self.world).await?;
        }
        let mut end = end;
        for _ in 0..TRIES {
            if end.is_settled() {
                return Ok(calls);
            }
            let process = Process::start(&self.world, Treatment::default());
            end = command.by(&process).await;
            self.told.push(format!(
                "  once more: {} after {} calls, at {:.1} s",
                end.word(),
                process.calls(),
                self.world.time.elapsed().as_secs_f64()
            ));
        }
        ensure!(end.is_settled(), "{what} doesn't come to rest after {trouble} has passed: {end:#?}");
        Ok(calls)
    }

    /// The first try, with the trouble in force.
    async fn tried(&self, command: &Command, trouble: &Trouble) -> (End, u32) {
        let treatment = match trouble {
            Trouble::Kill { nth, effect, lingers } => {
                Treatment { kill: Some((*nth, *effect)), lingers: *lingers }
            }
            _ => Treatment::default(),
        };
        let process = Process::start(&self.world, treatment);
        let end = if *trouble == Trouble::Twice {
            let other = Process::start(&self.world, Treatment::default());
            let (end, other) = tokio::join!(command.by(&process), command.by(&other));
            // The worse of the two is judged.
            if end.is_settled() { other } else { end }
        } else {
            command.by(&process).await
        };
        (end, process.calls())
    }

    /// Who doesn't settle says why.
    fn judge(&self, end: &End, trouble: &Trouble) -> Result<()> {
        if end.is_settled() || matches!(end, End::Killed) {
            return Ok(());
        }
        let troubles = end.troubles();
        ensure!(
            trouble.is_named(&troubles),
            "under {trouble} the run {} and doesn't name the cause: {troubles:#?}",
            end.word()
        );
        if let End::Report(report) = end
            && report.ended == Ended::Blocked
        {
            let ways_out = troubles.iter().any(|why| why.hints.iter().any(|hint| !hint.is_empty()));
            ensure!(ways_out, "under {trouble} the run is blocked without a way out: {troubles:#?}");
        }
        Ok(())
    }
}

fn cluster_of(command: &Command) -> Result<&ResolvedCluster> {
    match command {
        Command::Run(cluster, _) | Command::Prune(cluster) => Ok(cluster),
        Command::Up(_) => bail!("no cluster"),
    }
}
