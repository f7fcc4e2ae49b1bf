//! JSON patch, merge patch and strategic merge patch.

use serde_json::{Map, Value};

use super::error::{Answer, Status};
use super::object::Read as _;
use super::shape::{ListKind, Shape, key_of};

/// Merge patch (RFC 7386): `null` removes, lists are replaced.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            map.remove(name);
        } else {
            merge(map.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Strategic merge patch: like a merge patch, but the well-known lists are merged by their keys, and `$patch`,
/// `$deleteFromPrimitiveList` and `$retainKeys` are obeyed (`$setElementOrder` only orders, and is ignored).
pub(crate) fn strategic(target: &mut Value, patch: &Value, shape: Shape<'_>) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() || patch.get("$patch").is_some_and(|d| d == "replace") {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        map.retain(|name, _| kept.iter().any(|k| k == name));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (map.get_mut(list), value) {
                items.retain(|item| !gone.contains(item));
            }
        } else if name.starts_with('$') {
            continue;
        } else if value.is_null() {
            map.remove(name);
        } else {
            let shape = shape.child(name);
            match (map.entry(name).or_insert(Value::Null), value) {
                (target, Value::Array(items)) => strategic_list(target, items, shape),
                (target, value) => strategic(target, value, shape),
            }
        }
    }
}

fn strategic_list(target: &mut Value, patch: &[Value], shape: Shape<'_>) {
    let keys = match shape.list_kind() {
        // Strategic merge knows one key per list: the first.
        ListKind::Map(keys) => keys.into_iter().take(1).collect::<Vec<_>>(),
        ListKind::Set => {
            let known = target.as_array().cloned().unwrap_or_default();
            let added = patch.iter().filter(|item| !known.contains(item)).cloned();
            *target = known.iter().cloned().chain(added).collect();
            return;
        }
        ListKind::Atomic => Vec::new(),
    };
    let replace = patch.iter().any(|item| item.text("$patch") == "replace");
    let plain = |item: &&Value| item.get("$patch").is_none();
    if keys.is_empty() || replace || !target.is_array() {
        *target = patch.iter().filter(plain).cloned().collect();
        return;
    }
    let Value::Array(items) = target else { return };
    for wanted in patch {
        let key = key_of(wanted, &keys);
        let found = items.iter().position(|item| key_of(item, &keys) == key);
        match (wanted.text("$patch"), found) {
            ("delete", Some(index)) => drop(items.remove(index)),
            ("delete", None) => {}
            (_, Some(index)) => strategic(&mut items[index], wanted, shape.item()),
            (_, None) => items.push(wanted.clone()),
        }
    }
}

/// JSON patch (RFC 6902).
///
/// # Errors
/// 422 as the API server answers it if an operation cannot be done.
pub(crate) fn json(target: &mut Value, patch: &Value) -> Answer<()> {
    let Value::Array(operations) = patch else {
        return Err(Status::patch_failed());
    };
    for operation in operations {
        if step(target, operation).is_none() {
            return Err(Status::patch_failed());
        }
    }
    Ok(())
}

fn step(target: &mut Value, operation: &Value) -> Option<()> {
    let path = operation.text("path");
    match operation.text("op") {
        "add" => add(target, path, operation.get("value")?.clone()),
        "remove" => take(target, path).map(drop),
        "replace" => {
            *target.pointer_mut(path)? = operation.get("value")?.clone();
            Some(())
        }
        "test" => (target.pointer(path).unwrap_or(&Value::Null) == operation.get("value")?).then_some(()),
        "copy" => {
            let value = target.pointer(operation.text("from"))?.clone();
            add(target, path, value)
        }
        "move" => {
            let value = take(target, operation.text("from"))?;
            add(target, path, value)
        }
        _ => None,
    }
}

fn parent<'v>(target: &'v mut Value, path: &str) -> Option<(&'v mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((target.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Object(map), name) => drop(map.insert(name, value)),
        (Value::Array(items), index) if index == "-" => items.push(value),
        (Value::Array(items), index) => {
            let index: usize = index.parse().ok().filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Object(map), name) => map.remove(&name),
        (Value::Array(items), index) => {
            let index: usize = index.parse().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patches_do_what_their_documents_say() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "l": [1]});
        merge(&mut value, &json!({"a": {"b": null, "d": 3}, "l": [2]}));
        assert_eq!(value, json!({"a": {"c": 2, "d": 3}, "l": [2]}));
        json(
            &mut value,
            &json!([{"op": "add", "path": "/l/-", "value": 3}, {"op": "remove", "path": "/a"},
            {"op": "add", "path": "/x~1y", "value": 1}, {"op": "test", "path": "/l/0", "value": 2}]),
        )
        .unwrap();
        assert_eq!(value, json!({"l": [2, 3], "x/y": 1}));
        assert_eq!(json(&mut value, &json!([{"op": "remove", "path": "/none"}])).unwrap_err().code, 422);
    }

    #[test]
    fn a_strategic_patch_merges_the_well_known_lists() {
        let mut value =
            json!({"spec": {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}]}});
        let patch = json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}]}});
        strategic(&mut value, &patch, Shape::of(None));
        let expected =
            json!({"spec": {"containers": [{"name": "a", "image": "2", "args": ["x"]}, {"name": "c"}]}});
        assert_eq!(value, expected);
    }
}
