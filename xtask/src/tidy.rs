//! `cargo xtask tidy`: the house rules as code. Every rule is a function over the repository that returns what it
//! found; each has a name, by which ARCHITECTURE.md tells what it keeps.

mod crates;
mod documents;
mod lockfile;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{output, repository};

/// The repository's text files, read once.
struct Repository {
    root: PathBuf,
    files: Vec<File>,
}

struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl Repository {
    fn read(root: &Path) -> Result<Self> {
        let mut read = Vec::new();
        for path in files(root)? {
            let bytes =
                std::fs::read(root.join(&path)).with_context(|| format!("read {}", path.display()))?;
            // What is not text is an asset: a picture, a recorded archive.
            if let Ok(text) = String::from_utf8(bytes) {
                read.push(File { path: path.to_string_lossy().into_owned(), text });
            }
        }
        Ok(Self { root: root.to_path_buf(), files: read })
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// A breach of a rule: where, and what to do about it.
type Findings = Vec<String>;

struct Rule {
    name: &'static str,
    check: fn(&Repository) -> Result<Findings>,
}

const RULES: &[Rule] = &[
    Rule { name: "direction", check: crates::direction },
    Rule { name: "pure-core", check: crates::pure_core },
    Rule { name: "crate-docs", check: crates::crate_docs },
    Rule { name: "crate-map", check: crates::crate_map },
    Rule { name: "file-length", check: sources::file_length },
    Rule { name: "time", check: sources::time },
    Rule { name: "environment", check: sources::environment },
    Rule { name: "printing", check: sources::printing },
    Rule { name: "last-newline", check: sources::last_newline },
    Rule { name: "foreign-places", check: sources::foreign_places },
    Rule { name: "one-tls", check: lockfile::one_tls },
    Rule { name: "public-registry", check: lockfile::public_registry },
    Rule { name: "links", check: documents::links },
    Rule { name: "changelog", check: documents::changelog },
    Rule { name: "invariants", check: documents::invariants },
];

pub(crate) fn run() -> Result<()> {
    let repository = Repository::read(&repository())?;
    let mut count = 0;
    for rule in RULES {
        for finding in (rule.check)(&repository).with_context(|| format!("rule `{}`", rule.name))? {
            println!("{}: {finding}", rule.name);
            count += 1;
        }
    }
    if count > 0 {
        bail!("{count} breaches of the house rules (STYLE.md)");
    }
    println!("{} rules hold for {} files", RULES.len(), repository.files.len());
    Ok(())
}

/// Every file of the repository, those that are not committed yet included; ignored ones are not.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    let listed = output(Command::new("git").args(arguments).current_dir(root))?;
    let mut files: Vec<_> = listed.split_terminator('\0').map(PathBuf::from).collect();
    files.retain(|path| root.join(path).is_file()); // deleted, and not committed yet
    files.sort();
    Ok(files)
}

#[cfg(test)]
fn sample(files: &[(&str, &str)]) -> Repository {
    let files =
        files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
    Repository { root: PathBuf::from("/nonexistent"), files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rules_are_unique() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
