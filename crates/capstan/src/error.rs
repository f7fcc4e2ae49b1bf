//! What a command ends with: a kind that becomes the exit code, the error, and the ways out.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use capstan_core::documents::Problems;
use serde::Serialize;

/// What kind of end it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ErrorKind {
    /// It was tried and failed.
    Failed,
    /// Wrong use, or a document that cannot be used.
    Usage,
    /// A person must act before it can go on.
    Blocked,
    /// The deadline came first; the work goes on in the cloud.
    Deadline,
    /// The user stopped it.
    Interrupted,
}

impl ErrorKind {
    /// The exit code, as the manual names it.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Blocked => 3,
            Self::Deadline => 4,
            Self::Interrupted => 130,
        }
    }
}

/// How a command ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is done.
    Done,
    /// `plan` found changes.
    ChangesFound,
}

impl From<Done> for ExitCode {
    fn from(done: Done) -> Self {
        match done {
            Done::Done => Self::SUCCESS,
            Done::ChangesFound => Self::from(10),
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: ErrorKind,
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

/// The result of a command, and of most of what it calls.
pub(crate) type CommandResult<T = Done> = Result<T, CommandError>;

impl CommandError {
    fn new(kind: ErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, error: error.into(), hints: vec![] }
    }

    pub(crate) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Failed, error)
    }

    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Usage, error)
    }

    pub(crate) fn blocked(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Blocked, error)
    }

    pub(crate) fn deadline(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Deadline, error)
    }

    pub(crate) fn interrupted(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Interrupted, error)
    }

    /// Reading or writing a file of the user failed.
    pub(crate) fn file(path: &std::path::Path, error: std::io::Error) -> Self {
        Self::failed(FileError { path: path.display().to_string(), source: error })
    }

    /// The same error with a way out.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) const fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// What is wrong with documents, if that is what it is.
    pub(crate) fn problems(&self) -> Option<&Problems> {
        self.error.downcast_ref()
    }

    /// The error and its sources, outermost first, none said twice.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = vec![self.error.to_string()];
        let mut source = self.error.source();
        while let Some(error) = source {
            let text = error.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            source = error.source();
        }
        causes
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.causes().join(": "))
    }
}

impl From<Problems> for CommandError {
    fn from(problems: Problems) -> Self {
        Self::usage(problems)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be used")]
struct FileError {
    path: String,
    source: std::io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        let kinds = [
            ErrorKind::Failed,
            ErrorKind::Usage,
            ErrorKind::Blocked,
            ErrorKind::Deadline,
            ErrorKind::Interrupted,
        ];
        assert_eq!(kinds.map(ErrorKind::exit_code), [1, 2, 3, 4, 130]);
    }

    #[test]
    fn causes_go_from_the_outside_in() {
        let error = CommandError::file(std::path::Path::new("a"), std::io::Error::other("disk full"));
        assert_eq!(error.causes(), ["`a` cannot be used", "disk full"]);
    }
}
