//! `cargo xtask real`: the main job on a real OpenStack with the real Cluster API. It brings up what `testbed/`
//! describes, runs the binary as a user would, and looks at the result with other eyes than Capstan's.

pub(crate) mod bed;
mod capstan;
mod change;
mod cloud;
mod compare;
mod create;
mod delete;
mod faults;
mod fleet;
mod look;
mod timeline;
mod variant;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, target, visibly};
use bed::Bed;
use capstan::Capstan;
use cloud::{Cloud, Inventory};
use fleet::Shape;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these stages, in this order. Every stage but `create` works on what the one before has left.
    #[arg(long = "stage", value_name = "STAGE")]
    stages: Vec<Stage>,
    /// The test bed runs already: neither build nor start anything of it.
    #[arg(long)]
    no_up: bool,
    /// Only build and start the test bed.
    #[arg(long, conflicts_with_all = ["no_up", "stages"])]
    only_up: bool,
    /// Another binary than this tree's.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How often `compare` measures; from three on, the medians have to hold the figure.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// The stages with faults in the place of the others.
    #[arg(long, conflicts_with = "stages")]
    faults: bool,
    /// What decides the moments and the faults; one of the moment if none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// How often the stage `kills` kills.
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// The proxy of the stage `proxy`, which starts it by itself.
    #[arg(long, hide = true)]
    serve_proxy: bool,
    /// Only print what the OpenStack project holds.
    #[arg(long, conflicts_with = "stages")]
    inventory: bool,
    /// Leave the test bed running at the end.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// What Capstan relies on, held against the real services.
    Contract,
    /// One control plane and one worker; killed twice on the way.
    Create,
    /// Three control planes, two node groups.
    Grow,
    /// One worker more, and one less.
    Scale,
    /// Another flavor for one group: its machines roll.
    Flavor,
    /// One Kubernetes release up.
    Upgrade,
    /// Away with it, with an orphaned load balancer and volume; killed on the way. Nothing may be left.
    Delete,
    /// Uploaded image, root volume, zones, existing network; short quota, server that finds no host, revoked credential.
    Variant,
    /// A creation beside `kubectl apply` of the same objects: a measurement, made only when it is named.
    Compare,
    /// Capstan is killed at random moments of creations and deletions.
    Kills,
    /// Services are restarted in the middle of a creation and of a deletion.
    Restarts,
    /// A proxy before the OpenStack drops, delays and cuts.
    Proxy,
}

/// What `--faults` makes.
const FAULTS: &[Stage] = &[Stage::Kills, Stage::Restarts, Stage::Proxy];

/// What a run without `--stage` makes: all but the measurement and the faults.
const ALL: &[Stage] = &[
    Stage::Create,
    Stage::Grow,
    Stage::Scale,
    Stage::Flavor,
    Stage::Upgrade,
    Stage::Delete,
    Stage::Variant,
    Stage::Contract,
];

/// What the stages share.
struct Scene {
    bed: Bed,
    cloud: Cloud,
    folder: PathBuf,
    binary: PathBuf,
    rounds: usize,
    seed: u64,
    kills: usize,
}

