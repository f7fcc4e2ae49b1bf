//! Finding and reading `clouds.yaml`, `clouds-public.yaml` and `secure.yaml`.

use std::path::{Path, PathBuf};

use super::entry::File;
use super::error::ConfigError;
use crate::environment::Environment;

/// Endings under which the files are looked for, in this order. JSON is YAML, too.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Files of clouds are a few kilobytes. Larger ones are refused before they are parsed.
const LARGEST: u64 = 1024 * 1024;

/// The three files of one environment. A file that does not exist is empty.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) clouds: File,
    pub(super) public: File,
    pub(super) secure: File,
    /// Where `clouds` came from.
    pub(super) found: Option<PathBuf>,
}

impl Files {
    pub(super) fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let (found, clouds) = read_first(environment, "OS_CLIENT_CONFIG_FILE", "clouds")?;
        let (_, public) = read_first(environment, "OS_CLIENT_VENDOR_FILE", "clouds-public")?;
        let (_, secure) = read_first(environment, "OS_CLIENT_SECURE_FILE", "secure")?;
        Ok(Self { clouds, public, secure, found })
    }
}

/// The file that `variable` names, else the first `stem.yaml` of the standard folders.
fn read_first(
    environment: &Environment,
    variable: &str,
    stem: &str,
) -> Result<(Option<PathBuf>, File), ConfigError> {
    if let Some(named) = environment.variable(variable) {
        // Whoever names a file means it: one that is missing is an error, not a reason to take another cloud.
        let path = environment.path(named);
        return read(&path).map(|file| (Some(path), file));
    }
    for folder in environment.folders() {
        for ending in ENDINGS {
            let path = folder.join(format!("{stem}.{ending}"));
            if path.is_file() {
                return read(&path).map(|file| (Some(path), file));
            }
        }
    }
    Ok((None, File::default()))
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let failed = |source| ConfigError::Read { file: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST {
        return Err(failed(std::io::Error::other(format!(
            "it has {size} bytes, at most {LARGEST} are read"
        ))));
    }
    parse(path, &std::fs::read_to_string(path).map_err(failed)?)
}

/// Parses a file's text; `path` is for the messages.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    // An empty file, or one of comments only, has no cloud.
    serde_saphyr::from_str::<Option<File>>(text).map(Option::unwrap_or_default).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        ConfigError::Parse { file: path.to_owned(), line, column, message: describe(&error) }
    })
}

/// The parser's message without source lines and without values: either may hold a password.
fn describe(error: &serde_saphyr::Error) -> String {
    let message = error.without_snippet().to_string();
    let first = message.lines().next().unwrap_or_default();
    let mut shown = String::new();
    for (index, part) in first.split('"').enumerate() {
        shown.push_str(if index % 2 == 0 { part } else { "\"...\"" });
    }
    // The place is told apart from the message.
    shown.split(" at line ").next().unwrap_or_default().trim().to_owned()
}
