//! Flags, environment and places of files as one typed value, made once. Nothing else of Capstan looks at the process.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use capstan_engine::{Clock, SystemClock};
use capstan_openstack::Environment;
use tracing_subscriber::EnvFilter;

use crate::args::{Color, GlobalArgs, Output};
use crate::error::{CommandError, CommandResult};

/// How the name of a Lease's holder begins.
const HOLDER: &str = "capstan on ";

/// The name of this host, in the way in which Linux tells it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this host".to_owned() } else { name.trim().to_owned() }
}

/// The file that makes a folder a fleet's.
pub(crate) const FLEET_FILE: &str = "fleet.yaml";

/// Everything that a command needs to know of its surroundings.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What `--fleet` said.
    fleet: Option<PathBuf>,
    /// Variables, current directory and home, as the OpenStack client wants them.
    pub(crate) environment: Environment,
    /// How results are written.
    pub(crate) output: Output,
    /// Questions are answered with yes.
    pub(crate) yes: bool,
    /// Nothing is done.
    pub(crate) dry_run: bool,
    /// How long to wait.
    pub(crate) timeout: Option<Duration>,
    /// How much to say.
    verbose: u8,
    /// Whether colours are used.
    pub(crate) color: bool,
    /// Whether somebody sits there to answer questions.
    pub(crate) can_ask: bool,
    /// Whether standard error is a terminal that can show a live display.
    pub(crate) live: bool,
    /// The time of this run; on a sandbox it may run faster.
    clock: Arc<dyn Clock>,
}

impl Settings {
    /// Reads the process's surroundings.
    pub(crate) fn resolve(args: &GlobalArgs) -> CommandResult<Self> {
        // Variables that are not text cannot be ours.
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        let cwd = std::env::current_dir().map_err(|error| CommandError::file(Path::new("."), error))?;
        let home = variables.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let environment = Environment { variables, cwd, home };
        let terminal = stderr().is_terminal();
        let dumb = environment.variable("TERM").is_none_or(|term| term == "dumb");
        let color = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !dumb && environment.variable("NO_COLOR").is_none(),
        };
        Ok(Self {
            fleet: args.fleet.clone(),
            output: args.output,
            yes: args.yes,
            dry_run: args.dry_run,
            timeout: args.timeout,
            verbose: args.verbose,
            color,
            can_ask: terminal && stdin().is_terminal(),
            live: terminal && !dumb,
            environment,
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// The time of this run.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The folder of the fleet: the named one, or the nearest from the current one upwards.
    pub(crate) fn fleet_folder(&self) -> CommandResult<PathBuf> {
        if let Some(named) = &self.fleet {
            let folder = self.environment.cwd.join(named);
            return if folder.join(FLEET_FILE).is_file() {
                Ok(folder)
            } else {
                let error = CommandError::usage(format!("`{}` holds no `{FLEET_FILE}`", named.display()));
                Err(error.hint(format!("write one: capstan init {}", named.display())))
            };
        }
        let above = self.environment.cwd.ancestors().find(|folder| folder.join(FLEET_FILE).is_file());
        above.map(Path::to_path_buf).ok_or_else(|| {
            CommandError::usage(format!("neither this folder nor one above it holds a `{FLEET_FILE}`"))
                .hint("write one: capstan init")
                .hint("or name the fleet's folder: --fleet DIR")
        })
    }

    /// The same settings for a fleet on a sandbox: nothing that the process's own variables say of clouds counts.
    pub(crate) fn for_sandbox(&self, folder: &Path, clouds_yaml: &Path, clock: Arc<dyn Clock>) -> Self {
        let mut settings = self.clone();
        settings.fleet = Some(folder.to_path_buf());
        settings.clock = clock;
        let environment = &mut settings.environment;
        environment.cwd = folder.to_path_buf();
        let foreign = |name: &str| name.starts_with("OS_") || name.to_ascii_lowercase().ends_with("_proxy");
        environment.variables.retain(|name, _| !foreign(name));
        let clouds_yaml = clouds_yaml.to_string_lossy().into_owned();
        environment.variables.insert("OS_CLIENT_CONFIG_FILE".to_owned(), clouds_yaml);
        settings
    }

    /// The same settings with every question answered.
    pub(crate) fn without_questions(&self) -> Self {
        Self { yes: true, ..self.clone() }
    }

    /// Who this process is to others that want to write to the same cluster.
    pub(crate) fn holder(&self) -> String {
        format!("{HOLDER}{}, process {}", host(), std::process::id())
    }

    /// Whether the holder of a Lease was a process of this host that is not there any more. What is on other hosts is
    /// not known, so it counts as alive.
    pub(crate) fn is_dead(holder: &str) -> bool {
        let process = holder.strip_prefix(HOLDER).and_then(|rest| rest.strip_prefix(&host()));
        let process = process.and_then(|rest| rest.strip_prefix(", process "));
        let there = |id: u32| Path::new("/proc").join(id.to_string()).exists();
        Path::new("/proc/self").exists()
            && process.and_then(|id| id.parse().ok()).is_some_and(|id| !there(id))
    }

    /// Starts the log on standard error, where it was asked for by `-v` or `CAPSTAN_LOG`.
    pub(crate) fn start_tracing(&self) {
        // Of other people's crates no more than warnings: some show addresses with the passwords in them.
        let level = match self.verbose {
            0 => None,
            1 => Some("info"),
            2 => Some("debug"),
            _ => Some("trace"),
        };
        let ours = [
            "capstan",
            "capstan_clusters",
            "capstan_management",
            "capstan_engine",
            "capstan_openstack",
            "capstan_kube",
        ];
        let asked = level.map(|level| ours.map(|name| format!("{name}={level}")).join(","));
        let Some(directives) = self.environment.variable("CAPSTAN_LOG").map(str::to_owned).or(asked) else {
            return;
        };
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(directives))
            .with_writer(std::io::stderr)
            .with_ansi(self.color)
            .with_target(false)
            .init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_host_that_has_gone_is_dead() {
        let of = |process: u32| format!("{HOLDER}{}, process {process}", host());
        assert!(!Settings::is_dead(&of(std::process::id())));
        assert!(!Settings::is_dead("capstan on another-host, process 1"));
        assert!(!Settings::is_dead("somebody"));
        if Path::new("/proc/self").exists() {
            // Linux numbers processes up to 2^22 at most.
            assert!(Settings::is_dead(&of(1 << 23)));
        }
    }
}
