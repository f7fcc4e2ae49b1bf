//! What a field manager owns of an object, from `metadata.managedFields` (the FieldsV1 format).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// A tree of owned fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owned {
    fields: BTreeMap<String, Self>,
    items: Vec<(Entry, Self)>,
    whole: bool,
}

/// An entry of a list that is owned by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// Of a list that is a map: the fields that tell items apart.
    Keys(BTreeMap<String, Value>),
    /// Of a list that is a set.
    Value(Value),
}

static NONE: Owned = Owned { fields: BTreeMap::new(), items: Vec::new(), whole: false };

impl Owned {
    /// What `manager` owns by server-side apply, without what it owns of the status.
    #[must_use]
    pub fn read(managed_fields: &Value, manager: &str) -> Self {
        managed_fields
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| {
                entry["manager"] == manager
                    && entry["operation"] == "Apply"
                    && entry["subresource"].as_str().is_none()
            })
            .map(|entry| Self::parse(&entry["fieldsV1"]))
            .next()
            .unwrap_or_default()
    }

    fn parse(fields: &Value) -> Self {
        let mut owned = Self::default();
        for (key, below) in fields.as_object().into_iter().flatten() {
            let below = Self::parse(below);
            match key.split_once(':') {
                Some(("f", name)) => {
                    owned.fields.insert(name.to_owned(), below);
                }
                Some(("k", keys)) => {
                    if let Ok(keys) = serde_json::from_str(keys) {
                        owned.items.push((Entry::Keys(keys), below));
                    }
                }
                Some(("v", value)) => {
                    if let Ok(value) = serde_json::from_str(value) {
                        owned.items.push((Entry::Value(value), below));
                    }
                }
                // `.`: the field itself, beside what is in it. (`i:` isn't written by any server.)
                _ => owned.whole |= key == ".",
            }
        }
        owned
    }

    pub(super) fn none() -> &'static Self {
        &NONE
    }

    /// What is owned below a field.
    pub(super) fn field(&self, name: &str) -> &Self {
        self.fields.get(name).unwrap_or(&NONE)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.fields.iter().map(|(name, below)| (name.as_str(), below))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = (&Entry, &Self)> {
        self.items.iter().map(|(entry, below)| (entry, below))
    }

    /// What is owned below the item of a list.
    pub(super) fn item(&self, item: &Value) -> &Self {
        self.items.iter().find(|(entry, _)| entry.is(item)).map_or(&NONE, |(_, below)| below)
    }

    /// Owned as one value.
    pub(super) fn is_leaf(&self) -> bool {
        self.fields.is_empty() && self.items.is_empty()
    }

    /// The field itself is owned, not only something in it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether this is a list of which single values are owned.
    pub(super) fn is_set(&self) -> bool {
        self.items.iter().any(|(entry, _)| matches!(entry, Entry::Value(_)))
    }

    /// The names of the fields that tell the items of this list apart.
    pub(super) fn item_keys(&self) -> Option<BTreeSet<String>> {
        self.items.iter().find_map(|(entry, _)| match entry {
            Entry::Keys(keys) => Some(keys.keys().cloned().collect()),
            Entry::Value(_) => None,
        })
    }
}

impl Entry {
    pub(super) fn is(&self, item: &Value) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
            Self::Value(value) => item == value,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => {
                for (index, (key, value)) in keys.iter().enumerate() {
                    write!(f, "{}{key}={}", if index == 0 { "" } else { "," }, super::plain(value))?;
                }
                Ok(())
            }
            Self::Value(value) => f.write_str(&super::plain(value)),
        }
    }
}
