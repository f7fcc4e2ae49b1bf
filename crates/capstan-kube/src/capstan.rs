//! Capstan's own custom resource, `workloadclusters.capstan.dev`: installing its CRD.

use std::time::Duration;

use kube::Client;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::apply::{Applied, Applier};
use crate::conditions::Conditions;
use crate::wait::{self, WaitError};
use crate::{Error, Kind, Target};

/// Why a CRD isn't in place.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It can't be applied.
    #[error("the CRD can't be applied")]
    Apply(#[source] Error),
    /// The API server doesn't take it into service.
    #[error("the API server doesn't serve the new kind: {why}")]
    NotEstablished {
        /// What its conditions say.
        why: String,
        /// Why the wait ended.
        #[source]
        source: WaitError,
    },
}

/// Applies a CRD (as JSON) and waits until the API server serves its kind.
///
/// # Errors
/// When it is refused, or not established within `limit`.
pub async fn install_crd(client: &Client, crd: &Value, limit: Duration) -> Result<Applied, InstallError> {
    let applied = Applier::new(client.clone()).forced().apply(crd).await.map_err(InstallError::Apply)?;
    if is_established(Some(&applied.object)) {
        return Ok(applied);
    }
    let name = applied.object.metadata.name.clone().unwrap_or_default();
    let target = Target::new(&Kind::CUSTOM_RESOURCE_DEFINITION, None, &name);
    match wait::once(client, &target, limit, is_established).await {
        Ok(Some(object)) => Ok(Applied { object, ..applied }),
        Ok(None) => Ok(applied),
        Err(source) => Err(InstallError::NotEstablished { why: why_not(client, &target).await, source }),
    }
}

/// Whether the API server serves the kind of a CRD, under the names that it asks for.
#[must_use]
pub fn is_established(crd: Option<&DynamicObject>) -> bool {
    crd.is_some_and(|crd| {
        let conditions = Conditions::of(crd);
        conditions.is_true("Established") && conditions.is_true("NamesAccepted")
    })
}

async fn why_not(client: &Client, target: &Target) -> String {
    let crd = target.kind.api(client.clone(), None).get_opt(&target.name).await;
    let summary = crd.ok().flatten().and_then(|crd| Conditions::of(&crd).summary());
    summary.unwrap_or_else(|| "it has no conditions yet".to_owned())
}
