//! One writer per subject: a Lease of `coordination.k8s.io` in the management plane.
//!
//! The crate kube-lease-manager isn't used: it renews in a task of its own by the system's clock, and Capstan's time
//! is the engine's. Here a caller brings the time with each call and decides when to renew.
//!
//! Who wants the Lease writes its name with the resource version that it has read, so of two only one succeeds. A
//! Lease is free when nobody holds it, or when its holder has not renewed it for its duration: seen from the
//! record's own time with an allowance for clocks that differ ([`SKEW`]), or, whatever the clocks say, when this
//! process has watched the same record for the whole duration.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::ObjectMeta;
use kube::{Api, Client};

use crate::{Error, Kind, Target};

/// How often giving up is tried: renewals of ours come in between, and servers have bad moments.
const TRIES: u32 = 3;

/// By how much the clocks of two machines may differ.
pub const SKEW: Duration = Duration::from_secs(10);

/// What trying to get the Lease came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is ours until that time, unless renewed.
    Held {
        /// When another may take it over.
        until: Timestamp,
    },
    /// Another has it.
    Taken {
        /// Who.
        holder: String,
        /// Since when.
        since: Option<Timestamp>,
        /// When it was renewed last.
        renewed: Option<Timestamp>,
    },
}

/// A Lease that this process wants or holds.
pub struct Lease {
    api: Api<Record>,
    target: Target,
    labels: std::collections::BTreeMap<String, String>,
    holder: String,
    duration: Duration,
    /// The record of somebody else, and since when it has been seen unchanged.
    seen: Option<(String, Timestamp)>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("target", &self.target)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// A Lease `name` in a namespace, for `holder` (a text that people understand and that no other process has:
    /// `capstan 4711 on host, user`). `duration` is how long it outlives a holder that dies.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, holder: &str, duration: Duration) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            target: Target::new(&Kind::LEASE, Some(namespace), name),
            labels: std::collections::BTreeMap::new(),
            holder: holder.to_owned(),
            duration,
            seen: None,
        }
    }

    /// Labels that the record gets when it is created.
    #[must_use]
    pub fn with_labels(mut self, labels: impl IntoIterator<Item = (String, String)>) -> Self {
        self.labels.extend(labels);
        self
    }

    /// Gets the Lease, or renews it when it is ours already. Whose answer was lost may ask again: the record says
    /// whose it is.
    ///
    /// # Errors
    /// What the API answers, [`Error::NotFound`] where the namespace is missing. Losing a race is
    /// [`Attempt::Taken`], not an error.
    pub async fn acquire(&mut self, now: Timestamp) -> Result<Attempt, Error> {
        // Who loses a race looks once more, and finds the winner.
        for _ in 0..3 {
            let (record, version) = match self.read().await? {
                None => (None, None),
                Some(record) => {
                    let version = record.metadata.resource_version.clone();
                    (Some(record), version)
                }
            };
            if let Some(record) = &record
                && let Some(taken) = self.taken(record, now)
            {
                return Ok(taken);
            }
            let wanted = self.record(record, now);
            match self.write(wanted, version.is_none()).await {
                Ok(()) => {
                    self.seen = None;
                    return Ok(Attempt::Held { until: after(now, self.duration) });
                }
                Err(Error::Changed { .. } | Error::Exists { .. }) => {}
                // Removed in between; a create that finds nothing lacks its namespace.
                Err(Error::NotFound { .. }) if version.is_some() => {}
                Err(other) => return Err(other),
            }
        }
        Err(Error::Changed { target: Box::new(self.target.clone()) })
    }

    /// Gives the Lease up, when it is ours: the next one needn't wait for its end.
    ///
    /// # Errors
    /// What the API answers. A Lease that somebody else has by now is left alone.
    pub async fn release(&mut self, now: Timestamp) -> Result<(), Error> {
        // A renewal of ours that was under way may come in between.
        for _ in 0..TRIES {
            let Some(mut record) = self.own().await? else { return Ok(()) };
            if let Some(spec) = &mut record.spec {
                spec.holder_identity = None;
                spec.renew_time = Some(MicroTime(now));
            }
            match self.write(record, false).await {
                Err(Error::Changed { .. }) => {}
                Err(Error::NotFound { .. }) => return Ok(()),
                other => return other,
            }
        }
        Ok(())
    }

    /// Removes the Lease, when it is ours: what it was about is gone.
    ///
    /// # Errors
    /// What the API answers. A Lease that somebody else has by now is left alone.
    pub async fn remove(&mut self) -> Result<(), Error> {
        let mut removed = self.remove_once().await;
        // Nobody comes after this run to remove it.
        for _ in 1..TRIES {
            if !removed.as_ref().is_err_and(Error::is_transient) {
                break;
            }
            removed = self.remove_once().await;
        }
        removed
    }

    async fn remove_once(&self) -> Result<(), Error> {
        let Some(record) = self.own().await? else { return Ok(()) };
        let seen =
            Preconditions { uid: record.metadata.uid, resource_version: record.metadata.resource_version };
        let parameters = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
        let answer = self.api.delete(&self.target.name, &parameters).await;
        match answer.map_err(|error| Error::decode(error, &self.target)) {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Takes the Lease from a holder that is known to be dead (its process on this machine is gone), without
    /// waiting for the end. `false`: by now somebody else holds it.
    ///
    /// # Errors
    /// What the API answers.
    pub async fn take_from(&mut self, holder: &str, now: Timestamp) -> Result<bool, Error> {
        let Some(record) = self.read().await? else { return Ok(false) };
        if record.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(holder) {
            return Ok(false);
        }
        let wanted = self.record(Some(record), now);
        match self.write(wanted, false).await {
            Ok(()) => Ok(true),
            Err(Error::Changed { .. } | Error::NotFound { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The record, if it says that the Lease is ours.
    async fn own(&self) -> Result<Option<Record>, Error> {
        let ours = |record: &Record| {
            record.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.holder)
        };
        Ok(self.read().await?.filter(ours))
    }

    async fn read(&self) -> Result<Option<Record>, Error> {
        self.api.get_opt(&self.target.name).await.map_err(|error| Error::decode(error, &self.target))
    }

    async fn write(&self, record: Record, create: bool) -> Result<(), Error> {
        let parameters =
            PostParams { field_manager: Some(crate::MANAGER.to_owned()), ..PostParams::default() };
        let answer = if create {
            self.api.create(&parameters, &record).await
        } else {
            // The record carries the resource version that was read.
            self.api.replace(&self.target.name, &parameters, &record).await
        };
        answer.map(drop).map_err(|error| Error::decode(error, &self.target))
    }

    /// The record as it is to be: ours, renewed.
    fn record(&self, old: Option<Record>, now: Timestamp) -> Record {
        let mut record = old.unwrap_or_else(|| Record {
            metadata: ObjectMeta {
                name: Some(self.target.name.clone()),
                namespace: self.target.namespace.clone(),
                labels: Some(self.labels.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = record.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_ref() != Some(&self.holder) {
            let before = spec.lease_transitions;
            spec.lease_transitions = Some(before.map_or(0, |count| count.saturating_add(1)));
            spec.acquire_time = Some(MicroTime(now));
            spec.holder_identity = Some(self.holder.clone());
        }
        spec.lease_duration_seconds = Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(MicroTime(now));
        record
    }

    /// Who else holds the Lease now; `None` when it is ours or free.
    fn taken(&mut self, record: &Record, now: Timestamp) -> Option<Attempt> {
        let spec = record.spec.as_ref()?;
        let holder =
            spec.holder_identity.as_ref().filter(|holder| !holder.is_empty() && **holder != self.holder)?;
        let renewed = spec.renew_time.as_ref().map(|time| time.0);
        let duration = Duration::from_secs(
            u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default(),
        );

        let version = record.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => now,
        };
        self.seen = Some((version, since));
        let by_its_time = renewed.is_none_or(|renewed| after(renewed, duration + SKEW) < now);
        let by_watching = after(since, duration) < now;
        if by_its_time || by_watching {
            return None;
        }
        Some(Attempt::Taken {
            holder: holder.clone(),
            since: spec.acquire_time.as_ref().map(|time| time.0),
            renewed,
        })
    }
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
