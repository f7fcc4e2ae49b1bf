//! `metadata.managedFields`: who owns which field, and server-side apply.

use serde_json::{Value, json};

use super::error::{Cause, Status};
use super::fields::{self, Fields};
use super::object::{Object, Read as _, Write as _};
use super::shape::Shape;

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    /// The field manager's name.
    pub(crate) name: String,
    /// `status`, or empty.
    pub(crate) subresource: &'static str,
    /// The version in which it writes.
    pub(crate) api_version: String,
    /// Server-side apply, not an ordinary write.
    pub(crate) applies: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    manager: Manager,
    time: String,
    fields: Fields,
}

impl Entry {
    fn read(value: &Value) -> Self {
        let manager = Manager {
            name: value.text("manager").to_owned(),
            subresource: if value.text("subresource") == "status" { "status" } else { "" },
            api_version: value.text("apiVersion").to_owned(),
            applies: value.text("operation") == "Apply",
        };
        Self { manager, time: value.text("time").to_owned(), fields: Fields::from_json(&value["fieldsV1"]) }
    }

    fn write(&self) -> Value {
        let Manager { name, subresource, api_version, applies } = &self.manager;
        let mut entry = json!({"manager": name, "operation": if *applies { "Apply" } else { "Update" },
            "apiVersion": api_version, "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": self.fields.to_json()});
        if !subresource.is_empty() {
            entry.set("subresource", *subresource);
        }
        entry
    }

    /// The manager as conflicts name it.
    fn printed(&self) -> String {
        let mut text = format!("\"{}\"", self.manager.name);
        if !self.manager.subresource.is_empty() {
            text += &format!(" with subresource \"{}\"", self.manager.subresource);
        }
        if !self.manager.applies {
            text += &format!(" using {}", self.manager.api_version);
            if !self.time.is_empty() {
                text += &format!(" at {}", self.time);
            }
        }
        text
    }
}

fn read(object: &Object) -> Vec<Entry> {
    object.items("metadata.managedFields").iter().map(Entry::read).collect()
}

fn write(object: &mut Object, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    if entries.is_empty() {
        object.unset("metadata.managedFields");
        return;
    }
    entries.sort_by(|a, b| {
        let key =
            |e: &Entry| (!e.manager.applies, e.time.clone(), e.manager.name.clone(), e.manager.subresource);
        key(a).cmp(&key(b))
    });
    object.set("metadata.managedFields", entries.iter().map(Entry::write).collect::<Vec<_>>());
}

/// Notes in `new` what an ordinary write changed: the writer owns it from now on, nobody else does.
pub(crate) fn track_update(old: &Object, new: &mut Object, shape: Shape<'_>, manager: &Manager, now: &str) {
    let changes = fields::compare(old, new, shape);
    if renewed(old, new, &changes, manager, now) {
        return;
    }
    let mut entries = read(old);
    if new.at("metadata.managedFields").as_array().is_some_and(Vec::is_empty) {
        // The documented way to give up all ownership.
        entries.clear();
    }
    for entry in &mut entries {
        entry.fields.subtract_deep(&changes.removed);
        if entry.manager != *manager {
            entry.fields.subtract_deep(&changes.written);
        }
    }
    if !changes.written.is_empty() {
        match entries.iter_mut().find(|entry| entry.manager == *manager) {
            Some(entry) => {
                entry.fields.add(&changes.written);
                now.clone_into(&mut entry.time);
            }
            None => entries.push(Entry {
                manager: manager.clone(),
                time: now.to_owned(),
                fields: changes.written,
            }),
        }
    }
    write(new, entries);
}

