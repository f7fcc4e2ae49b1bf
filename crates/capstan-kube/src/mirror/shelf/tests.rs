use kube::core::ObjectMeta;
use proptest::prelude::*;

use super::super::held::Recent;
use super::*;

fn object(name: &str, version: u64) -> DynamicObject {
    DynamicObject {
        types: None,
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some("n".into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        },
        data: serde_json::json!({}),
    }
}

#[test]
fn numbers_are_compared_not_texts() {
    let mut shelf = Shelf::default();
    assert!(shelf.observe(object("a", 9)));
    assert!(shelf.observe(object("a", 10)));
    assert!(!shelf.observe(object("a", 9)));
}

#[test]
fn an_own_write_survives_the_older_events_that_come_after_it() {
    let mut shelf = Shelf::default();
    shelf.relist(vec![object("a", 1)], 5);
    assert!(shelf.put(object("a", 8)));
    assert!(!shelf.observe(object("a", 7)));
    assert!(!shelf.observe(object("a", 8)));
    assert_eq!(shelf.get("n", "a").unwrap().version, 8);
}

#[test]
fn an_own_write_does_not_bring_a_deleted_object_back() {
    let mut shelf = Shelf::default();
    shelf.relist(vec![object("a", 1)], 5);
    assert!(shelf.delete(&object("a", 9)));
    assert!(!shelf.put(object("a", 8)), "written at 8, deleted at 9, told of the write last");
    assert!(shelf.put(object("a", 12)), "created anew");
    assert!(!shelf.delete(&object("a", 9)));
    assert!(shelf.get("n", "a").is_some());
}

#[test]
fn a_list_older_than_an_own_write_keeps_it() {
    let mut shelf = Shelf::default();
    shelf.put(object("new", 20));
    shelf.put(object("gone", 10));
    let changed = shelf.relist(vec![object("other", 3)], 15);
    assert_eq!(changed, BTreeSet::from(["n".to_owned()]));
    assert!(shelf.get("n", "new").is_some());
    assert!(shelf.get("n", "gone").is_none());
}

#[test]
fn a_server_restored_from_a_backup_is_believed() {
    let mut shelf = Shelf::default();
    shelf.relist(vec![object("a", 100), object("b", 90)], 100);
    shelf.relist(vec![object("a", 40)], 50);
    assert_eq!(shelf.get("n", "a").unwrap().version, 40);
    assert!(shelf.get("n", "b").is_none());
}

/// Names and versions in the copy.
fn copy(shelf: &Shelf) -> BTreeMap<u8, u64> {
    let recent = Recent::default();
    let named = |held: &Arc<Held>| name(&held.object(&recent).unwrap()).parse().unwrap();
    shelf.list(None).iter().map(|held| (named(held), held.version)).collect()
}

/// One change on the server; the version is its position.
#[derive(Clone, Debug)]
struct Write {
    name: u8,
    delete: bool,
    ours: bool,
}

proptest! {
    /// Whatever the order in which own writes and the stream arrive, at the end the copy is the server's state, and
    /// an object is never seen to go back in time.
    #[test]
    fn the_copy_ends_as_the_server(
        writes in prop::collection::vec((0u8..4, any::<bool>(), any::<bool>()), 1..40),
        delays in prop::collection::vec(0usize..6, 40),
        list_at in 0usize..40,
    ) {
        let writes: Vec<Write> =
            writes.into_iter().map(|(name, delete, ours)| Write { name, delete, ours }).collect();
        let mut server: BTreeMap<u8, u64> = BTreeMap::new();
        let mut shelf = Shelf::default();
        // (arrives at, version, write); the stream is in order, own answers come when they come.
        let mut stream: Vec<(usize, u64, Write)> = Vec::new();
        let mut answers: Vec<(usize, u64, Write)> = Vec::new();
        let mut latest = 0;
        for (index, write) in writes.iter().enumerate() {
            let version = index as u64 + 1;
            if write.delete && server.remove(&write.name).is_none() {
                continue;
            }
            if !write.delete {
                server.insert(write.name, version);
                if write.ours {
                    answers.push((index + delays[(index * 7) % 40], version, write.clone()));
                }
            }
            latest = latest.max(index + delays[index]);
            stream.push((latest, version, write.clone()));
        }
        let mut highest: BTreeMap<u8, u64> = BTreeMap::new();
        let mut listed = 0;
        for now in 0..60 {
            for (_, version, write) in answers.iter().filter(|(at, ..)| *at == now) {
                shelf.put(object(&write.name.to_string(), *version));
            }
            // After a list the watch starts anew from its version.
            for (_, version, write) in stream.iter().filter(|(at, version, _)| *at == now && *version > listed) {
                let object = object(&write.name.to_string(), *version);
                if write.delete { shelf.delete(&object); } else { shelf.observe(object); }
            }
            if now == list_at {
                let (state, at) = replay(&writes, now);
                listed = at;
                shelf.relist(state.iter().map(|(name, version)| object(&name.to_string(), *version)).collect(), at);
            }
            for (key, version) in copy(&shelf) {
                let before = highest.insert(key, version).unwrap_or(0);
                prop_assert!(before <= version, "{key} went from {before} to {version}");
            }
        }
        prop_assert_eq!(copy(&shelf), server);
    }
}

/// The server's state after the writes up to and including `index`, and its version.
fn replay(writes: &[Write], index: usize) -> (BTreeMap<u8, u64>, u64) {
    let mut state = BTreeMap::new();
    for (position, write) in writes.iter().enumerate().take(index + 1) {
        if write.delete {
            state.remove(&write.name);
        } else {
            state.insert(write.name, position as u64 + 1);
        }
    }
    (state, writes.len().min(index + 1) as u64)
}
