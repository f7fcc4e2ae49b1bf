//! The command line. Doc comments are the help texts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::commands::{cluster, completion, demo, image, init, sandbox, schema};

const EXAMPLES: &str = "\
Examples:
  capstan demo                          see clusters come to life, without a cloud
  capstan init --cloud my-cloud         write a fleet folder
  capstan up                            check the management plane and prepare it
  capstan cluster create web            write clusters/web.yaml and make it so
  capstan plan                          what would change, and how; exit code 10 if anything would
  capstan cluster scale web default=5   change the document, then the cluster
  capstan cluster delete web            take it away, with everything that is proven to be its own

Exit codes: 0 done, 1 failed, 2 wrong use or invalid document, 3 a person must act,
            4 deadline reached while the work goes on, 10 `plan` found changes, 130 interrupted";

/// Runs Kubernetes clusters in an OpenStack project, from one declared configuration
#[derive(Debug, Parser)]
#[command(name = "capstan", version, about, after_help = EXAMPLES, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Reads the process's command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::try_parse()
    }
}

/// What every command understands.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Folder of the fleet; by default the current one or the nearest above it that holds a `fleet.yaml`
    #[arg(long, global = true, value_name = "DIR", env = "CAPSTAN_FLEET")]
    pub(crate) fleet: Option<PathBuf>,
    /// How results are written to standard output; with `json`, events go to standard error as JSON lines
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Take every question for answered with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Stop waiting after this time, such as `90s`, `30m` or `1h`; the work itself goes on
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Say more: `-v` what is done, `-vv` every call to a service
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
}

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything on the built-in sandbox: no cloud, no account, no containers
    Demo(demo::Args),
    /// Run the built-in sandbox: a simulated OpenStack and management plane to play with
    Sandbox(sandbox::Args),
    /// Write a fleet folder, from questions or from flags
    Init(init::Args),
    /// Check what clusters need before they are made, all problems in one list
    Preflight(cluster::NamesArgs),
    /// Say what `up` and `cluster apply` would change; exit code 10 if anything
    Plan(cluster::NamesArgs),
    /// Check the management plane and prepare it for the fleet
    Up,
    /// Show the management plane and the clusters
    Status,
    /// Follow the fleet as it changes
    Watch(cluster::NamesArgs),
    /// Create, change, show and delete clusters
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Show, register and remove the images that nodes start from
    #[command(subcommand)]
    Image(image::Command),
    /// Print the JSON Schema of a document
    Schema(schema::Args),
    /// Print the completion script of a shell
    Completion(completion::Args),
}

/// A time such as `90s`, `30m`, `1h30m`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write `90s`, `30m` or `1h30m`");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut digits = String::new();
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(wrong()),
        };
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let seconds = count.checked_mul(unit).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_secs(seconds)).ok_or_else(wrong)?;
        digits.clear();
    }
    if digits.is_empty() && !text.is_empty() { Ok(total) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "m", "1x", "1h30", "-1s", "99999999999999999999s", "9999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