/// The usual case of a controller that reports again what it has reported before: all it wrote is its own already, so that
/// only the time of its entry changes. False if more does.
fn renewed(old: &Object, new: &mut Object, changes: &fields::Changes, manager: &Manager, now: &str) -> bool {
    let known = old.items("metadata.managedFields");
    if !changes.removed.is_empty()
        || changes.written.is_empty()
        || new.items("metadata.managedFields") != known
    {
        return false;
    }
    let is_mine = |entry: &Value| {
        entry.text("manager") == manager.name
            && entry.text("subresource") == manager.subresource
            && entry.text("apiVersion") == manager.api_version
            && (entry.text("operation") == "Apply") == manager.applies
    };
    let Some(mine) = known.iter().position(is_mine) else { return false };
    let mut others = known.iter().enumerate().filter(|(index, _)| *index != mine);
    if !changes.written.is_within(&known[mine]["fieldsV1"])
        || others.any(|(_, entry)| changes.written.meets(&entry["fieldsV1"]))
    {
        return false;
    }
    let entries = new.list_mut("metadata.managedFields");
    entries[mine].set("time", now);
    entries.sort_by_key(|entry| {
        let text = |field: &str| entry.text(field).to_owned();
        (entry.text("operation") != "Apply", text("time"), text("manager"), text("subresource"))
    });
    true
}

/// Server-side apply: merges `config` into `live` in the name of `manager`.
///
/// # Errors
/// A conflict, with the fields that others own, unless `force`; lists that cannot be merged.
pub(crate) fn apply(
    live: &Object,
    config: &Object,
    shape: Shape<'_>,
    manager: &Manager,
    force: bool,
    now: &str,
) -> Result<Object, Status> {
    if let Some(wrong) = fields::wrong_list(config, shape, "") {
        let (version, kind) = (&manager.api_version, config.text("kind"));
        let what = format!("{}/{}; {version}, Kind={kind}", config.namespace(), config.name());
        let message = format!("failed to create typed patch object ({what}): {wrong}");
        return Err(Status { code: 500, reason: "", message, details: None });
    }
    let set = fields::set_of(config, shape);
    let mut entries = read(live);
    let mut merged = live.clone();
    fields::merge(&mut merged, config, shape);
    let written = fields::compare(live, &merged, shape).written;
    let conflicts = conflicts(&entries, manager, &written);
    if !conflicts.is_empty() && !force {
        return Err(refusal(&conflicts));
    }
    // What this manager had applied before and doesn't any more goes, unless somebody else owns it, too.
    let before =
        entries.iter().find(|e| e.manager.is_same(manager)).map(|e| e.fields.clone()).unwrap_or_default();
    let mut kept = set.clone();
    for entry in entries.iter_mut().filter(|entry| !entry.manager.is_same(manager)) {
        entry.fields.subtract_deep(&written);
        kept.add(&entry.fields);
    }
    let mut dropped = before.clone();
    dropped.subtract(&kept);
    fields::remove(&mut merged, &dropped, &kept, shape);
    let unchanged = before == set && written.is_empty();
    entries.retain(|entry| !entry.manager.is_same(manager) || unchanged);
    if !unchanged {
        entries.push(Entry { manager: manager.clone(), time: now.to_owned(), fields: set });
    }
    write(&mut merged, entries);
    Ok(merged)
}

impl Manager {
    /// The same applier; the version in which it applies doesn't matter.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.subresource == other.subresource && self.applies == other.applies
    }
}

fn conflicts(entries: &[Entry], manager: &Manager, written: &Fields) -> Vec<(String, String)> {
    let mut conflicts = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.manager.is_same(manager)) {
        let who = entry.printed();
        conflicts.extend(entry.fields.common(written).paths().into_iter().map(|path| (who.clone(), path)));
    }
    conflicts
}

