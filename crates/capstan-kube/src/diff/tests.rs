use proptest::prelude::*;
use serde_json::json;

use super::*;

fn paths(diff: &Diff) -> Vec<&str> {
    diff.fields.iter().map(|field| field.path.as_str()).collect()
}

fn owned_by_us(mut live: Value, fields: Value) -> Value {
    live["metadata"]["managedFields"] =
        json!([{"manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}]);
    live
}

#[test]
fn what_others_set_is_no_difference() {
    let desired =
        json!({"apiVersion": "v1", "metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"replicas": 1}});
    let live = json!({"metadata": {"name": "a", "uid": "u", "labels": {"x": "1", "y": "2"}},
        "spec": {"replicas": 1.0, "paused": false}, "status": {"replicas": 0}});
    assert!(diff(&desired, &live).is_empty());
}

#[test]
fn a_changed_field_is_named_with_both_values() {
    let desired = json!({"spec": {"a": {"b": [{"c": 1}]}, "d": "x"}, "metadata": {"annotations": {"capstan.dev/y": "1"}}});
    let live = json!({"spec": {"a": {"b": [{"c": 2}]}}, "metadata": {"annotations": {"capstan.dev/y": "2"}}});
    let diff = diff(&desired, &live);
    assert_eq!(paths(&diff), ["metadata.annotations[capstan.dev/y]", "spec.a.b[0].c", "spec.d"]);
    assert_eq!(diff.fields[1].live, Some(json!(2)));
    assert_eq!(diff.fields[1].desired, Some(json!(1)));
    assert_eq!(diff.fields[2].live, None);
    assert!(diff.touches("spec.a") && diff.touches("spec") && !diff.touches("spec.ab"));
}

#[test]
fn null_wants_absence() {
    assert!(diff(&json!({"spec": {"a": null}}), &json!({"spec": {}})).is_empty());
    assert_eq!(paths(&diff(&json!({"spec": {"a": null}}), &json!({"spec": {"a": 1}}))), ["spec.a"]);
}

#[test]
fn a_list_of_one_owner_counts_length_and_order() {
    let live = json!({"spec": {"cidrs": ["a", "b"]}});
    assert!(diff(&json!({"spec": {"cidrs": ["a", "b"]}}), &live).is_empty());
    assert_eq!(paths(&diff(&json!({"spec": {"cidrs": ["a"]}}), &live)), ["spec.cidrs[1]"]);
    assert_eq!(
        paths(&diff(&json!({"spec": {"cidrs": ["b", "a"]}}), &live)),
        ["spec.cidrs[0]", "spec.cidrs[1]"]
    );
}

#[test]
fn named_items_are_matched_by_name_and_an_additional_one_differs() {
    let desired = json!({"spec": {"args": [{"name": "v", "value": "2"}]}});
    let live = json!({"spec": {"args": [{"name": "a", "value": "1"}, {"name": "v", "value": "2"}]}});
    let diff = diff(&desired, &live);
    assert_eq!(paths(&diff), ["spec.args[name=a]"]);
    assert_eq!(diff.fields[0].desired, None);
}

#[test]
fn in_a_map_list_the_items_of_others_are_left_alone() {
    let live = owned_by_us(
        json!({"spec": {"args": [{"name": "a", "value": "1"}, {"name": "v", "value": "2"}]}}),
        json!({"f:spec": {"f:args": {"k:{\"name\":\"v\"}": {".": {}, "f:name": {}, "f:value": {}}}}}),
    );
    assert!(diff(&json!({"spec": {"args": [{"name": "v", "value": "2"}]}}), &live).is_empty());
    let changed = diff(&json!({"spec": {"args": [{"name": "v", "value": "3"}]}}), &live);
    assert_eq!(paths(&changed), ["spec.args[name=v].value"]);
    let gone = diff(&json!({"spec": {"args": []}}), &live);
    assert!(gone.fields.is_empty());
    assert_eq!(gone.removed, ["spec.args[name=v]"]);
}

#[test]
fn a_set_is_a_subset() {
    let live = owned_by_us(
        json!({"metadata": {"finalizers": ["theirs", "ours"]}}),
        json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"ours\"": {}}}}),
    );
    assert!(diff(&json!({"metadata": {"finalizers": ["ours"]}}), &live).is_empty());
    assert_eq!(
        paths(&diff(&json!({"metadata": {"finalizers": ["more", "ours"]}}), &live)),
        ["metadata.finalizers[more]"]
    );
}

#[test]
fn what_we_own_and_no_longer_want_is_removed() {
    let live = owned_by_us(
        json!({"metadata": {"labels": {"capstan.dev/x": "1", "theirs": "2"}}, "spec": {"paused": true, "a": {"b": 1, "c": 2}}}),
        json!({"f:metadata": {"f:labels": {"f:capstan.dev/x": {}}}, "f:spec": {"f:paused": {}, "f:gone": {}, "f:a": {"f:b": {}}}}),
    );
    let diff = diff(&json!({"metadata": {}, "spec": {}}), &live);
    assert_eq!(diff.removed, ["metadata.labels[capstan.dev/x]", "spec.a.b", "spec.paused"]);
    assert!(!diff.is_empty());
}

#[test]
fn what_another_manager_owns_is_not_removed() {
    let mut live = owned_by_us(json!({"spec": {"paused": true}}), json!({"f:spec": {"f:paused": {}}}));
    live["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    assert!(diff(&json!({"spec": {}}), &live).is_empty());
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0i64..5).prop_map(Value::from),
        "[a-c]{1,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner.clone(), 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            (prop::collection::btree_set("[a-d]", 0..3), inner).prop_map(|(names, value)| names
                .into_iter()
                .map(|name| json!({"name": name, "value": value}))
                .collect()),
        ]
    })
}

/// What a server-side apply of someone who owns nothing yet makes of a live value: maps merge, anything else is set.
fn merged(live: &Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            let mut all = live.clone();
            for (key, value) in desired {
                let value = all.get(key).map_or_else(|| value.clone(), |live| merged(live, value));
                all.insert(key.clone(), value);
            }
            Value::Object(all)
        }
        _ => desired.clone(),
    }
}

proptest! {
    #[test]
    fn an_object_does_not_differ_from_itself(spec in json_value()) {
        let object = json!({"spec": spec});
        prop_assert!(diff(&object, &object).is_empty());
    }

    #[test]
    fn after_an_apply_nothing_differs(desired in json_value(), live in json_value()) {
        let (desired, live) = (json!({"spec": desired}), json!({"spec": live}));
        prop_assert_eq!(diff(&desired, &merged(&live, &desired)), Diff::default());
    }

    #[test]
    fn no_difference_means_that_live_holds_all_that_is_desired(
        desired in json_value(), live in json_value()
    ) {
        let (desired, live) = (json!({"spec": desired}), json!({"spec": live}));
        if diff(&desired, &live).is_empty() {
            // An apply could at most take out defaults that the server has added to the items of a list.
            let applied = merged(&live, &desired);
            let changes = diff(&live, &applied).fields;
            prop_assert!(changes.iter().all(|change| change.live.is_none()), "{:?}", changes);
        }
    }

    #[test]
    fn a_difference_names_a_path_and_two_values(desired in json_value(), live in json_value()) {
        let diff = diff(&json!({"spec": desired}), &json!({"spec": live}));
        for field in &diff.fields {
            prop_assert!(field.path.starts_with("spec"));
            prop_assert_ne!(&field.live, &field.desired);
        }
    }
}
