//! The image that nodes start from: by name in Glance, or uploaded from its source.

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_openstack::image::Image;
use jiff::Timestamp;

use crate::images::{self, Registration};
use crate::subject::Subject;
use crate::{failure, images::Standing};

/// See the module. Images are shared by clusters and stay when one goes; `image prune` removes those nobody uses.
pub struct NodeImage(pub Arc<Subject>);

/// What exists.
pub struct Seen {
    name: String,
    images: Vec<Image>,
    /// An upload may turn out to be abandoned while a run waits for it.
    now: Timestamp,
}

/// What can be done about an image.
#[derive(Debug)]
pub enum Change {
    /// Upload it.
    Register(Box<Registration>),
    /// Take away what an upload has left that came to nothing.
    Discard {
        /// The image's name.
        name: String,
        /// Its id.
        id: String,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        match self {
            Self::Register(registration) => {
                let object = format!("image {}", registration.name);
                PlannedChange::new(NodeImage::NAME, object, ChangeClass::Creates)
                    .because(format!("from {}", registration.source))
            }
            Self::Discard { name, .. } => {
                PlannedChange::new(NodeImage::NAME, format!("image {name}"), ChangeClass::Deletes)
                    .because("its upload was not finished")
            }
        }
    }
}

impl NodeImage {
    pub(crate) const NAME: &'static str = "image";

    fn registration(&self) -> Option<Registration> {
        let (spec, facts) = (&self.0.cluster.spec.image, self.0.facts.get()?);
        Some(Registration {
            fleet: self.0.names().fleet().to_owned(),
            name: spec.name_for(&facts.version),
            version: facts.version,
            source: spec.source_for(&facts.version)?,
            folder: self.0.folder.clone(),
            sha256: spec.sha256.clone(),
            format: spec.format,
            properties: spec.properties.clone(),
        })
    }
}

#[async_trait]
impl Component for NodeImage {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        &[super::preflight::Preflight::NAME]
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        let now = Timestamp::try_from(cx.clock().wall()).unwrap_or(self.0.since);
        let Some(facts) = self.0.facts.get() else {
            return Ok(Seen { name: String::new(), images: vec![], now });
        };
        let name = self.0.cluster.spec.image.name_for(&facts.version);
        let all = self.0.project.images().await.map_err(failure::openstack)?;
        Ok(Seen { images: all.iter().filter(|image| image.name == name).cloned().collect(), name, now })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<Change> {
        if direction == Direction::Absent {
            return Verdict::InSync;
        }
        let name = &seen.name;
        let standing = images::standing(&seen.images, self.0.names().fleet(), seen.now);
        match (standing, self.registration()) {
            (Standing::Ready, _) => Verdict::InSync,
            (Standing::Several(ids), _) => Verdict::blocked(
                format!("there are {} images `{name}`: {}", ids.len(), ids.join(", ")),
                "rename or delete all but one of them: the provider refuses to choose",
            ),
            (Standing::Uploading, _) => {
                Verdict::waiting(format!("somebody else to finish the upload of `{name}`"), 10)
            }
            (Standing::Abandoned(id), _) => Verdict::Change(vec![Change::Discard { name: name.clone(), id }]),
            (Standing::Missing, Some(registration)) => {
                Verdict::Change(vec![Change::Register(Box::new(registration))])
            }
            // Preflight has said so with more words; this is for the moment between.
            (Standing::Missing, None) => {
                Verdict::blocked(format!("there is no image `{name}`"), "register it, or name its source")
            }
        }
    }

    async fn apply(&self, change: &Change, cx: &StepCx) -> Result<(), Failure> {
        let project = &self.0.project;
        match change {
            Change::Register(registration) => images::register(project, registration, cx).await,
            Change::Discard { id, .. } => {
                let images = project.cloud().image().map_err(failure::openstack)?;
                let deleted = images.delete(id).await;
                project.forget_images().await;
                deleted.map_err(failure::openstack)
            }
        }
    }
}