fn refusal(conflicts: &[(String, String)]) -> Status {
    let causes = conflicts.iter().map(|(who, path)| Cause {
        reason: "FieldManagerConflict",
        field: path.clone(),
        message: format!("conflict with {who}"),
    });
    let message = match conflicts {
        [(who, path)] => format!("Apply failed with 1 conflict: conflict with {who}: {path}"),
        many => {
            let mut managers: Vec<&String> = many.iter().map(|(who, _)| who).collect();
            managers.sort_unstable();
            managers.dedup();
            let mut lines = Vec::new();
            for manager in managers {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(
                    many.iter().filter(|(who, _)| who == manager).map(|(_, path)| format!("- {path}")),
                );
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    Status::apply_conflict(causes.collect(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Shape<'static> = Shape::Named { field: "", parent: "" };

    fn manager(name: &str, applies: bool) -> Manager {
        Manager { name: name.to_owned(), subresource: "", api_version: "v1".to_owned(), applies }
    }

    fn applied(live: &Object, config: &Object, name: &str, force: bool) -> Result<Object, Status> {
        apply(live, config, PLAIN, &manager(name, true), force, "2026-01-01T00:00:00Z")
    }

    #[test]
    fn an_applier_owns_shares_and_gives_up() {
        let one = applied(&json!({}), &json!({"data": {"a": "1", "b": "1"}}), "one", false).unwrap();
        let refused = applied(&one, &json!({"data": {"a": "2"}}), "two", false).unwrap_err();
        assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
        let shared = applied(&one, &json!({"data": {"a": "1"}}), "two", false).unwrap();
        let less = applied(&shared, &json!({"data": {}}), "one", false).unwrap();
        assert_eq!(less.at("data"), &json!({"a": "1"}), "a is still owned by two, b by nobody");
        let forced = applied(&shared, &json!({"data": {"a": "3"}}), "two", true).unwrap();
        assert_eq!(forced.text("data.a"), "3");
        let again = applied(&forced, &json!({"data": {"b": "1"}}), "one", false).unwrap();
        assert_eq!(again.at("data"), &json!({"a": "3", "b": "1"}));
    }

    #[test]
    fn what_one_applies_as_empty_is_null_when_another_takes_its_own_out() {
        let schema =
            json!({"properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}});
        let by = |live: &Object, config: &Object, name: &str| {
            apply(live, config, Shape::of(Some(&schema)), &manager(name, true), false, "2026-01-01T00:00:00Z")
                .unwrap()
        };
        let one = by(&json!({}), &json!({"labels": {}}), "one");
        let two = by(&one, &json!({"labels": {"a": "1"}}), "two");
        // Seen on v1.36: `labels in body must be of type object: "null"`.
        assert_eq!(by(&two, &json!({}), "two").get("labels"), Some(&Value::Null));
        let alone = by(&json!({}), &json!({"labels": {"a": "1"}}), "two");
        assert_eq!(by(&alone, &json!({}), "two").get("labels"), None);
    }

    #[test]
    fn a_value_in_the_place_of_a_map_takes_what_is_in_it() {
        let one = applied(&json!({}), &json!({"spec": {"a": {"b": 1}}}), "one", false).unwrap();
        let refused = applied(&one, &json!({"spec": {"a": "x"}}), "two", false).unwrap_err();
        assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.a.b");
        let forced = applied(&one, &json!({"spec": {"a": "x"}}), "two", true).unwrap();
        let owners = forced.items("metadata.managedFields");
        assert_eq!(owners.len(), 1, "{owners:?}");
    }

    #[test]
    fn lists_that_are_merged_by_keys_have_each_key_once() {
        let ports = |ports: Value| applied(&json!({}), &json!({"spec": {"ports": ports}}), "one", false);
        let refused = ports(json!([{"port": 80}, {"port": 80, "protocol": "TCP"}])).unwrap_err();
        assert!(
            refused.message.ends_with(".spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]"),
            "{refused}"
        );
        let refused = ports(json!(["http"])).unwrap_err();
        assert!(
            refused.message.ends_with("element 0: associative list with keys may not have non-map elements")
        );
        assert!(ports(json!([{"port": 80}, {"port": 80, "protocol": "UDP"}])).is_ok());
    }

    #[test]
    fn an_ordinary_write_takes_the_field_and_a_conflict_says_who() {
        let one = applied(&json!({}), &json!({"spec": {"replicas": 1}}), "one", false).unwrap();
        let mut edited = one.clone();
        edited.set("spec.replicas", 2);
        track_update(&one, &mut edited, PLAIN, &manager("kubectl-edit", false), "2026-01-02T00:00:00Z");
        let refused = applied(&edited, &json!({"spec": {"replicas": 1}}), "one", false).unwrap_err();
        assert_eq!(
            refused.message,
            "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1 at 2026-01-02T00:00:00Z: .spec.replicas"
        );
        assert_eq!(refused.details.unwrap().causes[0].field, ".spec.replicas");
    }
}
