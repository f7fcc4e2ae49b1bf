//! What can be wrong with the configuration of a cloud.

use std::path::PathBuf;

/// Why there is no usable configuration of a cloud. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that should be there cannot be read.
    #[error("cannot read `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not YAML, or its shape is not that of such a file.
    #[error("`{}`, line {line}, column {column}: {message}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Line, from 1; 0 where it is not known.
        line: u64,
        /// Column, from 1; 0 where it is not known.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// No file was found and `OS_AUTH_URL` is not set.
    #[error("no cloud is configured: there is no `clouds.yaml` in {}", list_paths(searched))]
    NoClouds {
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// Nothing says which of the clouds is meant.
    #[error("which cloud is meant? known clouds: {}", list(known))]
    Unnamed {
        /// The clouds of the files.
        known: Vec<String>,
    },
    /// The named cloud is in none of the files.
    #[error("there is no cloud `{name}`{}; known clouds: {}", did_you_mean(near.as_deref()), list(known))]
    UnknownCloud {
        /// The name asked for.
        name: String,
        /// The known name that looks most like it.
        near: Option<String>,
        /// The clouds of the files.
        known: Vec<String>,
    },
    /// A cloud refers to a profile that `clouds-public.yaml` does not have.
    #[error(
        "cloud `{cloud}` uses the profile `{profile}`{}; known profiles: {}", did_you_mean(near.as_deref()), list(known)
    )]
    UnknownProfile {
        /// The cloud.
        cloud: String,
        /// The profile that it names.
        profile: String,
        /// The known profile that looks most like it.
        near: Option<String>,
        /// The profiles of `clouds-public.yaml`.
        known: Vec<String>,
    },
    /// Something is missing without which nobody can log in.
    #[error("cloud `{cloud}` lacks {what}")]
    Missing {
        /// The cloud.
        cloud: String,
        /// The key, or the keys of which one is needed.
        what: &'static str,
    },
    /// A value cannot be used.
    #[error("cloud `{cloud}`: `{key}` is `{value}`, but {expected}")]
    Invalid {
        /// The cloud.
        cloud: String,
        /// The key.
        key: &'static str,
        /// Its value; never a secret's.
        value: String,
        /// What would be valid.
        expected: &'static str,
    },
}

impl ConfigError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoClouds { .. } => {
                Some("put a `clouds.yaml` into one of these folders, or set `OS_CLIENT_CONFIG_FILE`".into())
            }
            Self::Unnamed { .. } => Some("name the cloud, or set `OS_CLOUD`".into()),
            Self::Missing { .. } => {
                Some("it may stand in `clouds.yaml`, in `secure.yaml`, or in a variable `OS_...`".into())
            }
            Self::UnknownProfile { .. } => {
                Some("profiles stand under `public-clouds` in `clouds-public.yaml`".into())
            }
            _ => None,
        }
    }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn list_paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}
