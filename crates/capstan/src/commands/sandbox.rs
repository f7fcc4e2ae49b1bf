//! `capstan sandbox`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use capstan_sandbox::{Config, Sandbox, Speed};
use serde::Serialize;

use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::write_file;
use crate::printer::Printer;
use crate::settings::Settings;

/// How the sandbox runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan sandbox                     then: export OS_CLIENT_CONFIG_FILE=sandbox/clouds.yaml OS_CLOUD=sandbox
  capstan sandbox --speed 60          a minute passes in a second
  capstan sandbox --speed max         nothing takes longer than it must")]
pub(crate) struct Args {
    /// Folder for `clouds.yaml` and `kubeconfig`
    #[arg(default_value = "sandbox", value_name = "DIR")]
    folder: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// How many times faster than real time, or `max`
    #[arg(long, default_value = "1", value_parser = speed, value_name = "FACTOR")]
    speed: Speed,
    /// Seed of everything that is random in it
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Where a sandbox is, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    auth_url: String,
    clouds_yaml: PathBuf,
    kubeconfig: PathBuf,
}

impl Place {
    /// The file with the sandbox's entry.
    pub(crate) fn clouds_yaml(&self) -> &Path {
        &self.clouds_yaml
    }
}

/// `60`, `0.5` or `max`.
pub(crate) fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
        _ => Err(format!("`{text}` is not a speed: write a number such as `60`, or `max`")),
    }
}

/// Starts a sandbox.
pub(crate) async fn start(listen: SocketAddr, speed: Speed, seed: u64) -> CommandResult<Sandbox> {
    let config = Config { speed, seed, listen, ..Default::default() };
    Sandbox::start(config).await.map_err(CommandError::failed)
}

/// Writes the files with which clients find the sandbox. They hold its made-up password, so they are their owner's.
pub(crate) fn write_access(sandbox: &Sandbox, folder: &Path) -> CommandResult<Place> {
    let place = Place {
        auth_url: sandbox.auth_url(),
        clouds_yaml: folder.join("clouds.yaml"),
        kubeconfig: folder.join("kubeconfig"),
    };
    write_file(&place.clouds_yaml, &sandbox.clouds_yaml(), true)?;
    write_file(&place.kubeconfig, &sandbox.kubeconfig(), true)?;
    Ok(place)
}

/// How to use a sandbox that runs.
pub(crate) fn directions(place: &Place) -> String {
    format!(
        "export OS_CLIENT_CONFIG_FILE={} OS_CLOUD=sandbox\nexport KUBECONFIG={}",
        place.clouds_yaml.display(),
        place.kubeconfig.display()
    )
}

pub(crate) async fn run(args: Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let sandbox = start(args.listen, args.speed, args.seed).await?;
    let place = write_access(&sandbox, &settings.environment.cwd.join(&args.folder))?;
    printer.result(&place, || directions(&place))?;
    printer
        .message(&format!("the sandbox listens at {}; Ctrl-C ends it and everything in it", place.auth_url));
    let waited = tokio::signal::ctrl_c().await;
    sandbox.shutdown().await;
    // Asked to run until Ctrl-C, it did: that is its ordinary end.
    waited.map(|()| Done::Done).map_err(CommandError::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert!(matches!(speed("max"), Ok(Speed::Max)));
        assert!(matches!(speed("60x"), Ok(Speed::Times(factor)) if (factor - 60.0).abs() < 1e-9));
        for bad in ["", "0", "-1", "fast", "NaN", "inf"] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
