//! Which resources an API server knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::builtin;
use super::kinds;
use super::object::Object;
use super::prune::prune_object;

/// A resource in one version, as discovery describes it.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// `plural.group`, or the plural alone in the core group: the key of the store, the same for all versions.
    pub(crate) id: Arc<str>,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// Has a `/status` subresource.
    pub(crate) status: bool,
    /// Has a `/scale` subresource.
    pub(crate) scale: Option<Scale>,
    /// OpenAPI v3 schema of a custom resource.
    pub(crate) schema: Option<Arc<Value>>,
    /// `additionalPrinterColumns` of a custom resource.
    pub(crate) columns: Vec<Column>,
    /// Only `create` is possible: reviews.
    pub(crate) create_only: bool,
}

/// Where the scale subresource reads and writes, as paths with dots.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// A column of `kubectl get`.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) path: String,
    pub(crate) priority: i64,
}

impl Resource {
    /// `group/version`, or `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `Kind.group`, or the kind alone.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// True for resources that came from a `CustomResourceDefinition`.
    pub(crate) fn is_custom(&self) -> bool {
        self.schema.is_some()
    }

    /// The type of a built-in kind (see [`kinds`]).
    pub(crate) fn built_in(&self) -> Option<&'static str> {
        if self.is_custom() { None } else { kinds::of(&self.group, &self.version, &self.kind) }
    }

    /// Takes the fields out that the kind doesn't have, and names them.
    pub(crate) fn prune(&self, object: &mut Object) -> Vec<String> {
        match (&self.schema, self.built_in()) {
            (Some(schema), _) => {
                let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
                let mut unknown = metadata.map(kinds::prune_metadata).unwrap_or_default();
                unknown.extend(prune_object(object, schema));
                unknown
            }
            (None, Some(kind)) => kinds::prune_object(object, kind),
            (None, None) => Vec::new(),
        }
    }

    /// The verbs that discovery lists.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.create_only {
            &["create"]
        } else {
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        }
    }

    /// True if writes of the specification count up `metadata.generation`.
    pub(crate) fn has_generation(&self) -> bool {
        self.is_custom() || builtin::has_generation(&self.id)
    }
}

/// All resources of one API server, in the order of discovery.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    /// By group, version, plural.
    resources: BTreeMap<(String, String, String), Arc<Resource>>,
    /// By store key: one version of each.
    by_id: BTreeMap<Arc<str>, Arc<Resource>>,
}

impl Registry {
    /// What every API server brings.
    pub(crate) fn builtin() -> Self {
        let mut registry = Self { resources: BTreeMap::new(), by_id: BTreeMap::new() };
        for resource in builtin::resources() {
            registry.insert(resource);
        }
        registry
    }

    pub(crate) fn insert(&mut self, resource: Arc<Resource>) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        self.by_id.insert(Arc::clone(&resource.id), Arc::clone(&resource));
        self.resources.insert(key, resource);
    }

    /// Takes all versions of a resource out.
    pub(crate) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
        self.resources.retain(|_, resource| &*resource.id != id);
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        // Three short copies; the map has a few dozen entries and lookups are not hot.
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// Any version of the resource with this store key.
    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Resource>> {
        self.by_id.get(id).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// Groups in the order of `kubectl api-versions`, each with its versions, the newest first.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in self.resources.values() {
            let versions = groups.entry(&resource.group).or_default();
            if !versions.contains(&resource.version.as_str()) {
                versions.push(&resource.version);
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        }
        groups
    }
}

/// Order of versions: v2 > v1 > v1beta2 > v1beta1 > v1alpha1.
fn rank(version: &str) -> (u32, u32, u32) {
    let digits =
        |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let rest = version.trim_start_matches('v');
    let major = digits(rest);
    let (stage, minor) = match (rest.find("beta"), rest.find("alpha")) {
        (Some(at), _) => (1, digits(&rest[at + 4..])),
        (_, Some(at)) => (0, digits(&rest[at + 5..])),
        _ => (2, 0),
    };
    (stage, major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_stability() {
        let mut versions = ["v1alpha1", "v2", "v1beta1", "v1", "v1beta2"];
        versions.sort_by_key(|v| std::cmp::Reverse(rank(v)));
        assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1"]);
    }
}
