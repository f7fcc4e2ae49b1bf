//! `capstan plan` of a fleet of 100 clusters against the sandbox: all of them new, then all of them settled.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::sandboxed::Sandboxed;
use super::{Figure, median};

const CLUSTERS: usize = 100;
const RUNS: usize = 7;

pub(super) fn run(binary: &Path) -> Result<Vec<Figure>> {
    let sandbox = Sandboxed::start(binary, "plan")?;
    sandbox.write_fleet(CLUSTERS)?;
    sandbox.expect(&["up", "--yes"])?;
    let new =
        Figure::new(format!("`plan` of {CLUSTERS} new clusters"), plan(&sandbox, 10)?, "ms").at_most(1000.0);
    let begin = Instant::now();
    sandbox.expect(&["cluster", "apply", "--yes"])?;
    let apply = Figure::new(
        format!("`cluster apply` of {CLUSTERS} clusters, sandbox at full speed"),
        begin.elapsed().as_secs_f64(),
        "s",
    );
    let settled = Figure::new(format!("`plan` of {CLUSTERS} settled clusters"), plan(&sandbox, 0)?, "ms")
        .at_most(1000.0);
    Ok(vec![new, apply, settled])
}

/// The median time of whole processes, which have to end with this code.
fn plan(sandbox: &Sandboxed, code: i32) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let begin = Instant::now();
        let ended = sandbox.capstan(&["plan"]).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        times.push(begin.elapsed());
        let stderr = String::from_utf8_lossy(&ended.stderr);
        ensure!(
            ended.status.code() == Some(code),
            "`capstan plan` ended with {}, expected {code}: {stderr}",
            ended.status
        );
    }
    Ok(median(times))
}
