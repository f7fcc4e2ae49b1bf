//! An object at rest. A parsed object of 3 kB of JSON takes 29 kB of memory, and a fleet of a thousand clusters has
//! some forty thousand of them of which few are looked at; so they rest as text, and are parsed when asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use kube::core::DynamicObject;

use super::locked;
use crate::MANAGER;

pub(super) struct Held {
    pub(super) version: u64,
    text: Box<[u8]>,
    parsed: Mutex<Weak<DynamicObject>>,
}

impl std::fmt::Debug for Held {
    // The object may be a Secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Held {
    /// `None` for what isn't an object (no server sends that).
    pub(super) fn new(version: u64, mut object: DynamicObject) -> Option<Self> {
        // Only what our own manager owns is ever asked for, and the field sets of others are half of an object.
        if let Some(fields) = &mut object.metadata.managed_fields {
            fields.retain(|entry| entry.manager.as_deref() == Some(MANAGER));
        }
        let text = serde_json::to_vec(&object).ok()?.into_boxed_slice();
        Some(Self { version, text, parsed: Mutex::new(Weak::new()) })
    }

    pub(super) fn object(&self, recent: &Recent) -> Option<Arc<DynamicObject>> {
        let mut parsed = locked(&self.parsed);
        if let Some(object) = parsed.upgrade() {
            return Some(object);
        }
        let object = Arc::new(serde_json::from_slice(&self.text).ok()?);
        *parsed = Arc::downgrade(&object);
        recent.keep(Arc::clone(&object));
        Some(object)
    }
}

/// The objects that were parsed last: a pass asks for the same few again and again.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Arc<DynamicObject>>>);

impl Recent {
    /// Enough for two dozen clusters that are looked at side by side; some 30 MB.
    const MOST: usize = 1024;

    fn keep(&self, object: Arc<DynamicObject>) {
        let mut objects = locked(&self.0);
        if objects.len() == Self::MOST {
            objects.pop_front();
        }
        objects.push_back(object);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a",
            "managedFields": [{"manager": "kubectl", "operation": "Apply"}, {"manager": "capstan", "operation": "Apply"}]},
            "data": {"x": "1"}}))
        .unwrap()
    }

    #[test]
    fn it_is_parsed_once_while_somebody_looks_or_it_was_looked_at_lately() {
        let (held, recent) = (Held::new(1, object()).unwrap(), Recent::default());
        let first = held.object(&recent).unwrap();
        assert!(Arc::ptr_eq(&first, &held.object(&recent).unwrap()));
        let weak = Arc::downgrade(&first);
        drop(first);
        assert!(weak.upgrade().is_some(), "kept for a while");
        for _ in 0..Recent::MOST {
            recent.keep(Arc::new(object()));
        }
        assert!(weak.upgrade().is_none());
        assert_eq!(held.object(&recent).unwrap().data["data"]["x"], "1");
    }

    #[test]
    fn only_our_own_fields_are_remembered() {
        let held = Held::new(1, object()).unwrap().object(&Recent::default()).unwrap();
        let managers: Vec<_> =
            held.metadata.managed_fields.iter().flatten().map(|entry| entry.manager.as_deref()).collect();
        assert_eq!(managers, [Some("capstan")]);
    }
}
