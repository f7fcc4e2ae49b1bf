//! A namespace in which one behaviour is tried, and how it goes again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use capstan_kube::apply::Applier;
use capstan_kube::delete::{self, delete};
use capstan_kube::{Client, DynamicObject, Error, Kind, Target, wait};
use serde_json::{Value, json};

/// A management plane, and a namespace of a behaviour's own in it.
#[derive(Clone)]
pub struct Site {
    /// The client.
    pub client: Client,
    /// Name of the namespace, and the beginning of the name of everything outside it.
    pub namespace: String,
}

/// Longer than anything takes on a management plane that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Distinguishes the sites of one process.
static SITES: AtomicU32 = AtomicU32::new(0);

impl Site {
    /// A place of its own on a management plane.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        Self { client, namespace: format!("contract-{:08x}-{number}", now & 0xffff_ffff) }
    }

    /// Runs one behaviour in its namespace and removes that, whatever came of it.
    ///
    /// # Errors
    /// The behaviour's, or that something could not be removed.
    pub async fn run(&self, behaviour: &super::Behaviour) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        Applier::new(self.client.clone()).apply_over(&namespace, None).await.context("make a namespace")?;
        let result = (behaviour.run)(self).await.with_context(|| behaviour.name);
        let cleaned = self.clean().await.with_context(|| format!("clean up after {}", behaviour.name));
        result.and(cleaned)
    }

    /// Applies as Capstan does.
    #[must_use]
    pub fn applier(&self) -> Applier {
        Applier::new(self.client.clone())
    }

    /// A ConfigMap of this namespace.
    #[must_use]
    pub fn config_map(&self, name: &str, data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace}, "data": data})
    }

    /// An object's name for calls and waits.
    #[must_use]
    pub fn target(&self, kind: &Kind, name: &str) -> Target {
        Target::new(kind, kind.namespaced.then_some(self.namespace.as_str()), name)
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// The API's.
    pub async fn get(&self, kind: &Kind, name: &str) -> Result<Option<DynamicObject>> {
        Ok(kind.api(self.client.clone(), Some(&self.namespace)).get_opt(name).await?)
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn gone(&self, kind: &Kind, name: &str) -> Result<()> {
        wait::once(&self.client, &self.target(kind, name), PATIENCE, |object| object.is_none()).await?;
        Ok(())
    }

    async fn clean(&self) -> Result<()> {
        delete(&self.client, &Kind::NAMESPACE, None, &self.namespace, &delete::Options::default()).await?;
        self.gone(&Kind::NAMESPACE, &self.namespace).await
    }
}

/// The error that a call must end with, which has to be of this kind.
///
/// # Errors
/// The call succeeded, or ended with another.
pub(super) fn refused<T>(name: &str, result: Result<T, Error>) -> Result<Error> {
    match result {
        Ok(_) => bail!("`{name}` was expected, but the call succeeded"),
        Err(error) => {
            ensure!(error.name() == name, "`{name}` was expected, but {}: {error}", error.name());
            Ok(error)
        }
    }
}
