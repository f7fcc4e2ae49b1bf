//! Merges the fleet's defaults into a cluster's own specification.

use super::tree::{Entry, Node, Value};

/// `own` over `defaults`: maps are merged key by key, everything else is replaced.
///
/// The list `nodeGroups` of the cluster says which groups there are; each of them takes what it doesn't say from the
/// group of the same name in the defaults.
pub(crate) fn merge(defaults: &Node, own: Node) -> Node {
    merge_at(defaults, own, "")
}

fn merge_at(defaults: &Node, own: Node, key: &str) -> Node {
    let value = match (&defaults.value, own.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(merge_maps(base, over)),
        (Value::List(base), Value::List(over)) if key == "nodeGroups" => {
            Value::List(merge_groups(base, over))
        }
        (_, value) => value,
    };
    Node { span: own.span, value }
}

fn merge_maps(base: &[Entry], over: Vec<Entry>) -> Vec<Entry> {
    let mut merged: Vec<Entry> =
        base.iter().filter(|entry| !over.iter().any(|own| own.key == entry.key)).cloned().collect();
    for entry in over {
        let below = base.iter().find(|default| default.key == entry.key);
        merged.push(match below {
            Some(default) => Entry { value: merge_at(&default.value, entry.value, &entry.key), ..entry },
            None => entry,
        });
    }
    merged
}

fn merge_groups(base: &[Node], over: Vec<Node>) -> Vec<Node> {
    let name = |group: &Node| group.get("name").and_then(Node::as_str).map(str::to_owned);
    over.into_iter()
        .map(|group| {
            match base.iter().find(|default| name(default).is_some() && name(default) == name(&group)) {
                Some(default) => merge_at(default, group, ""),
                None => group,
            }
        })
        .collect()
}
