//! `capstan cluster scale`

use capstan_core::documents::PathPart::{Key, Named};
use capstan_core::documents::{EditError, set_number};
use capstan_core::names::CONTROL_PLANE;

use super::apply_all;
use crate::error::{CommandError, CommandResult};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::world::World;

/// How many machines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan cluster scale web default=5
  capstan cluster scale web control-plane=3 gpu=0")]
pub(crate) struct Args {
    /// Name of the cluster
    #[arg(value_name = "CLUSTER")]
    name: String,
    /// A node group, or `control-plane`, and its number of machines
    #[arg(value_name = "GROUP=N", required = true, value_parser = count)]
    counts: Vec<(String, u32)>,
}

fn count(text: &str) -> Result<(String, u32), String> {
    let (group, number) =
        text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`: write `default=5`"))?;
    let number = number.parse().map_err(|_| format!("`{number}` is not a number of machines"))?;
    Ok((group.to_owned(), number))
}

pub(super) async fn run(args: &Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let folder = folder.edit(&args.name, settings, printer, |mut text| {
        for (group, number) in &args.counts {
            text = set(&text, &args.name, group, *number)?;
        }
        Ok(text)
    })?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    apply_all(&world, std::slice::from_ref(&args.name), settings, printer).await
}

fn set(text: &str, cluster: &str, group: &str, number: u32) -> CommandResult<String> {
    let number = i64::from(number);
    let edited = if group == CONTROL_PLANE {
        set_number(text, cluster, &[Key("spec"), Key("controlPlane"), Key("replicas")], number)
    } else {
        set_number(text, cluster, &[Key("spec"), Key("nodeGroups"), Named(group), Key("replicas")], number)
    };
    edited.map_err(|error| match error {
        EditError::NoItem { .. } => CommandError::usage(error)
            .hint("a group of the fleet's defaults has to be named in the cluster's document, too"),
        other => CommandError::usage(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(count("default=5"), Ok(("default".into(), 5)));
        for bad in ["default", "default=", "default=many", "default=-1"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
