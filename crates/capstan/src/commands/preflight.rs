//! `capstan preflight`

use capstan_engine::Direction;
use serde::Serialize;

use super::cluster::NamesArgs;
use super::plan;
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::{Printer, Style};
use crate::run::{self, SubjectPlan};
use crate::settings::Settings;
use crate::world::World;

/// The component that looks before anything is made.
const COMPONENT: &str = "preflight";

/// What was found of one cluster.
#[derive(Serialize)]
struct Finding<'a> {
    name: &'a str,
    problems: Vec<&'a str>,
}

pub(crate) async fn run(args: &NamesArgs, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let clusters = world.folder.select(&args.names)?;
    let mut subjects = world.subjects(&clusters, Direction::Present).await?;
    for subject in &mut subjects {
        subject.retain(COMPONENT);
    }
    let plans = run::plan(&subjects, &world.clock, settings).await;
    let findings: Vec<_> = plans.iter().map(finding).collect();
    printer.result(&findings, || shown(&findings, printer))?;
    let count: usize = findings.iter().map(|finding| finding.problems.len()).sum();
    let text = match count {
        0 => return Ok(Done::Done),
        1 => "1 problem was found".to_owned(),
        more => format!("{more} problems were found"),
    };
    Err(plans.iter().fold(CommandError::blocked(text), |error, plan| plan::with_hints(error, &plan.plan)))
}

fn finding(plan: &SubjectPlan) -> Finding<'_> {
    // A component of many findings tells them as lines of one text.
    let lines = plan.plan.blocked.iter().flat_map(|obstacle| obstacle.why.lines());
    let problems =
        lines.map(|line| line.trim_start_matches(&format!("{COMPONENT}: ")).trim()).filter(|l| !l.is_empty());
    Finding { name: &plan.name, problems: problems.collect() }
}

fn shown(findings: &[Finding<'_>], printer: &Printer) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        if finding.problems.is_empty() {
            lines.push(format!("{} {}", printer.style(Style::Good, "✓"), finding.name));
            continue;
        }
        lines.push(format!("{} {}", printer.style(Style::Bad, "✗"), finding.name));
        lines.extend(finding.problems.iter().map(|problem| format!("    {problem}")));
    }
    lines.join("\n")
}
