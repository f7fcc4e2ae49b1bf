//! What the surroundings of a process say, as a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables, current directory and home of the user. Filled by the binary: nothing in this crate looks at the process.
#[derive(Clone, Default)]
pub struct Environment {
    /// Environment variables by name.
    pub variables: BTreeMap<String, String>,
    /// The current directory: the first place where files are looked for, and the base of relative paths.
    pub cwd: PathBuf,
    /// The user's home, if there is one.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// A variable's value. Empty counts as not set, as in every OpenStack client.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A path that a file or a variable names: `~/` is the home, relative ones start at the current directory.
    #[must_use]
    pub fn path(&self, named: &str) -> PathBuf {
        match (named.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.cwd.join(named),
        }
    }

    /// The folders that hold `clouds.yaml` and its companions, in the order in which they are searched.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.cwd.clone()];
        let mut add = |folder: PathBuf| {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        };
        if let Some(config) = self.variable("XDG_CONFIG_HOME") {
            add(Path::new(config).join("openstack"));
        }
        if let Some(home) = &self.home {
            add(home.join(".config/openstack"));
        }
        add(PathBuf::from("/etc/openstack"));
        folders
    }
}

/// Variables may hold passwords: only their names are shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("cwd", &self.cwd)
            .field("home", &self.home)
            .finish()
    }
}