impl Scene {
    fn capstan(&self) -> Capstan<'_> {
        Capstan::new(&self.bed, self.binary.clone(), self.folder.join("fleet"))
    }

    /// The cluster of the main road.
    fn web(&self) -> Shape {
        Shape::small("web", "10.8.0.0/20")
    }

    fn before(&self) -> PathBuf {
        self.folder.join("before.json")
    }

    /// Insists that the project holds what it held before; the cloud may take a moment to forget.
    fn insist_on(&self, before: &Inventory) -> Result<()> {
        let mut differences = Vec::new();
        for _ in 0..10 {
            differences = self.cloud.inventory()?.since(before);
            if differences.is_empty() {
                println!("inventory: {} resources, the same as before, one for one", before.len());
                return Ok(());
            }
            crate::run::pause(Duration::from_secs(1));
        }
        bail!("the project is not as it was before:\n{}", differences.join("\n"));
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    let bed = Bed::new();
    let seed = arguments.seed.unwrap_or_else(faults::Chance::seed_of_now);
    if arguments.serve_proxy {
        return faults::serve_proxy(seed);
    }
    if arguments.inventory {
        let inventory = Cloud::connect(&bed.clouds(), "capi")?.inventory()?;
        println!("{inventory}{}", inventory.counts());
        return Ok(());
    }
    if !arguments.no_up {
        bed.up()?;
    }
    if arguments.only_up {
        return Ok(());
    }
    let cloud = Cloud::connect(&bed.clouds(), "capi")?;
    let binary = arguments.binary.clone().map_or_else(capstan::build, Ok)?;
    let (folder, rounds, kills) = (target().join("real"), arguments.rounds.max(1), arguments.kills);
    let scene = Scene { bed, cloud, folder, binary, rounds, seed, kills };
    std::fs::create_dir_all(&scene.folder)?;
    let stages = match arguments.stages.as_slice() {
        [] if arguments.faults => FAULTS,
        [] => ALL,
        chosen => chosen,
    };
    if stages.iter().any(|stage| FAULTS.contains(stage)) {
        println!("seed {seed}: `--seed {seed}` draws the same moments and faults again");
    }
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for stage in stages {
        println!("\n=== {stage:?}");
        let begin = Instant::now();
        outcome = run_stage(*stage, &scene).with_context(|| format!("stage {stage:?}"));
        times.push((*stage, begin.elapsed(), outcome.is_ok()));
        if outcome.is_err() {
            break;
        }
    }
    println!("\nreal services, stage by stage:");
    for (stage, time, good) in &times {
        println!(
            "  {:<10} {:>6.1} s  {}",
            format!("{stage:?}"),
            time.as_secs_f64(),
            if *good { "ok" } else { "FAILED" }
        );
    }
    println!("  {:<10} {:>6.1} s", "in all", begin.elapsed().as_secs_f64());
    if !arguments.keep && !arguments.no_up {
        scene.bed.down()?;
    }
    outcome
}

fn run_stage(stage: Stage, scene: &Scene) -> Result<()> {
    match stage {
        Stage::Contract => contract(&scene.bed),
        Stage::Create => create::run(scene),
        Stage::Grow => change::grow(scene),
        Stage::Scale => change::scale(scene),
        Stage::Flavor => change::flavor(scene),
        Stage::Upgrade => change::upgrade(scene),
        Stage::Delete => delete::run(scene),
        Stage::Variant => variant::run(scene),
        Stage::Compare => compare::run(scene),
        Stage::Kills => faults::kills(scene),
        Stage::Restarts => faults::restarts(scene),
        Stage::Proxy => faults::behind_proxy(scene),
    }
}

/// The suites of capstan-contract against the real services, built as `cargo xtask test` has built them.
fn contract(bed: &Bed) -> Result<()> {
    for (suite, variable, value) in [
        ("real", "CAPSTAN_CONTRACT_CLOUD", PathBuf::from("capi")),
        ("real_kubernetes", "CAPSTAN_CONTRACT_KUBECONFIG", bed.state.join("kubeconfig-outside")),
    ] {
        let arguments = ["test", "--quiet", "--locked", "--workspace", "--test", suite, "--", "--nocapture"];
        let begin = Instant::now();
        visibly(cargo(arguments).env(variable, value).env("OS_CLIENT_CONFIG_FILE", bed.clouds()))?;
        println!("contract suite `{suite}`: {:.0} s", begin.elapsed().as_secs_f64());
    }
    Ok(())
}

fn save(path: &Path, inventory: &Inventory) -> Result<()> {
    std::fs::write(path, serde_json::to_vec(inventory)?).with_context(|| format!("write {}", path.display()))
}

fn load(path: &Path) -> Result<Inventory> {
    let text = std::fs::read(path)
        .with_context(|| format!("read {}: run the stage `create` first", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}
