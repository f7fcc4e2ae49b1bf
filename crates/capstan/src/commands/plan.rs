//! `capstan plan`, and how plans are shown.

use std::fmt::Write as _;

use capstan_core::plan::{ChangeClass, Counts, Plan, PlannedChange, QuotaLine};
use capstan_engine::Direction;
use serde::Serialize;

use super::cluster::NamesArgs;
use super::up;
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::{Printer, Style};
use crate::run::{self, SubjectPlan};
use crate::settings::Settings;
use crate::world::World;

/// The plans of a command, for programs.
#[derive(Serialize)]
struct Plans<'a> {
    plans: &'a [SubjectPlan],
    counts: Counts,
}

pub(crate) async fn run(args: &NamesArgs, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let mut plans = Vec::new();
    if args.names.is_empty() {
        plans.extend(run::plan(&[up::subject(&world)], &world.clock, settings).await);
    }
    plans.extend(of_clusters(&world, &args.names, Direction::Present, settings).await?);
    conclude(&plans, printer)
}

/// The plans of clusters, made side by side.
pub(crate) async fn of_clusters(
    world: &World,
    names: &[String],
    direction: Direction,
    settings: &Settings,
) -> CommandResult<Vec<SubjectPlan>> {
    let clusters = world.folder.select(names)?;
    let subjects = world.subjects(&clusters, direction).await?;
    Ok(run::plan(&subjects, &world.clock, settings).await)
}

/// Prints plans and makes an exit code of them.
pub(crate) fn conclude(plans: &[SubjectPlan], printer: &Printer) -> CommandResult {
    let counts = counts(plans);
    printer.result(&Plans { plans, counts }, || in_words(plans, printer))?;
    let failed: Vec<_> = plans.iter().filter_map(|plan| plan.failed.as_deref()).collect();
    if !failed.is_empty() {
        return Err(CommandError::failed(failed.join("\n  ")));
    }
    let in_the_way: Vec<_> = plans
        .iter()
        .flat_map(|plan| {
            plan.plan.blocked.iter().map(|obstacle| format!("`{}`: {}", plan.name, obstacle.why))
        })
        .collect();
    if !in_the_way.is_empty() {
        let error = CommandError::blocked(in_the_way.join("\n  "));
        return Err(plans.iter().fold(error, |error, plan| with_hints(error, &plan.plan)));
    }
    Ok(if plans.iter().all(|plan| plan.plan.is_empty()) { Done::Done } else { Done::ChangesFound })
}

fn counts(plans: &[SubjectPlan]) -> Counts {
    let mut all = Plan::default();
    for plan in plans {
        all.changes.extend(plan.plan.changes.iter().cloned());
    }
    all.counts()
}

/// The error with the ways out of a plan's obstacles, none twice.
pub(crate) fn with_hints(mut error: CommandError, plan: &Plan) -> CommandError {
    for hint in plan.blocked.iter().map(|obstacle| &obstacle.hint).filter(|hint| !hint.is_empty()) {
        if !error.hints().contains(hint) {
            error = error.hint(hint);
        }
    }
    error
}

/// Plans for people.
pub(crate) fn in_words(plans: &[SubjectPlan], printer: &Printer) -> String {
    let mut text = String::new();
    for plan in plans {
        let _ = writeln!(text, "{}: {}", printer.style(Style::Strong, &plan.name), plan.plan.counts());
        for change in &plan.plan.changes {
            change_lines(&mut text, change, printer);
        }
        for waiting in &plan.plan.waiting {
            let _ = writeln!(text, "  {}", printer.style(Style::Quiet, waiting));
        }
        for line in &plan.plan.quota {
            let _ = writeln!(text, "  {}", quota_line(line));
        }
    }
    if plans.len() > 1 {
        let _ = writeln!(text, "\nin all: {}", counts(plans));
    }
    text
}

fn change_lines(text: &mut String, change: &PlannedChange, printer: &Printer) {
    let (sign, style) = match change.class {
        ChangeClass::Creates => ("+", Style::Good),
        ChangeClass::InPlace => ("~", Style::Active),
        ChangeClass::Rolls { .. } | ChangeClass::Recreates => ("↻", Style::Attention),
        ChangeClass::Refused { .. } => ("!", Style::Bad),
        ChangeClass::Deletes => ("-", Style::Attention),
        ChangeClass::Destroys { .. } => ("-", Style::Bad),
    };
    let class = match &change.class {
        ChangeClass::Creates | ChangeClass::Deletes => String::new(),
        class => format!("  ({class})"),
    };
    let verb = change.class.verb();
    let _ = writeln!(text, "  {} {verb} {}{class}", printer.style(style, sign), change.object);
    if !change.why.is_empty() {
        let _ = writeln!(text, "      {}", printer.style(Style::Quiet, &change.why));
    }
    for field in &change.fields {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        let _ = writeln!(text, "      {}: {} → {}", field.path, side(&field.from), side(&field.to));
    }
}

fn quota_line(line: &QuotaLine) -> String {
    let limit = line.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let short = line.shortfall().map(|short| format!(", {short} too few")).unwrap_or_default();
    format!("quota {}: {} → {}{limit}{short}", line.resource, line.used, line.after())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_in_words() {
        let rolls = ChangeClass::Rolls { machines: 3, group: "default".into() };
        let refused = ChangeClass::Refused { instead: "make a second cluster".into() };
        let changes = vec![
            PlannedChange::new(
                "objects",
                "OpenStackMachineTemplate prod-web-default-0123",
                ChangeClass::Creates,
            ),
            PlannedChange::new("objects", "MachineDeployment prod-web-default", rolls)
                .field("spec.replicas", Some("2".into()), Some("3".into()))
                .because("machine templates are immutable"),
            PlannedChange::new("objects", "OpenStackCluster prod-web", refused).field(
                "spec.tags",
                None,
                Some("x".into()),
            ),
        ];
        let quota = vec![QuotaLine { resource: "cores".into(), used: 18, change: 4, limit: Some(20) }];
        let waiting = vec!["machines: 1 of 3 nodes".into()];
        let plan = Plan { changes, quota, waiting, blocked: vec![] };
        let plan = SubjectPlan { name: "web".into(), plan, failed: None };
        insta::assert_snapshot!(in_words(&[plan], &Printer::plain()));
    }
}
