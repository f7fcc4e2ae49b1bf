//! The cluster's namespace in the management plane: first there, last gone.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::{DynamicObject, Kind};
use serde_json::json;

use super::{is_going, is_ours};
use crate::render;
use crate::subject::Subject;

/// See the module.
pub struct Namespace(pub Arc<Subject>);

/// What can be done about a namespace.
#[derive(Debug)]
pub enum Change {
    /// Make it.
    Create {
        /// Its name.
        name: String,
    },
    /// Delete it.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        let (name, class) = match self {
            Self::Create { name } => (name, ChangeClass::Creates),
            Self::Delete { name } => (name, ChangeClass::Deletes),
        };
        PlannedChange::new(Namespace::NAME, format!("Namespace {name}"), class)
    }
}

impl Namespace {
    pub(crate) const NAME: &'static str = "namespace";
}

#[async_trait]
impl Component for Namespace {
    type Seen = Option<Arc<DynamicObject>>;
    type Change = Change;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        &[super::preflight::Preflight::NAME]
    }

    async fn observe(&self, _: &StepCx) -> Result<Self::Seen, Failure> {
        Ok(self.0.get(&Kind::NAMESPACE, self.0.namespace()))
    }

    fn plan(&self, direction: Direction, seen: &Self::Seen) -> Verdict<Change> {
        let name = self.0.namespace().to_owned();
        match (direction, seen) {
            (Direction::Present, None) => Verdict::Change(vec![Change::Create { name }]),
            (Direction::Absent, None) => Verdict::InSync,
            (_, Some(namespace)) if is_going(namespace) => {
                Verdict::waiting(format!("namespace `{name}` to be gone"), 5)
            }
            (Direction::Present, Some(namespace)) if !is_ours(&self.0, namespace) => Verdict::blocked(
                format!("namespace `{name}` of the management plane belongs to somebody else"),
                "give the cluster another name, or delete the namespace if nobody needs it",
            ),
            (Direction::Present, Some(_)) => Verdict::InSync,
            // Somebody else's namespace of that name is not ours to delete.
            (Direction::Absent, Some(namespace)) if !is_ours(&self.0, namespace) => Verdict::InSync,
            (Direction::Absent, Some(_)) => Verdict::Change(vec![Change::Delete { name }]),
        }
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        match change {
            Change::Create { name } => {
                let labels = render::labels(self.0.names());
                let namespace = json!({
                    "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
                });
                self.0.plane.apply(&namespace).await
            }
            Change::Delete { name } => self.0.plane.delete(&Kind::NAMESPACE, "", name).await,
        }
    }
}
