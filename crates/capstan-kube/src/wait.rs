//! Waiting for an object to be in a state, on watches: nothing is polled.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DynamicObject;
use tokio::time::{Instant, timeout_at};

use crate::mirror::Mirror;
use crate::{Error, Target};

/// Why the wait ended without the state.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The deadline came first.
    #[error("`{target}` wasn't as waited for within {} s", limit.as_secs())]
    Deadline {
        /// The object.
        target: Box<Target>,
        /// How long was waited.
        limit: Duration,
        /// The object as it was last; `None`: it didn't exist.
        last: Option<Arc<DynamicObject>>,
    },
    /// The mirror can't follow the kind.
    #[error(transparent)]
    Mirror(#[from] Error),
}

/// Waits until `wanted` holds of an object in a mirror (`None`: the object isn't there) and returns what it held of.
///
/// # Errors
/// [`WaitError::Deadline`] after `limit`.
pub async fn until(
    mirror: &Mirror,
    target: &Target,
    limit: Duration,
    wanted: impl Fn(Option<&DynamicObject>) -> bool,
) -> Result<Option<Arc<DynamicObject>>, WaitError> {
    let deadline = Instant::now() + limit;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let mut changes = mirror.subscribe(Some(namespace));
    // "It isn't there" means something only once it would be seen.
    let ready = timeout_at(deadline, mirror.ready_kind(&target.kind)).await;
    if let Ok(outcome) = ready {
        outcome?;
        loop {
            let object = mirror.get(&target.kind, namespace, &target.name);
            if wanted(object.as_deref()) {
                return Ok(object);
            }
            if timeout_at(deadline, changes.next()).await.is_err() {
                break;
            }
        }
    }
    let last = mirror.get(&target.kind, namespace, &target.name);
    Err(WaitError::Deadline { target: Box::new(target.clone()), limit, last })
}

/// Waits for one object without a mirror, over a watch of its own.
///
/// # Errors
/// [`WaitError::Deadline`] after `limit`.
pub async fn once(
    client: &kube::Client,
    target: &Target,
    limit: Duration,
    wanted: impl Fn(Option<&DynamicObject>) -> bool + Send,
) -> Result<Option<DynamicObject>, WaitError> {
    let api = target.kind.api(client.clone(), target.namespace.as_deref());
    let condition = |object: Option<&DynamicObject>| wanted(object);
    let wait = kube::runtime::wait::await_condition(api, &target.name, condition);
    match tokio::time::timeout(limit, wait).await {
        Ok(Ok(object)) => Ok(object),
        Ok(Err(kube::runtime::wait::Error::ProbeFailed(error))) => Err(watch_error(error, target).into()),
        Err(_) => Err(WaitError::Deadline { target: Box::new(target.clone()), limit, last: None }),
    }
}

fn watch_error(error: kube::runtime::watcher::Error, target: &Target) -> Error {
    use kube::runtime::watcher::Error as Watch;
    match error {
        Watch::InitialListFailed(error) | Watch::WatchStartFailed(error) | Watch::WatchFailed(error) => {
            Error::decode(error, target)
        }
        Watch::WatchError(status) => Error::from_status(&status, target),
        Watch::NoResourceVersion => {
            Error::Malformed { source: crate::Cause("the list has no resourceVersion".into()) }
        }
    }
}
