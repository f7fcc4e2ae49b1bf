//! Capstan is killed (SIGKILL) at random moments of creations and deletions.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Chance, Life};
use crate::real::Scene;

/// Kills within one creation or deletion; the next cluster takes the others. What is done first is done once, so that
/// only the first kills of a life meet it.
const AT_MOST_AT_ONCE: usize = 3;

pub(in crate::real) fn run(scene: &Scene) -> Result<()> {
    let mut chance = Chance::new(scene.seed);
    let begin = Instant::now();
    let (mut left, mut lives) = (scene.kills, 0);
    while left > 0 {
        let life = Life::new(scene, "killed", "10.20.0.0/20")?;
        left -= kill(&life, &life.create(), left.min(AT_MOST_AT_ONCE), &mut chance)?;
        life.until_done(&life.capstan, &life.create())?;
        life.insist_on_cluster()?;
        left -= kill(&life, &life.delete(), left.min(AT_MOST_AT_ONCE), &mut chance)?;
        life.until_done(&life.capstan, &life.delete())?;
        life.insist_on_end()?;
        life.end()?;
        lives += 1;
    }
    println!(
        "killed {} times in the lives of {lives} clusters, {:.0} s: each came, once, and went without a trace",
        scene.kills,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Starts it so often, and kills it each time; tells how often it was killed before it had finished.
fn kill(life: &Life<'_>, arguments: &[&str], times: usize, chance: &mut Chance) -> Result<usize> {
    for time in 0..times {
        let after = Duration::from_secs_f64(chance.between(0.3, 6.0));
        if let Some(ended) = life.capstan.kill_after(arguments, after)? {
            ended.insist(0, arguments)?;
            return Ok(time);
        }
    }
    Ok(times)
}
