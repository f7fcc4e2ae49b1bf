//! `capstan demo`: the ordinary commands on the built-in sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use capstan_engine::{Clock, ScaledClock, SystemClock};
use capstan_sandbox::{Inventory, Sandbox, Speed};
use serde::Serialize;

use super::cluster::{apply_all, delete_all, rows, table_of};
use super::init::{ClusterShape, cluster_document};
use super::sandbox::{directions, speed, start, write_access};
use super::{plan, up};
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::{CLUSTERS, FleetFolder, write_file};
use crate::printer::{Printer, Style};
use crate::settings::{FLEET_FILE, Settings};
use crate::table::table;
use crate::world::World;

/// How the demo runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan demo
  capstan demo --keep my-fleet      leaves one cluster to play with: documents, clouds.yaml and kubeconfig in my-fleet
  capstan demo --speed 10           slower, to read along")]
pub(crate) struct Args {
    /// Folder for the example fleet; by default a temporary one, which goes with the demo
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Leave the sandbox and one cluster running until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// How many times faster than real time, or `max`
    #[arg(long, default_value = "30", value_parser = speed, value_name = "FACTOR")]
    speed: Speed,
    /// Seed of everything that is random in it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What the demo came to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// OpenStack resources by kind, before the first cluster, with all of them, and after the last.
    before: BTreeMap<String, usize>,
    during: BTreeMap<String, usize>,
    after: BTreeMap<String, usize>,
    /// Whether the resources after are those before, one by one.
    clean: bool,
    /// Seconds that it took.
    seconds: f64,
}

const FLEET: &str = "\
# yaml-language-server: $schema=schemas/fleet.schema.json
apiVersion: capstan.dev/v1alpha1
kind: Fleet
metadata: {name: demo}
spec:
  cloud: {name: sandbox}
  management:
    runtime: existing
    kubeconfig: {path: kubeconfig}
  defaults:
    kubernetes: {version: \"1.36\"}
";
/// The cluster that is changed, and the one that goes first.
const WEB: &str = "web";
const BATCH: &str = "batch";

pub(crate) async fn run(args: Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let started = Instant::now();
    // Lives as long as the demo; a folder that was named stays.
    let (_temporary, folder) = match &args.folder {
        Some(folder) => (None, settings.environment.cwd.join(folder)),
        None => {
            let made =
                tempfile::Builder::new().prefix("capstan-demo-").tempdir().map_err(CommandError::failed)?;
            let path = made.path().to_path_buf();
            (Some(made), path)
        }
    };
    if folder.join(FLEET_FILE).exists() {
        return Err(CommandError::usage(format!("`{}` holds a fleet already", folder.display())));
    }
    let sandbox = start(([127, 0, 0, 1], 0).into(), args.speed, args.seed).await?;
    let place = write_access(&sandbox, &folder)?;
    write_fleet(&folder)?;
    let demo = Demo {
        settings: settings.for_sandbox(&folder, place.clouds_yaml(), clock(args.speed)),
        printer: printer.without_results(),
        folder: folder.clone(),
        sandbox: &sandbox,
    };
    let before = sandbox.inventory();
    let during = demo.tell(args.keep).await?;
    let after = sandbox.inventory();
    let outcome = Outcome {
        clean: before == after,
        before: counted(&before),
        during: counted(&during),
        after: counted(&after),
        seconds: (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
    };
    printer.result(&outcome, || shown(&outcome, args.keep))?;
    if args.keep {
        printer.message(&format!("\nthe sandbox goes on, with the cluster `{WEB}` in it:\n"));
        printer.message(&directions(&place));
        printer.message(&format!(
            "export CAPSTAN_FLEET={}\n\nCtrl-C ends it and everything in it",
            folder.display()
        ));
        tokio::signal::ctrl_c().await.map_err(CommandError::failed)?;
    }
    sandbox.shutdown().await;
    if !args.keep && !outcome.clean {
        return Err(CommandError::failed("the demo left something behind in the project of the sandbox"));
    }
    Ok(Done::Done)
}

struct Demo<'a> {
    settings: Settings,
    printer: Printer,
    folder: PathBuf,
    sandbox: &'a Sandbox,
}

impl Demo<'_> {
    /// Runs the commands; returns the inventory with both clusters.
    async fn tell(&self, keep: bool) -> CommandResult<Inventory> {
        let (settings, printer) = (&self.settings, &self.printer);
        self.say("capstan up", "checks the management plane and prepares it");
        up::run(settings, printer).await?;
        self.say("capstan cluster apply", "makes the two clusters that the documents describe, side by side");
        let world = self.world().await?;
        apply_all(&world, &[], settings, printer).await?;
        let during = self.sandbox.inventory();
        self.list(&world);

        self.edit()?;
        self.say("capstan cluster plan web", "says what the changed document will do");
        let world = self.world().await?;
        let names = [WEB.to_owned()];
        let direction = capstan_engine::Direction::Present;
        let plans = plan::of_clusters(&world, &names, direction, settings).await?;
        printer.message(plan::in_words(&plans, printer).trim_end());
        self.say("capstan cluster apply web", "does it: one machine after another is replaced");
        apply_all(&world, &names, settings, printer).await?;
        self.list(&world);

        let settings = &settings.without_questions();
        self.say(
            "capstan cluster delete batch",
            "takes it away, with everything that is proven to be its own",
        );
        delete_all(&world, &[BATCH.to_owned()], settings, printer).await?;
        if !keep {
            self.say("capstan cluster delete web", "takes the other one away, too");
            delete_all(&world, &names, settings, printer).await?;
        }
        Ok(during)
    }

    async fn world(&self) -> CommandResult<World> {
        let folder = FleetFolder::open(&self.settings, &self.printer)?;
        World::connect(folder, self.settings.clock(), &self.settings).await
    }

    fn say(&self, command: &str, what: &str) {
        let line = format!("\n$ {command}");
        self.printer.message(&format!(
            "{}  {}",
            self.printer.style(Style::Strong, &line),
            self.printer.style(Style::Quiet, &format!("# {what}"))
        ));
    }

    fn list(&self, world: &World) {
        self.say("capstan cluster list", "shows them");
        self.printer.message(&table_of(&rows(world)));
    }

    /// A larger flavor for the workers of one cluster: their machines have to be replaced.
    fn edit(&self) -> CommandResult<()> {
        let shape = ClusterShape { flavor: Some("SCS-4V-8-20".into()), ..web() };
        let text = cluster_document(WEB, &shape).replacen(", flavor: SCS-4V-8-20", "", 1);
        write_file(&self.folder.join(CLUSTERS).join(format!("{WEB}.yaml")), &text, false)?;
        self.say(&format!("edit {CLUSTERS}/{WEB}.yaml"), "gives its workers a larger flavor");
        let document =
            text.lines().skip_while(|line| !line.starts_with("spec")).collect::<Vec<_>>().join("\n");
        self.printer.message(&document);
        Ok(())
    }
}

