//! Why a step failed: the chain of causes, the ways out, and whether trying again may help.

use std::error::Error;

/// The error of a step. Independent failures don't stop one another; each ends in the report with its causes.
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
    transient: bool,
}

impl Failure {
    /// An error that the next pass meets again unless a person acts.
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hints: Vec::new(), transient: false }
    }

    /// An error that may be gone at the next pass: an unreachable service, a conflict, a lost answer.
    pub fn transient(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), hints: Vec::new(), transient: true }
    }

    /// An error of a client that knows whether another try may help, and the way out if it knows one.
    pub fn of(error: impl Into<Box<dyn Error + Send + Sync>>, transient: bool, hint: Option<String>) -> Self {
        Self { error: error.into(), hints: hint.into_iter().collect(), transient }
    }

    /// Adds a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whether the next pass may succeed without anybody acting.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.transient
    }

    /// The ways out, nearest first.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The error and its sources, outermost first. A source that says the same as the error above it is left out.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
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

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.causes().join(": "))
    }
}
