//! The state of all steps, built from events and shown as lines. Pure, so that what a terminal shows can be tested.

use capstan_engine::{Event, EventKind};

use crate::printer::{Style, styled};

/// All subjects with their steps, in the order in which they first appeared.
#[derive(Debug, Default)]
pub(crate) struct Board {
    subjects: Vec<Subject>,
}

#[derive(Debug)]
struct Subject {
    name: String,
    steps: Vec<Step>,
    started: u64,
    /// When the run ended, and how.
    ended: Option<(u64, Style)>,
}

#[derive(Debug)]
struct Step {
    component: String,
    state: State,
    detail: String,
    /// When it was first worked on or waited for, and when it was done.
    since: Option<u64>,
    until: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Active,
    Waiting,
    /// Nothing had to be done or waited for.
    Same,
    Done,
    Blocked,
    Failed,
}

impl Board {
    /// Takes an event in.
    pub(crate) fn apply(&mut self, event: &Event) {
        let subject = self.subject(&event.subject, event.at);
        let at = event.at;
        match &event.kind {
            EventKind::PassStarted { .. } => subject.ended = None,
            EventKind::Ended { how, .. } => subject.ended = Some((at, super::words::ended(*how).0)),
            EventKind::StepStarted { component, changes } => {
                subject.step(component).set(State::Active, at, super::words::changes(changes));
            }
            EventKind::Progress { component, done, total, unit } => {
                subject.step(component).set(State::Active, at, super::words::progress(*done, *total, unit));
            }
            EventKind::Waiting { component, on } => {
                subject.step(component).set(State::Waiting, at, format!("waits for {on}"));
            }
            EventKind::StepDone { component, changes, .. } => {
                let step = subject.step(component);
                let (state, detail) = match changes {
                    0 if step.since.is_none() => (State::Same, "as it was".to_owned()),
                    0 => (State::Done, String::new()),
                    1 => (State::Done, "1 change".to_owned()),
                    more => (State::Done, format!("{more} changes")),
                };
                step.set(state, at, detail);
            }
            EventKind::Held { component, by } => {
                subject.step(component).set(State::Held, at, format!("after {by}"))
            }
            EventKind::Blocked { component, why, .. } => {
                subject.step(component).set(State::Blocked, at, why.clone())
            }
            EventKind::Failed { component, causes, retried, .. } => {
                let again = if *retried { " (tried again)" } else { "" };
                subject.step(component).set(State::Failed, at, format!("{}{again}", causes.join(": ")));
            }
            EventKind::Warned { .. } => {}
        }
    }

    fn subject(&mut self, name: &str, at: u64) -> &mut Subject {
        let index = self.subjects.iter().position(|subject| subject.name == name).unwrap_or_else(|| {
            self.subjects.push(Subject { name: name.to_owned(), steps: vec![], started: at, ended: None });
            self.subjects.len() - 1
        });
        &mut self.subjects[index]
    }

    /// The lines to show at `now`. Of more than `height` lines, those are left out first of which least is to be seen:
    /// steps that had nothing to do, then those that wait for their turn, then those that are done.
    pub(crate) fn lines(&self, now: u64, width: usize, height: usize, color: bool) -> Vec<String> {
        let mut hidden: &[State] = &[];
        for more in
            [&[][..], &[State::Same], &[State::Same, State::Held], &[State::Same, State::Held, State::Done]]
        {
            hidden = more;
            if self.count(hidden) <= height {
                break;
            }
        }
        let frame = usize::try_from(now / 100).unwrap_or_default();
        let mut lines = Vec::new();
        for subject in &self.subjects {
            lines.push(subject.headline(now, color));
            let shown = subject.steps.iter().filter(|step| !hidden.contains(&step.state));
            lines.extend(shown.map(|step| step.line(now, frame, width, color)));
        }
        lines.truncate(height.max(1));
        lines
    }

    fn count(&self, hidden: &[State]) -> usize {
        let steps =
            |subject: &Subject| subject.steps.iter().filter(|step| !hidden.contains(&step.state)).count();
        self.subjects.iter().map(|subject| 1 + steps(subject)).sum()
    }
}

