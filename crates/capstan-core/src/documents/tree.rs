//! YAML as a tree in which every node knows where it stands.
//!
//! serde stops at the first mistake and forgets where values came from once two documents are merged. The tree keeps
//! both: it is checked as a whole, merged, and only then becomes typed values.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag, options};
use serde_json::{Map, Number, Value as Json};

use super::problem::{Report, Span, floor, quoted};

/// Deepest nesting of lists and maps that is read; ours need eight levels.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most nodes of one file, aliases counted as what they stand for.
pub(crate) const MAX_NODES: usize = 20_000;

/// A node of a YAML document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A text, and whether it was written without quotes, so that it may mean a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What a scalar is in YAML 1.2's core schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(&'a str),
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
            }
            _ => None,
        }
    }

    /// Takes the entry of a map out; the map is found by its path from here, whose last part is the entry's key.
    pub(crate) fn take(&mut self, path: &[&str]) -> Option<Entry> {
        let (key, parents) = path.split_last()?;
        let parent = parents.iter().try_fold(self, |node, key| node.get_mut(key))?;
        let Value::Map(entries) = &mut parent.value else { return None };
        let at = entries.iter().position(|entry| entry.key == *key)?;
        Some(entries.remove(at))
    }

    /// Puts an entry into the map at `path`.
    pub(crate) fn put(&mut self, path: &[&str], entry: Entry) {
        if let Some(Self { value: Value::Map(entries), .. }) =
            path.iter().try_fold(self, |node, key| node.get_mut(key))
        {
            entries.push(entry);
        }
    }

    /// The items of a list; none if it is something else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar that is a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self.scalar() {
            Some(Scalar::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(resolve(text)),
            Value::Scalar { text, plain: false } => Some(Scalar::String(text)),
            _ => None,
        }
    }

    /// What it is, for a message: `the number 3`.
    pub(crate) fn describe(&self) -> String {
        match (&self.value, self.scalar()) {
            (Value::List(_), _) => "a list".into(),
            (Value::Map(_), _) => "a map".into(),
            (_, Some(Scalar::Null) | None) => "nothing".into(),
            (_, Some(Scalar::Bool(value))) => format!("the boolean `{value}`"),
            (Value::Scalar { text, .. }, Some(Scalar::Integer(_) | Scalar::Float(_))) => {
                format!("the number {}", quoted(text))
            }
            (_, Some(Scalar::String(text))) => format!("the text {}", quoted(text)),
        }
    }

    /// The same content as JSON. What JSON cannot say (infinity) becomes null; the check of shapes has refused it before.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => {
                let map: Map<_, _> =
                    entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect();
                Json::Object(map)
            }
            Value::Scalar { .. } => match self.scalar() {
                None | Some(Scalar::Null) => Json::Null,
                Some(Scalar::Bool(value)) => Json::Bool(value),
                Some(Scalar::Integer(value)) => Json::Number(value.into()),
                Some(Scalar::Float(value)) => Number::from_f64(value).map_or(Json::Null, Json::Number),
                Some(Scalar::String(text)) => Json::String(text.to_owned()),
            },
        }
    }
}

fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let radix =
        |prefix, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| text.parse().ok()) {
        return Scalar::Integer(value);
    }
    let numeric = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    match text.parse() {
        Ok(value) if numeric => Scalar::Float(value),
        _ => Scalar::String(text),
    }
}

/// Reads all documents of one source; what cannot be read is reported and left out.
pub(crate) fn parse(source: usize, text: &str, report: &mut Report<'_>) -> Vec<Node> {
    let options = options! { emit_comments: false, flow_nesting_limit: 64, block_nesting_limit: 64 };
    let mut builder =
        Builder { source, text, report, documents: vec![], open: vec![], anchors: HashMap::new(), nodes: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        let outcome = event.map_err(|error| builder.syntax_error(&error)).and_then(|(event, span)| {
            let fallback = text.len();
            let range = span.byte_range().unwrap_or(fallback..fallback);
            builder.on_event(event, Span { source, start: range.start, end: range.end })
        });
        if outcome.is_err() {
            // The document is not complete; a part of one would only produce mistakes that nobody made.
            return vec![];
        }
    }
    builder.documents
}

/// Reading cannot go on; the reason is in the report.
struct Stop;

struct Builder<'a, 'r> {
    source: usize,
    text: &'a str,
    report: &'a mut Report<'r>,
    documents: Vec<Node>,
    open: Vec<Open>,
    /// Complete nodes that carry an anchor, with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

/// A list or a map that is not complete.
struct Open {
    node: Node,
    anchor: usize,
    /// The key of a map's entry whose value comes next.
    key: Option<(String, Span)>,
    /// Nodes read before this one.
    nodes_before: usize,
}

impl Builder<'_, '_> {
    fn syntax_error(&mut self, error: &ScanError) -> Stop {
        let at = error.marker().byte_offset().unwrap_or_else(|| {
            self.text.char_indices().nth(error.marker().index()).map_or(self.text.len(), |(at, _)| at)
        });
        let message = error.kind().to_string();
        let span = Span { source: self.source, start: at, end: at };
        let (before, after) = self.text.split_at(floor(self.text, at));
        let tab = before.ends_with('\t') || after.starts_with('\t');
        let problem = self.report.error(span, format!("not valid YAML: {message}"));
        if tab {
            problem.hints.push("YAML is indented with blanks, not with tabs".into());
        }
        Stop
    }

