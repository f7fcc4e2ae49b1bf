//! What is wrong with a document, and where.

use std::fmt;

use serde::Serialize;

/// More problems than this are counted, not listed.
const MAX_LISTED: usize = 50;
/// After so many problems the search for more ends.
const MAX_KEPT: usize = 500;
/// Longest piece of a source line that is shown.
const MAX_SHOWN: usize = 120;

/// A place in a document: a range of bytes of one of the loaded sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Index of the source.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place in a document as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text, shortened around the column if it is long.
    pub source_line: String,
    /// Column of the mark in `source_line`, from 0.
    #[serde(skip)]
    mark: usize,
    /// How many characters are marked.
    #[serde(skip)]
    width: usize,
}

impl Position {
    /// The position of `span` in `text`.
    #[must_use]
    pub fn of(text: &str, span: Span) -> Self {
        let start = floor(text, span.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let column = text[line_start..start].chars().count();
        let end = floor(text, span.end.clamp(start, line_end.max(start)));
        let width = text[start..end].trim_end().chars().count().max(1);
        // A long line is cut so that what is marked stays visible.
        let skipped = if column > MAX_SHOWN { column - MAX_SHOWN / 2 } else { 0 };
        let source_line: String = text[line_start..line_end]
            .trim_end()
            .chars()
            .skip(skipped)
            .take(MAX_SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let mark = column - skipped;
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            source_line,
            mark,
            width: width.min(MAX_SHOWN.saturating_sub(mark).max(1)),
        }
    }
}

pub(crate) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// The document can be used, but somebody should look at it.
    Warning,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the caller named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The place in the file.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What would be right, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Problem {
    /// A problem with a whole file, such as one that cannot be read.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: Some(file.into()),
            position: None,
            message: message.into(),
            hints: vec![],
        }
    }

    /// The same problem with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        let gutter = self.position.as_ref().map_or(1, |position| position.line.to_string().len());
        match (&self.file, &self.position) {
            (Some(file), Some(position)) => {
                write!(f, "\n{:gutter$}--> {file}:{}:{}", "", position.line, position.column)?;
                write!(f, "\n{:gutter$} |", "")?;
                write!(f, "\n{} | {}", position.line, position.source_line)?;
                write!(
                    f,
                    "\n{:gutter$} | {:mark$}{}",
                    "",
                    "",
                    "^".repeat(position.width),
                    mark = position.mark
                )?;
            }
            (Some(file), None) => write!(f, "\n{:gutter$}--> {file}", "")?,
            _ => {}
        }
        for hint in &self.hints {
            write!(f, "\n{:gutter$} = hint: {hint}", "")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with the documents of a fleet; shown with an empty line between two problems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// All of them, in the order of files and lines as far as they were read.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(MAX_LISTED).enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        if self.0.len() > MAX_LISTED {
            write!(f, "\n\n… and {} more", self.0.len() - MAX_LISTED)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The sources of a fleet and what was found wrong with them so far.
pub(crate) struct Report<'a> {
    sources: &'a [Text<'a>],
    problems: Vec<Problem>,
}

/// A source that is text: its name and its content.
pub(crate) struct Text<'a> {
    pub(crate) path: &'a str,
    pub(crate) content: &'a str,
}

impl<'a> Report<'a> {
    pub(crate) const fn new(sources: &'a [Text<'a>]) -> Self {
        Self { sources, problems: Vec::new() }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Error, span, message.into())
    }

    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.add(Severity::Warning, span, message.into());
    }

    /// Whether so much is wrong already that looking for more helps nobody.
    pub(crate) const fn is_full(&self) -> bool {
        self.problems.len() >= MAX_KEPT
    }

    fn add(&mut self, severity: Severity, span: Span, message: String) -> &mut Problem {
        let source = self.sources.get(span.source);
        let problem = Problem {
            severity,
            file: source.map(|source| source.path.to_owned()),
            position: source.map(|source| Position::of(source.content, span)),
            message,
            hints: vec![],
        };
        // The same value can be reached twice: in the fleet's defaults, and again merged into each cluster.
        let same = |known: &Problem| {
            (&known.file, &known.position, &known.message)
                == (&problem.file, &problem.position, &problem.message)
        };
        let at = self.problems.iter().position(same).unwrap_or(self.problems.len());
        if at == self.problems.len() {
            self.problems.push(problem);
        } else {
            self.problems[at].hints.clear();
        }
        &mut self.problems[at]
    }

    /// `FILE:LINE` of a span, for a message that points to a second place.
    pub(crate) fn place(&self, span: Span) -> String {
        match self.sources.get(span.source) {
            Some(source) => format!("{}:{}", source.path, Position::of(source.content, span).line),
            None => "?".into(),
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    pub(crate) fn error_count(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// A key or value of a document in a message: in backticks, shortened, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(60)
        .collect::<String>()
        .escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'");
    if text.chars().count() > 60 {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The candidate that was probably meant by `text`: alike as a whole, or one slip of a finger away.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = text.to_lowercase().replace(['-', '_'], "");
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let slip = candidate.len() > 2 && strsim::osa_distance(&folded, &candidate) <= 1;
        strsim::jaro_winkler(&folded, &candidate).max(if slip { 0.9 } else { 0.0 })
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