fn web() -> ClusterShape {
    ClusterShape { control_planes: Some(1), workers: Some(2), ..ClusterShape::default() }
}

fn write_fleet(folder: &Path) -> CommandResult<()> {
    let batch = ClusterShape { workers: Some(1), ..web() };
    let schema = |schema: serde_json::Value| format!("{schema:#}\n");
    let files = [
        (FLEET_FILE.to_owned(), FLEET.to_owned()),
        (format!("{CLUSTERS}/{WEB}.yaml"), cluster_document(WEB, &web())),
        (format!("{CLUSTERS}/{BATCH}.yaml"), cluster_document(BATCH, &batch)),
        ("schemas/fleet.schema.json".to_owned(), schema(capstan_core::documents::fleet_schema())),
        (
            "schemas/workloadcluster.schema.json".to_owned(),
            schema(capstan_core::documents::workload_cluster_schema()),
        ),
    ];
    files.iter().try_for_each(|(name, text)| write_file(&folder.join(name), text, false))
}

/// The time of the commands goes as fast as the sandbox's.
fn clock(speed: Speed) -> Arc<dyn Clock> {
    match speed {
        Speed::Times(factor) => Arc::new(ScaledClock::new(factor)),
        // Nothing takes time there: what is looked at once a minute can be looked at at once.
        Speed::Max => Arc::new(ScaledClock::new(MAX_FACTOR)),
        _ => Arc::new(SystemClock::new()),
    }
}

/// A minute in 60 ms.
const MAX_FACTOR: f64 = 1000.0;

fn counted(inventory: &Inventory) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for resource in &inventory.resources {
        *counts.entry(resource.kind.clone()).or_default() += 1;
    }
    counts
}

fn shown(outcome: &Outcome, keep: bool) -> String {
    let kinds = outcome.before.keys().chain(outcome.during.keys()).chain(outcome.after.keys());
    let kinds: std::collections::BTreeSet<_> = kinds.collect();
    let count = |counts: &BTreeMap<String, usize>, kind: &String| {
        counts.get(kind).copied().unwrap_or_default().to_string()
    };
    let rows = kinds.into_iter().map(|kind| {
        [
            kind.clone(),
            count(&outcome.before, kind),
            count(&outcome.during, kind),
            count(&outcome.after, kind),
        ]
    });
    let table = table(["RESOURCE", "BEFORE", "WITH BOTH", "AFTER"], rows);
    let end = match (keep, outcome.clean) {
        (true, _) => String::new(),
        (false, true) => format!("\n\nall that was made is gone, after {} seconds", outcome.seconds),
        (false, false) => "\n\nsomething was left behind".to_owned(),
    };
    format!("\n{table}{end}")
}
