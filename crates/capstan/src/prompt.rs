//! Questions on the terminal.

use std::io::{BufRead, stdin};

use crate::error::{CommandError, CommandResult};
use crate::printer::{Printer, Style};
use crate::settings::Settings;

/// Asks people, where there are any.
pub(crate) struct Prompt<'a> {
    settings: &'a Settings,
    printer: &'a Printer,
}

impl<'a> Prompt<'a> {
    pub(crate) const fn new(settings: &'a Settings, printer: &'a Printer) -> Self {
        Self { settings, printer }
    }

    /// A text; an empty answer takes the default.
    pub(crate) fn text(&self, question: &str, default: &str) -> CommandResult<String> {
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        self.printer.ask(&format!("{question}{}", self.printer.style(Style::Quiet, &shown)));
        let answer = Self::answer()?;
        Ok(if answer.is_empty() { default.to_owned() } else { answer })
    }

    /// Whether to go on. With `--yes` it is; without anybody to ask it is not.
    pub(crate) fn confirm(&self, question: &str) -> CommandResult<()> {
        if self.settings.yes {
            return Ok(());
        }
        self.need_somebody(question)?;
        self.printer.ask(&format!("{question} [y/N]"));
        match Self::answer()?.to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(CommandError::interrupted("nothing was changed")),
        }
    }

    /// Whether to destroy `name`: the name must be typed. With `--yes` it is taken for typed.
    pub(crate) fn typed_name(&self, what: &str, name: &str) -> CommandResult<()> {
        if self.settings.yes {
            return Ok(());
        }
        self.need_somebody(what)?;
        self.printer.ask(&format!("{what} Type its name to confirm:"));
        if Self::answer()? == name {
            return Ok(());
        }
        Err(CommandError::interrupted("that is not its name; nothing was deleted"))
    }

    fn need_somebody(&self, question: &str) -> CommandResult<()> {
        if self.settings.can_ask {
            return Ok(());
        }
        Err(CommandError::usage(format!("there is nobody to ask: {question}"))
            .hint("answer beforehand: --yes"))
    }

    fn answer() -> CommandResult<String> {
        let mut line = String::new();
        match stdin().lock().read_line(&mut line) {
            Ok(0) => Err(CommandError::interrupted("no answer")),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(CommandError::failed(error)),
        }
    }
}