impl Subject {
    fn step(&mut self, component: &str) -> &mut Step {
        let index = self.steps.iter().position(|step| step.component == component).unwrap_or_else(|| {
            let component = component.to_owned();
            self.steps.push(Step {
                component,
                state: State::Held,
                detail: String::new(),
                since: None,
                until: None,
            });
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }

    fn headline(&self, now: u64, color: bool) -> String {
        let (until, style) = self.ended.unwrap_or((now, Style::Strong));
        let elapsed = elapsed(until.saturating_sub(self.started));
        format!("{} {}", styled(color, style, &self.name), styled(color, Style::Quiet, &elapsed))
    }
}

impl Step {
    fn set(&mut self, state: State, at: u64, detail: String) {
        self.state = state;
        self.detail = detail;
        if matches!(state, State::Held | State::Same) {
            return;
        }
        self.since.get_or_insert(at);
        self.until = matches!(state, State::Done | State::Blocked).then_some(at);
    }

    fn line(&self, now: u64, frame: usize, width: usize, color: bool) -> String {
        const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let (symbol, style) = match self.state {
            State::Held => ("·", Style::Quiet),
            State::Same => ("✓", Style::Quiet),
            State::Active => (SPINNER[frame % SPINNER.len()], Style::Active),
            State::Waiting => (SPINNER[frame % SPINNER.len()], Style::Attention),
            State::Done => ("✓", Style::Good),
            State::Blocked => ("!", Style::Attention),
            State::Failed => ("✗", Style::Bad),
        };
        let time = self.since.map(|since| elapsed(self.until.unwrap_or(now).saturating_sub(since)));
        let time = time.unwrap_or_default();
        // The detail takes what the terminal leaves: a wrapped line would break the redrawing.
        let room = width.saturating_sub(44).max(10);
        let detail = shortened(&self.detail, room);
        let detail = if matches!(self.state, State::Done | State::Same | State::Held) {
            styled(color, Style::Quiet, &detail)
        } else {
            detail
        };
        let symbol = styled(color, style, symbol);
        format!("  {symbol} {:<30} {time:>7}  {detail}", self.component).trim_end().to_owned()
    }
}

fn shortened(text: &str, room: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= room {
        return text;
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// A time in milliseconds for people: `4.2s`, `1m05s`, `1h02m`.
pub(crate) fn elapsed(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", millis % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use capstan_engine::Ended;
    use capstan_engine::event::Reason;

    use super::*;

    fn board(events: Vec<(u64, &str, EventKind)>) -> Board {
        let mut board = Board::default();
        for (at, subject, kind) in events {
            board.apply(&Event { at, subject: subject.into(), kind });
        }
        board
    }

    fn example() -> Board {
        let done = |component: &str, changes| EventKind::StepDone {
            component: component.into(),
            changes,
            elapsed: 0,
        };
        let held = |component: &str, by: &str| EventKind::Held { component: component.into(), by: by.into() };
        let started = EventKind::PassStarted { pass: 1, reason: Reason::Start };
        board(vec![
            (0, "web", started.clone()),
            (
                100,
                "web",
                EventKind::StepStarted { component: "image".into(), changes: vec!["create image x".into()] },
            ),
            (200, "web", done("namespace", 1)),
            (200, "web", held("machines", "control plane")),
            (
                250,
                "web",
                EventKind::Progress {
                    component: "image".into(),
                    done: 1 << 30,
                    total: Some(4 << 30),
                    unit: "bytes".into(),
                },
            ),
            (300, "api", started),
            (
                4_000,
                "web",
                EventKind::Waiting {
                    component: "control plane".into(),
                    on: "the first machine to boot".into(),
                },
            ),
            (
                5_000,
                "api",
                EventKind::Failed {
                    component: "credential".into(),
                    causes: vec!["refused".into(), "403".into()],
                    hints: vec![],
                    retried: true,
                },
            ),
            (
                6_000,
                "api",
                EventKind::Blocked {
                    component: "preflight".into(),
                    why: "flavor `x` is not there".into(),
                    hint: String::new(),
                },
            ),
            (6_100, "api", EventKind::Ended { how: Ended::Blocked, elapsed: 5_800 }),
        ])
    }

    #[test]
    fn shows_every_step_with_its_time_and_what_it_waits_for() {
        insta::assert_snapshot!(example().lines(65_000, 100, 40, false).join("\n"));
    }

    #[test]
    fn hides_the_least_telling_lines_first_on_a_low_terminal() {
        let lines = example().lines(65_000, 100, 6, false);
        assert_eq!(lines.len(), 6);
        assert!(!lines.iter().any(|line| line.contains("machines")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("waits for the first machine")), "{lines:?}");
    }

    #[test]
    fn a_narrow_terminal_shortens_the_detail() {
        let width = example().lines(65_000, 60, 40, false).iter().map(|line| line.chars().count()).max();
        assert!(width <= Some(60), "{width:?}");
    }

    #[test]
    fn times() {
        assert_eq!(
            [elapsed(0), elapsed(4_250), elapsed(65_000), elapsed(3_720_000)],
            ["0.0s", "4.2s", "1m05s", "1h02m"]
        );
    }
}