    fn stop(&mut self, span: Span, message: String) -> Stop {
        self.report.error(span, message);
        Stop
    }

    fn on_event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.check_tag(tag.as_deref(), span)?;
                let node = Node { span, value: Value::Scalar { text: text.into_owned(), plain } };
                self.count(1, span)?;
                self.complete(node, anchor, 1)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.open(Value::List(vec![]), anchor, span)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.open(Value::Map(vec![]), anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.open.pop() {
                    open.node.span.end = span.end.max(open.node.span.start);
                    let size = self.nodes - open.nodes_before;
                    self.complete(open.node, open.anchor, size)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.stop(span, "this alias stands for a node that contains it".into()));
                };
                self.count(size, span)?;
                self.complete(Node { span, ..node }, 0, size)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the tag makes a text of a plain scalar; other tags than YAML's own are refused.
    fn check_tag(&mut self, tag: Option<&Tag>, span: Span) -> Result<bool, Stop> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() => Ok(tag.is_yaml_core_schema_tag("str")),
            Some(tag) => {
                Err(self.stop(span, format!("tags such as {} are not supported", quoted(&tag.original()))))
            }
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(
                self.stop(span, format!("the file has more than {MAX_NODES} values, aliases included"))
            );
        }
        Ok(())
    }

    fn open(&mut self, value: Value, anchor: usize, span: Span) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(
                self.stop(span, format!("lists and maps are nested more than {MAX_DEPTH} levels deep"))
            );
        }
        let nodes_before = self.nodes;
        self.count(1, span)?;
        self.open.push(Open { node: Node { span, value }, anchor, key: None, nodes_before });
        Ok(())
    }

    fn complete(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        let entries = match &mut open.node.value {
            Value::Map(entries) => entries,
            Value::List(items) => {
                items.push(node);
                return Ok(());
            }
            Value::Scalar { .. } => return Ok(()),
        };
        match (open.key.take(), node.value) {
            (Some((key, key_span)), value) => {
                let first = entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_span);
                match first {
                    None => entries.push(Entry { key, key_span, value: Node { span: node.span, value } }),
                    Some(first) => {
                        let place = self.report.place(first);
                        let message = format!("the key {} is there twice", quoted(&key));
                        self.report.error(key_span, message).hints.push(format!("it is first in {place}"));
                    }
                }
                Ok(())
            }
            (None, Value::Scalar { text, .. }) => {
                open.key = Some((text, node.span));
                Ok(())
            }
            (None, _) => Err(self.stop(node.span, "a key must be a text".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::Text;
    use super::*;

    fn parsed(content: &str) -> (Vec<Node>, Vec<String>) {
        let sources = [Text { path: "a.yaml", content }];
        let mut report = Report::new(&sources);
        let documents = parse(0, content, &mut report);
        (documents, report.into_problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let (documents, problems) = parsed("[1.30, '1', yes, true, ~, 0x10, 0o17, 1e3, 1.2.3, -5, .nan]");
        assert_eq!(problems, Vec::<String>::new());
        let scalars: Vec<_> = documents[0].items().iter().filter_map(Node::scalar).collect();
        assert_eq!(
            scalars,
            [
                Scalar::Float(1.3),
                Scalar::String("1"),
                Scalar::String("yes"),
                Scalar::Bool(true),
                Scalar::Null,
                Scalar::Integer(16),
                Scalar::Integer(15),
                Scalar::Float(1000.0),
                Scalar::String("1.2.3"),
                Scalar::Integer(-5),
                Scalar::String(".nan"),
            ]
        );
    }

    #[test]
    fn duplicate_keys_are_all_reported() {
        let (_, problems) = parsed("a: 1\nb: {c: 1, c: 2}\na: 2\n");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("a.yaml:2:11"), "{}", problems[0]);
        assert!(problems[1].contains("the key `a` is there twice"), "{}", problems[1]);
        assert!(problems[1].contains("it is first in a.yaml:1"), "{}", problems[1]);
    }

    #[test]
    fn an_alias_bomb_ends_at_the_limit() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let previous = level - 1;
            text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{previous}"); 10].join(", "));
        }
        let (documents, problems) = parsed(&text);
        assert!(documents.is_empty());
        assert!(problems[0].contains("more than 20000 values"), "{}", problems[0]);
    }

    #[test]
    fn deep_nesting_ends_at_the_limit() {
        for text in
            ["[".repeat(100_000), "- ".repeat(10_000), (0..2_000).map(|n| " ".repeat(n) + "a:\n").collect()]
        {
            let (documents, problems) = parsed(&text);
            assert!(documents.is_empty());
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
    }

    #[test]
    fn an_alias_within_its_own_anchor_is_refused() {
        let (documents, problems) = parsed("a: &a [*a]\n");
        assert!(documents.is_empty());
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}
