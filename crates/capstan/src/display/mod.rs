//! Shows the events of runs: a live tree on a terminal, plain lines elsewhere, JSON lines for programs.

mod board;
mod words;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use capstan_engine::Event;
use capstan_engine::event::millis;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::args::Output;
use crate::printer::Printer;
use crate::settings::Settings;
use board::Board;
pub(crate) use board::elapsed;
pub(crate) use words::{bytes, ended};

/// How often a live display is drawn anew.
const FRAME: Duration = Duration::from_millis(120);

/// Consumes events until every sender has gone, and shows them. The handle is to be awaited before the command ends.
pub(crate) fn follow(
    mut events: mpsc::UnboundedReceiver<Event>,
    settings: &Settings,
    printer: &Printer,
) -> JoinHandle<()> {
    let printer = printer.clone();
    match (settings.output, settings.live) {
        (Output::Json | Output::Yaml, _) => tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Ok(line) = serde_json::to_string(&event) {
                    printer.line(&line);
                }
            }
        }),
        (Output::Text, false) => tokio::spawn(async move {
            let mut lines = words::Lines::default();
            while let Some(event) = events.recv().await {
                if let Some((style, line)) = lines.line(&event) {
                    printer.styled_message(style, &line);
                }
            }
        }),
        (Output::Text, true) => tokio::spawn(Live::new(printer, settings.color).run(events)),
    }
}

/// The live tree. It is drawn in place; what is printed meanwhile goes above it.
struct Live {
    printer: Printer,
    color: bool,
    board: Board,
    display: MultiProgress,
    rows: Vec<ProgressBar>,
    /// The events' clock may be another one than ours: the sandbox's runs faster.
    last_event: Option<(u64, u64)>,
}

impl Live {
    fn new(printer: Printer, color: bool) -> Self {
        let display = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15));
        printer.set_live(Some(display.clone()));
        Self { printer, color, board: Board::default(), display, rows: vec![], last_event: None }
    }

    async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(&event),
                    None => break,
                },
                _ = frames.tick() => self.draw(),
            }
        }
        self.draw();
        for row in &self.rows {
            row.abandon();
        }
        self.printer.set_live(None);
    }

    fn take(&mut self, event: &Event) {
        self.board.apply(event);
        self.last_event = Some((event.at, wall_millis()));
        if let capstan_engine::EventKind::Warned { .. } = event.kind
            && let Some((style, line)) = words::Lines::default().line(event)
        {
            self.printer.styled_message(style, &line);
        }
    }

    fn draw(&mut self) {
        let Some((at, seen)) = self.last_event else { return };
        let now = at + wall_millis().saturating_sub(seen);
        let (height, width) = console_size();
        let lines = self.board.lines(now, width, height.saturating_sub(2), self.color);
        while self.rows.len() < lines.len() {
            let row = self.display.add(ProgressBar::new_spinner());
            row.set_style(
                ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            self.rows.push(row);
        }
        for (index, row) in self.rows.iter().enumerate() {
            row.set_message(lines.get(index).cloned().unwrap_or_default());
        }
    }
}

fn console_size() -> (usize, usize) {
    let (rows, columns) = console::Term::stderr().size();
    (usize::from(rows), usize::from(columns))
}

fn wall_millis() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
