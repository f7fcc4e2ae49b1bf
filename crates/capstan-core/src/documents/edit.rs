//! Changes one value in the text of a document and leaves every other byte, comments included, as it is.

use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::problem::{Problems, Report, Text, quoted};
use super::tree::{self, Node, Scalar, Value};

/// One step from a document to one of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPart<'a> {
    /// The value of a key.
    Key(&'a str),
    /// The item of a list of that `name`.
    Named(&'a str),
}

/// Why a document was not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is not a document.
    #[error("the document cannot be read")]
    Unreadable(#[source] Problems),
    /// The text holds no such cluster.
    #[error("there is no cluster `{0}` in the document")]
    NoCluster(String),
    /// The list has no item of that name.
    #[error("the document has no {what} named `{name}`")]
    NoItem {
        /// Key of the list.
        what: String,
        /// Name that was looked for.
        name: String,
    },
    /// The value is written in a way that cannot be changed in place.
    #[error("the value cannot be changed in place: edit the document by hand")]
    Unchangeable,
}

/// `text` with the number at `path` of the document of cluster `cluster` set to `value`; put in beside its neighbours
/// if it isn't there yet.
///
/// # Errors
/// [`EditError`]: the text is then not to be changed.
pub fn set_number(text: &str, cluster: &str, path: &[PathPart<'_>], value: i64) -> Result<String, EditError> {
    set(text, cluster, path, &value.to_string())
}

/// `text` with the text at `path` of the document of cluster `cluster` set to `value`, in quotes where YAML would take
/// it for something else; put in beside its neighbours if it isn't there yet.
///
/// # Errors
/// [`EditError`]: the text is then not to be changed.
pub fn set_text(text: &str, cluster: &str, path: &[PathPart<'_>], value: &str) -> Result<String, EditError> {
    let plain =
        Node { span: super::Span::default(), value: Value::Scalar { text: value.into(), plain: true } };
    let safe = matches!(plain.scalar(), Some(Scalar::String(_)))
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
        && !value.starts_with('-');
    let rendered = if safe { value.to_owned() } else { serde_json::Value::from(value).to_string() };
    set(text, cluster, path, &rendered)
}

fn set(text: &str, cluster: &str, path: &[PathPart<'_>], rendered: &str) -> Result<String, EditError> {
    let document = find(text, cluster)?;
    let (at, insertion) = locate(text, &document, path, rendered)?;
    let mut changed = text.to_owned();
    changed.replace_range(at, &insertion);
    // Reading the result back proves that the edit said what was meant and nothing else, whatever style the document is
    // written in: what carries an anchor stands in other places, too.
    if says_only(text, &changed, cluster, path, rendered) {
        Ok(changed)
    } else {
        Err(EditError::Unchangeable)
    }
}

/// Whether `after` differs from `before` in the one value alone.
fn says_only(before: &str, after: &str, cluster: &str, path: &[PathPart<'_>], rendered: &str) -> bool {
    let contents = |text: &str| read(text).map(|all| all.iter().map(Node::to_json).collect::<Vec<_>>());
    let (Ok(documents), Ok(mut wanted), Ok(written)) = (read(before), contents(before), contents(after))
    else {
        return false;
    };
    let value = contents(rendered).ok().and_then(|values| values.into_iter().next());
    let (Some(at), Some(value)) = (documents.iter().position(|document| is_of(document, cluster)), value)
    else {
        return false;
    };
    put(&mut wanted[at], path, value).is_some() && wanted == written
}

/// Puts a value where it belongs, with the maps around it where they are missing.
fn put(document: &mut Json, path: &[PathPart<'_>], value: Json) -> Option<()> {
    let place = path.iter().try_fold(document, |place, part| match part {
        PathPart::Key(key) => {
            if place.is_null() {
                *place = Json::Object(Map::new());
            }
            Some(place.as_object_mut()?.entry(*key).or_insert(Json::Null))
        }
        PathPart::Named(name) => place.as_array_mut()?.iter_mut().find(|item| item["name"] == *name),
    })?;
    *place = value;
    Some(())
}

fn find(text: &str, cluster: &str) -> Result<Node, EditError> {
    let document = read(text)?.into_iter().find(|document| is_of(document, cluster));
    document.ok_or_else(|| EditError::NoCluster(cluster.into()))
}

fn read(text: &str) -> Result<Vec<Node>, EditError> {
    let sources = [Text { path: "document", content: text }];
    let mut report = Report::new(&sources);
    let documents = tree::parse(0, text, &mut report);
    if report.has_errors() {
        return Err(EditError::Unreadable(report.into_problems().into()));
    }
    Ok(documents)
}

/// Whether it is the document of that cluster.
fn is_of(document: &Node, cluster: &str) -> bool {
    let name = document.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::as_str);
    document.get("kind").and_then(Node::as_str) == Some("WorkloadCluster") && name == Some(cluster)
}

fn step<'a>(node: &'a Node, part: &PathPart<'_>) -> Option<&'a Node> {
    match part {
        PathPart::Key(key) => node.get(key),
        PathPart::Named(name) => {
            node.items().iter().find(|item| item.get("name").and_then(Node::as_str) == Some(name))
        }
    }
}

/// Which bytes to replace with what.
fn locate(
    text: &str,
    document: &Node,
    path: &[PathPart<'_>],
    rendered: &str,
) -> Result<(std::ops::Range<usize>, String), EditError> {
    let mut node = document;
    let mut list = "item";
    for (depth, part) in path.iter().enumerate() {
        match (step(node, part), part) {
            (Some(next), _) => node = next,
            (None, PathPart::Named(name)) => {
                return Err(EditError::NoItem { what: list.into(), name: (*name).into() });
            }
            (None, PathPart::Key(_)) => {
                let entry = nested(&path[depth..], rendered)?;
                return insert(text, node, &entry);
            }
        }
        if let PathPart::Key(key) = part {
            list = key;
        }
    }
    match node.value {
        Value::Scalar { .. } if node.span.end > node.span.start => {
            Ok((node.span.start..node.span.end, rendered.into()))
        }
        _ => Err(EditError::Unchangeable),
    }
}

/// `a: {b: value}` for the keys that are missing.
fn nested(path: &[PathPart<'_>], rendered: &str) -> Result<String, EditError> {
    match path {
        [PathPart::Key(key)] => Ok(format!("{key}: {rendered}")),
        [PathPart::Key(key), rest @ ..] => Ok(format!("{key}: {{{}}}", nested(rest, rendered)?)),
        [PathPart::Named(name), ..] => {
            Err(EditError::NoItem { what: "list item".into(), name: quoted(name).trim_matches('`').into() })
        }
        [] => Err(EditError::Unchangeable),
    }
}

fn insert(text: &str, map: &Node, entry: &str) -> Result<(std::ops::Range<usize>, String), EditError> {
    let Value::Map(entries) = &map.value else { return Err(EditError::Unchangeable) };
    if text[map.span.start..].starts_with('{') {
        let at = map.span.start + 1;
        let separator = if entries.is_empty() { "" } else { ", " };
        return Ok((at..at, format!("{entry}{separator}")));
    }
    let first = entries.first().ok_or(EditError::Unchangeable)?;
    let line_start = text[..first.key_span.start].rfind('\n').map_or(0, |at| at + 1);
    let indent = " ".repeat(text[line_start..first.key_span.start].chars().count());
    let one_line = matches!(first.value.value, Value::Scalar { .. })
        && !text[first.key_span.start..first.value.span.end].contains('\n');
    if one_line {
        let rest = &text[first.value.span.end..];
        let end = first.value.span.end + rest.find('\n').unwrap_or(rest.len());
        return Ok((end..end, format!("\n{indent}{entry}")));
    }
    let at = first.key_span.start;
    Ok((at..at, format!("{entry}\n{indent}")))
}

#[cfg(test)]
mod tests {
    use super::PathPart::{Key, Named};
    use super::*;

    const DOCUMENT: &str = "\
# the web shop
apiVersion: capstan.dev/v1alpha1
kind: WorkloadCluster
metadata: {name: web}
spec:
  kubernetes: {version: \"1.35\"} # not newer, see the wiki
  nodeGroups:
    - name: default # small
      replicas: 3   # enough
    - {name: gpu, replicas: 1}
    - name: bare
";

    #[test]
    fn changes_only_the_value() {
        let path = [Key("spec"), Key("nodeGroups"), Named("default"), Key("replicas")];
        let changed = set_number(DOCUMENT, "web", &path, 5).unwrap();
        assert_eq!(changed, DOCUMENT.replace("replicas: 3 ", "replicas: 5 "));
        let path = [Key("spec"), Key("nodeGroups"), Named("gpu"), Key("replicas")];
        assert_eq!(
            set_number(DOCUMENT, "web", &path, 0).unwrap(),
            DOCUMENT.replace("replicas: 1", "replicas: 0")
        );
    }

    #[test]
    fn keeps_a_text_a_text() {
        let path = [Key("spec"), Key("kubernetes"), Key("version")];
        assert_eq!(
            set_text(DOCUMENT, "web", &path, "1.36").unwrap(),
            DOCUMENT.replace("\"1.35\"", "\"1.36\"")
        );
        assert_eq!(
            set_text(DOCUMENT, "web", &path, "v1.36.1").unwrap(),
            DOCUMENT.replace("\"1.35\"", "v1.36.1")
        );
    }

    #[test]
    fn puts_in_what_is_missing() {
        let path = [Key("spec"), Key("nodeGroups"), Named("bare"), Key("replicas")];
        let changed = set_number(DOCUMENT, "web", &path, 2).unwrap();
        assert_eq!(changed, DOCUMENT.replace("- name: bare\n", "- name: bare\n      replicas: 2\n"));
        let path = [Key("spec"), Key("controlPlane"), Key("replicas")];
        let changed = set_number(DOCUMENT, "web", &path, 3).unwrap();
        assert_eq!(
            changed,
            DOCUMENT.replace("  kubernetes:", "  controlPlane: {replicas: 3}\n  kubernetes:")
        );
        let flow =
            "{apiVersion: capstan.dev/v1alpha1, kind: WorkloadCluster, metadata: {name: web}, spec: {}}";
        let changed = set_number(flow, "web", &path, 3).unwrap();
        assert_eq!(changed, flow.replace("spec: {}", "spec: {controlPlane: {replicas: 3}}"));
    }

    #[test]
    fn a_value_that_stands_in_other_places_too_is_left_to_a_person() {
        let text = "kind: WorkloadCluster\nmetadata: {name: web}\nspec:\n  controlPlane: {replicas: &n 3}\n  \
                    nodeGroups: [{name: a, replicas: *n}]\n";
        let path = [Key("spec"), Key("controlPlane"), Key("replicas")];
        assert!(matches!(set_number(text, "web", &path, 5), Err(EditError::Unchangeable)));
        let path = [Key("spec"), Key("nodeGroups"), Named("a"), Key("replicas")];
        let changed = set_number(text, "web", &path, 5).unwrap();
        assert_eq!(changed, text.replace("replicas: *n", "replicas: 5"));
    }

    #[test]
    fn says_what_is_not_there() {
        let path = [Key("spec"), Key("nodeGroups"), Named("big"), Key("replicas")];
        let missing = set_number(DOCUMENT, "web", &path, 5).unwrap_err();
        assert_eq!(missing.to_string(), "the document has no nodeGroups named `big`");
        assert!(matches!(set_number(DOCUMENT, "shop", &path, 5), Err(EditError::NoCluster(_))));
        assert!(matches!(set_number("a: [", "web", &path, 5), Err(EditError::Unreadable(_))));
    }
}
