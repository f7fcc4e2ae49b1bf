//! The only place that prints: results to standard output, everything else to standard error.

use std::io::{self, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::args::Output;
use crate::error::{CommandError, ErrorKind};
use crate::settings::Settings;

/// Prints. Clones share one output, so that lines of different tasks don't mix.
#[derive(Clone)]
pub(crate) struct Printer {
    output: Output,
    color: bool,
    /// Results are not printed: the command is a part of another one.
    mute: bool,
    /// Prints lines above a live display, while there is one.
    above: Arc<Mutex<Option<indicatif::MultiProgress>>>,
}

/// Styles of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Good,
    Bad,
    Attention,
    Active,
    Quiet,
    Strong,
}

/// `text` in a style, where colours are wanted.
pub(crate) fn styled(color: bool, style: Style, text: &str) -> String {
    if !color || text.is_empty() {
        return text.to_owned();
    }
    let code = match style {
        Style::Good => "32",
        Style::Bad => "31",
        Style::Attention => "33",
        Style::Active => "36",
        Style::Quiet => "2",
        Style::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The error as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReport<'a> {
    error: ErrorKind,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hints: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<&'a capstan_core::documents::Problems>,
}

impl Printer {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { output: settings.output, color: settings.color, mute: false, above: Arc::default() }
    }

    /// A printer for what happens before there are settings.
    pub(crate) fn plain() -> Self {
        Self { output: Output::Text, color: false, mute: false, above: Arc::default() }
    }

    /// A printer for commands that are part of another one, which has a result of its own.
    pub(crate) fn without_results(&self) -> Self {
        Self { mute: true, ..self.clone() }
    }

    pub(crate) fn style(&self, style: Style, text: &str) -> String {
        styled(self.color, style, text)
    }

    /// The result of a command: `text` for people, `value` for programs.
    pub(crate) fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        if self.mute {
            return Ok(());
        }
        let rendered = match self.output {
            Output::Text => text(),
            Output::Json => serde_json::to_string_pretty(value).map_err(CommandError::failed)?,
            Output::Yaml => serde_saphyr::to_string(value).map_err(CommandError::failed)?,
        };
        self.text(&rendered)
    }

    /// A result that is a text by itself, whatever the format: a script, a file.
    #[expect(clippy::unused_self, reason = "what prints belongs to the printer")]
    pub(crate) fn text(&self, text: &str) -> Result<(), CommandError> {
        let mut out = stdout().lock();
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
            // Who closed the pipe has read enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::failed(error)),
            _ => Ok(()),
        }
    }

    /// A message for people; programs get results and events only.
    pub(crate) fn message(&self, text: &str) {
        if self.output == Output::Text {
            self.line(text);
        }
    }

    /// A message in a style.
    pub(crate) fn styled_message(&self, style: Style, text: &str) {
        self.message(&self.style(style, text));
    }

    /// A line on standard error, above the live display if there is one. There is nobody left to tell that standard
    /// error is closed, so that is not an error.
    pub(crate) fn line(&self, text: &str) {
        let above = self.above.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = above.as_ref().map(|display| display.println(text));
        if !matches!(printed, Some(Ok(()))) {
            let _ = writeln!(stderr().lock(), "{text}");
        }
    }

    /// Asks on standard error, without a line's end.
    #[expect(clippy::unused_self, reason = "what prints belongs to the printer")]
    pub(crate) fn ask(&self, question: &str) {
        let mut err = stderr().lock();
        let _ = write!(err, "{question} ").and_then(|()| err.flush());
    }

    /// From now on lines go above `display`; without one, as they are.
    pub(crate) fn set_live(&self, display: Option<indicatif::MultiProgress>) {
        *self.above.lock().unwrap_or_else(PoisonError::into_inner) = display;
    }

    /// The end of a command that did not do what it was asked for.
    pub(crate) fn failure(&self, error: &CommandError) -> ExitCode {
        match self.output {
            Output::Text => self.explain(error),
            Output::Json | Output::Yaml => {
                let report = ErrorReport {
                    error: error.kind(),
                    causes: error.causes(),
                    hints: error.hints(),
                    problems: error.problems(),
                };
                let line = serde_json::to_string(&report).unwrap_or_else(|_| error.to_string());
                self.line(&line);
            }
        }
        ExitCode::from(error.kind().exit_code())
    }

    fn explain(&self, error: &CommandError) {
        if let Some(problems) = error.problems() {
            self.line(&problems.to_string());
        } else {
            let label = match error.kind() {
                ErrorKind::Interrupted => self.style(Style::Attention, "stopped:"),
                ErrorKind::Deadline => self.style(Style::Attention, "not finished:"),
                ErrorKind::Blocked => self.style(Style::Attention, "blocked:"),
                ErrorKind::Failed | ErrorKind::Usage => self.style(Style::Bad, "error:"),
            };
            for (depth, cause) in error.causes().iter().enumerate() {
                match depth {
                    0 => self.line(&format!("{label} {cause}")),
                    _ => self.line(&format!("  caused by: {cause}")),
                }
            }
        }
        for hint in error.hints() {
            self.line(&format!("  {} {hint}", self.style(Style::Active, "hint:")));
        }
    }

    /// Help, the version, or what is wrong with the command line.
    pub(crate) fn usage(&self, error: &clap::Error) -> ExitCode {
        // clap knows which of the two streams the text belongs to.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    }
}
