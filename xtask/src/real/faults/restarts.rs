//! Services are restarted in the middle of a creation and of a deletion.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Chance, Life, MOST_RUNS, is_orderly};
use crate::real::{Scene, bed};
use crate::run::output;

#[derive(Debug, Clone, Copy)]
enum Service {
    NovaApi,
    NeutronServer,
    Keystone,
    KubeApiserver,
    OpenStackProvider,
}

const ALL: [Service; 5] = [
    Service::NovaApi,
    Service::NeutronServer,
    Service::Keystone,
    Service::KubeApiserver,
    Service::OpenStackProvider,
];

pub(in crate::real) fn run(scene: &Scene) -> Result<()> {
    let mut chance = Chance::new(scene.seed);
    let begin = Instant::now();
    let life = Life::new(scene, "shaken", "10.21.0.0/20")?;
    let created = shake(&life, &life.create(), &mut chance)?;
    life.insist_on_cluster()?;
    let deleted = shake(&life, &life.delete(), &mut chance)?;
    life.insist_on_end()?;
    life.end()?;
    println!(
        "{} services restarted in a creation ({created} runs) and in a deletion ({deleted} runs), {:.0} s",
        ALL.len(),
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Runs while every service is restarted in turn, and again until it succeeds; tells how many runs that took.
fn shake(life: &Life<'_>, arguments: &[&str], chance: &mut Chance) -> Result<usize> {
    let mut services = ALL;
    chance.shuffle(&mut services);
    let mut left = services.into_iter();
    let mut due = Instant::now() + Duration::from_secs_f64(chance.between(0.5, 3.0));
    for run in 1..=MOST_RUNS {
        let ended = life.capstan.run_with(arguments, || {
            if Instant::now() < due {
                return Ok(());
            }
            let Some(service) = left.next() else { return Ok(()) };
            restart(life.scene, service).with_context(|| format!("restart {service:?}"))?;
            due = Instant::now() + Duration::from_secs_f64(chance.between(0.5, 3.0));
            Ok(())
        })?;
        if ended.code == Some(0) {
            let spared: Vec<_> = left.collect();
            ensure!(spared.is_empty(), "it ended before these were restarted: {spared:?}");
            return Ok(run);
        }
        is_orderly(&ended, arguments)?;
    }
    bail!("`capstan {}` has not succeeded in {MOST_RUNS} runs", arguments.join(" "))
}

fn restart(scene: &Scene, service: Service) -> Result<()> {
    let begin = Instant::now();
    match service {
        Service::NovaApi => scene.bed.restart("nova-api")?,
        Service::NeutronServer => scene.bed.restart("neutron-server")?,
        Service::Keystone => scene.bed.restart("keystone-api")?,
        Service::KubeApiserver => kill_api_server(scene)?,
        Service::OpenStackProvider => {
            let arguments = ["delete", "pods", "--all", "--namespace=capo-system", "--wait=false"];
            scene.bed.kubectl(&arguments).map(drop)?;
        }
    }
    println!("restarted {service:?} in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Kills the management plane's API server; its kubelet starts another one.
fn kill_api_server(scene: &Scene) -> Result<()> {
    let address = format!("--advertise-address={}", scene.bed.management_address()?);
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.path();
        // Processes come and go while one looks.
        let Ok(line) = std::fs::read_to_string(folder.join("cmdline")) else { continue };
        let mut words = line.split('\0');
        let program = words.next().unwrap_or_default();
        if program.ends_with("kube-apiserver") && words.any(|word| word == address) {
            let id = folder.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
            output(Command::new("kill").args(["-KILL", &id]))?;
            killed += 1;
        }
    }
    ensure!(killed == 1, "{killed} API servers with {address}, expected one");
    bed::wait("the API server answers again", Duration::from_secs(120), || {
        Ok(scene.bed.kubectl(&["get", "--raw=/readyz"]).is_ok())
    })
    .map(drop)
}
