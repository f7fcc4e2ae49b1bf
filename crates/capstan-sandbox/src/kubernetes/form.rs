//! In which form an answer is wanted: the objects themselves, a table, or the metadata only.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::ApiServer;
use super::object::{Object, Read as _, Write as _};
use super::registry::Resource;
use super::table;

/// The form of an answer, from the `Accept` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// Objects as they are.
    Plain,
    /// `Table`; with the query parameter `includeObject`.
    Table(String),
    /// `PartialObjectMetadata`
    Metadata,
}

impl Form {
    /// The first form of an `Accept` header that the sandbox knows; nothing if there is none.
    pub(crate) fn accepted(accept: &str, include: &str) -> Option<Self> {
        if accept.is_empty() {
            return Some(Self::Plain);
        }
        accept.split(',').find_map(|wanted| {
            let mut parts = wanted.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let kind = parts.find_map(|part| part.strip_prefix("as=")).unwrap_or_default();
            match (media, kind) {
                ("application/json" | "*/*" | "application/*" | "application/yaml", "") => Some(Self::Plain),
                ("application/json", "Table") => Some(Self::Table(include.to_owned())),
                ("application/json", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                    Some(Self::Metadata)
                }
                _ => None,
            }
        })
    }

    /// One object.
    pub(crate) fn one(&self, server: &ApiServer, resource: &Resource, object: &Arc<Object>) -> Value {
        match self {
            Self::Plain => versioned(resource, object),
            Self::Table(include) => {
                let metadata = json!({"resourceVersion": object.text("metadata.resourceVersion")});
                table::render(resource, std::slice::from_ref(object), metadata, include, server.timestamp())
            }
            Self::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
            }
        }
    }

    /// A list.
    pub(crate) fn list(
        &self,
        server: &ApiServer,
        resource: &Resource,
        objects: &[Arc<Object>],
        metadata: Value,
    ) -> Value {
        let one = |object| self.one(server, resource, object);
        match self {
            Self::Plain => {
                let items: Vec<Value> = objects.iter().map(one).collect();
                json!({"kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(), "metadata": metadata, "items": items})
            }
            Self::Table(include) => table::render(resource, objects, metadata, include, server.timestamp()),
            Self::Metadata => {
                let items: Vec<Value> = objects.iter().map(one).collect();
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
            }
        }
    }

    /// A bookmark of a watch.
    pub(crate) fn bookmark(&self, mut object: Value) -> Value {
        match self {
            Self::Plain => object,
            Self::Table(_) => {
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
                       "columnDefinitions": null, "rows": [{"cells": [], "object": object}]})
            }
            Self::Metadata => {
                object.set("kind", "PartialObjectMetadata");
                object.set("apiVersion", "meta.k8s.io/v1");
                object
            }
        }
    }
}

/// The object in the version that was asked for; versions of one resource differ in nothing else here.
fn versioned(resource: &Resource, object: &Object) -> Value {
    let mut object = object.clone();
    let version = resource.api_version();
    if object["apiVersion"] != version {
        object.set("apiVersion", version);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_form_counts() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(Form::accepted(kubectl, "None"), Some(Form::Table("None".to_owned())));
        assert_eq!(
            Form::accepted("application/vnd.kubernetes.protobuf,application/json", ""),
            Some(Form::Plain)
        );
        assert_eq!(Form::accepted("application/vnd.kubernetes.protobuf", ""), None);
        assert_eq!(Form::accepted("", ""), Some(Form::Plain));
    }
}
