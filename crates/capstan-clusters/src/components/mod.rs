//! The components of a workload cluster, one file each, in the order in which they are made. Deleting walks the same
//! list backwards.

pub mod access;
pub mod credential;
pub mod image;
pub mod leftovers;
pub mod machines;
pub mod namespace;
pub mod objects;
pub mod preflight;
pub mod record;
pub mod server_groups;
pub mod templates;
pub mod workload;

use std::sync::Arc;

use capstan_core::names;
use capstan_kube::DynamicObject;

use crate::subject::Subject;

/// Whether an object carries the labels of this very cluster.
pub(crate) fn is_ours(subject: &Subject, object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    let label = |key| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    label(names::FLEET_LABEL) == Some(subject.names().fleet())
        && label(names::CLUSTER_LABEL) == Some(subject.names().cluster())
}

/// Whether an object is on its way out.
pub(crate) fn is_going(object: &Arc<DynamicObject>) -> bool {
    object.metadata.deletion_timestamp.is_some()
}
