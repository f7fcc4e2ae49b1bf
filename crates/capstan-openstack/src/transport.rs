//! What carries requests to a cloud and answers back: the network, as a rule.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

/// Carries requests to a cloud.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Sends a request and returns the whole answer, whatever its status. Gives up after the request's own time limit,
    /// if it has one. On a `fresh` way nothing of an earlier request is used again: such a request must not be lost
    /// because an idle connection has ended unseen.
    ///
    /// # Errors
    /// What kept the answer away.
    async fn carry(&self, request: reqwest::Request, fresh: bool) -> Result<http::Response<Bytes>, NoAnswer>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The request makes no sense: nothing was sent.
    #[error(transparent)]
    Unsendable(Cause),
    /// No connection was made: nothing was sent.
    #[error(transparent)]
    NotConnected(Cause),
    /// The connection ended before the answer did.
    #[error(transparent)]
    ConnectionLost(Cause),
    /// The time limit passed.
    #[error(transparent)]
    TimedOut(Cause),
}

/// An error of the layers below.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
