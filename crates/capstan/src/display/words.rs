//! Events in words.

use std::collections::HashSet;

use capstan_engine::{Ended, Event, EventKind};

use super::board::elapsed;
use crate::printer::Style;

/// Turns events into lines for people, one after another.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Subject and component of the steps of which something was said: of these the end is said, too.
    told: HashSet<(String, String)>,
}

impl Lines {
    /// The event as a line with its style; none for what need not be said.
    pub(crate) fn line(&mut self, event: &Event) -> Option<(Style, String)> {
        let (style, component, text) = match &event.kind {
            EventKind::PassStarted { .. } | EventKind::Held { .. } | EventKind::Progress { .. } => {
                return None;
            }
            EventKind::StepStarted { component, changes: lines } => {
                (Style::Active, component, changes(lines))
            }
            EventKind::Waiting { component, on } => (Style::Quiet, component, format!("waits for {on}")),
            EventKind::StepDone { component, elapsed: millis, .. } => {
                if !self.told.contains(&(event.subject.clone(), component.clone())) {
                    return None;
                }
                (Style::Good, component, format!("done after {}", elapsed(*millis)))
            }
            EventKind::Blocked { component, why, hint } => {
                let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
                (Style::Attention, component, format!("blocked: {why}{hint}"))
            }
            EventKind::Warned { component, message } => {
                (Style::Attention, component, format!("warning: {message}"))
            }
            EventKind::Failed { component, causes, retried, .. } => {
                let again = if *retried { " (tried again)" } else { "" };
                (Style::Bad, component, format!("failed: {}{again}", causes.join(": ")))
            }
            EventKind::Ended { how, elapsed: millis } => {
                let (style, text) = ended(*how);
                return Some((style, format!("{}: {text} after {}", event.subject, elapsed(*millis))));
            }
        };
        self.told.insert((event.subject.clone(), component.clone()));
        Some((style, format!("{}/{component}: {text}", event.subject)))
    }
}

/// How a run ended, in words.
pub(crate) const fn ended(how: Ended) -> (Style, &'static str) {
    match how {
        Ended::Settled => (Style::Good, "as wanted"),
        Ended::Blocked => (Style::Attention, "blocked"),
        Ended::Failed => (Style::Bad, "failed"),
        Ended::Deadline => (Style::Attention, "not finished"),
        Ended::Cancelled => (Style::Attention, "stopped"),
    }
}

/// The changes of a step in one line.
pub(crate) fn changes(changes: &[String]) -> String {
    match changes {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// How far a step has come.
pub(crate) fn progress(done: u64, total: Option<u64>, unit: &str) -> String {
    let shown = |count: u64| if unit == "bytes" { bytes(count) } else { count.to_string() };
    let unit = if unit == "bytes" { "" } else { unit };
    let text = match total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = u128::from(done) * 100 / u128::from(total);
            format!("{} of {} {unit} ({percent}%)", shown(done), shown(total))
        }
        None => format!("{} {unit}", shown(done)),
    };
    text.replace("  ", " ").trim_end().to_owned()
}

/// A number of bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    if tenths < 10_240 {
        return format!("{}.{} MiB", tenths / 10, tenths % 10);
    }
    let tenths = tenths / 1024;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_had_nothing_to_do_are_not_told() {
        let event = |kind| Event { at: 0, subject: "web".into(), kind };
        let done =
            |changes| event(EventKind::StepDone { component: "image".into(), changes, elapsed: 1_500 });
        let mut lines = Lines::default();
        assert_eq!(lines.line(&done(0)), None);
        let waiting = event(EventKind::Waiting { component: "image".into(), on: "an upload".into() });
        assert_eq!(lines.line(&waiting).unwrap().1, "web/image: waits for an upload");
        assert_eq!(lines.line(&done(0)).unwrap().1, "web/image: done after 1.5s");
    }

    #[test]
    fn progress_in_words() {
        assert_eq!(progress(3, Some(5), "machines"), "3 of 5 machines (60%)");
        assert_eq!(progress(1 << 20, None, "bytes"), "1.0 MiB");
        assert_eq!(progress(1 << 30, Some(4 << 30), "bytes"), "1.0 GiB of 4.0 GiB (25%)");
        assert_eq!(progress(0, Some(0), "machines"), "0 machines");
    }
}
