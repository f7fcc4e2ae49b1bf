//! Deleting an object: of the uid that was seen, and twice does no harm.

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt};

use crate::{Error, Kind, Target};

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What happens to the objects that this one owns; `None`: the kind's default (background for custom resources).
    pub propagation: Option<PropagationPolicy>,
    /// Only this very object: with another uid under the name the call ends in [`Error::Changed`].
    pub uid: Option<String>,
    /// Ask, but delete nothing.
    pub dry_run: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, or was never there.
    Gone,
    /// It is marked and goes once these finalizers are done.
    Going {
        /// The finalizers that hold it.
        finalizers: Vec<String>,
    },
}

/// Deletes an object; one that isn't there (or whose kind isn't) counts as deleted.
///
/// # Errors
/// [`Error::Changed`] when another object has taken the name; what the API answers otherwise.
pub async fn delete(
    client: &Client,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    options: &Options,
) -> Result<Deleted, Error> {
    let parameters = DeleteParams {
        dry_run: options.dry_run,
        propagation_policy: options.propagation.clone(),
        preconditions: options
            .uid
            .clone()
            .map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    };
    match kind.api(client.clone(), namespace).delete(name, &parameters).await {
        Ok(answer) => Ok(answer.left().map_or(Deleted::Gone, |object| going(&object))),
        Err(error) => match Error::decode(error, &Target::new(kind, namespace, name)) {
            Error::NotFound { .. } | Error::NoKind { .. } => Ok(Deleted::Gone),
            other => Err(other),
        },
    }
}

fn going(object: &DynamicObject) -> Deleted {
    if object.metadata.deletion_timestamp.is_none() {
        // Without finalizers the answer is the object as it last was.
        return Deleted::Gone;
    }
    Deleted::Going { finalizers: object.finalizers().to_vec() }
}
