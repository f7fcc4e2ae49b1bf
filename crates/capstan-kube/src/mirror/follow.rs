//! Keeping one kind current: list, watch from there, and what to do when either fails.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{DynamicObject, TypeMeta};
use kube::{Api, Client};
use tokio::time::{Instant, timeout};

use super::shelf::{Shelf, number};
use super::{LOOK_FOR_MISSING, Options, Shared, State};
use crate::{Error, Kind, Target};

/// After this time the server ends a watch; a new one goes on from where it was.
const WATCH_SECONDS: u32 = 270;

/// Objects per page of a list.
const PAGE: u32 = 500;

pub(super) struct Follower {
    api: Api<DynamicObject>,
    kind: Kind,
    types: TypeMeta,
    list: ListParams,
    watch: WatchParams,
    shared: Arc<Shared>,
    backoff: Backoff,
}

/// Why a watch isn't gone on with from where it was.
enum End {
    /// The server doesn't know that version any more, or the kind.
    ListAgain,
}

impl Follower {
    pub(super) fn new(
        client: Client,
        kind: Kind,
        options: &Options,
        shared: Arc<Shared>,
        index: usize,
    ) -> Self {
        let resource = kind.resource();
        Self {
            api: kind.api(client, options.namespace.as_deref()),
            types: TypeMeta { api_version: resource.api_version, kind: resource.kind },
            kind,
            list: ListParams {
                label_selector: options.labels.clone(),
                limit: Some(PAGE),
                ..ListParams::default()
            },
            watch: WatchParams {
                label_selector: options.labels.clone(),
                timeout: Some(WATCH_SECONDS),
                bookmarks: true,
                ..WatchParams::default()
            },
            shared,
            backoff: Backoff::new(index),
        }
    }

    /// Goes on for ever; ended by aborting its task.
    pub(super) async fn run(mut self) {
        loop {
            match self.list().await {
                Ok(version) => {
                    let End::ListAgain = self.watch_from(version).await;
                }
                Err(error) => self.lost(error).await,
            }
        }
    }

    /// Lists all objects and returns the resource version of the list.
    async fn list(&mut self) -> Result<String, Error> {
        let mut objects = Vec::new();
        let mut parameters = self.list.clone();
        let (version, objects) = loop {
            self.shared.lists.fetch_add(1, Ordering::Relaxed);
            let page = self.api.list(&parameters).await.map_err(|error| self.decode(error))?;
            // The items of a list don't say what they are.
            objects.extend(page.items.into_iter().map(|mut object| {
                object.types = Some(self.types.clone());
                object
            }));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters.continue_token = Some(token),
                None => break (page.metadata.resource_version.unwrap_or_default(), objects),
            }
        };
        let changed = self.shelf(|shelf| shelf.relist(objects, number(&version)));
        self.shared.announce(changed);
        Ok(version)
    }

    /// Watches, again and again, from where the last one ended.
    async fn watch_from(&mut self, mut version: String) -> End {
        loop {
            let opened = Instant::now();
            self.shared.watches.fetch_add(1, Ordering::Relaxed);
            match self.watch_once(&mut version).await {
                // The server's time limit. One that ends at once is a fault that must not go round in circles.
                Ok(()) if opened.elapsed() > Duration::from_secs(1) => self.backoff.reset(),
                Ok(()) => pause(self.backoff.next()).await,
                Err(Error::Expired) => return End::ListAgain,
                Err(error) => {
                    let known = !matches!(error, Error::NoKind { .. });
                    self.lost(error).await;
                    if !known {
                        return End::ListAgain;
                    }
                }
            }
        }
    }

    /// One watch, until the server ends it.
    async fn watch_once(&mut self, version: &mut String) -> Result<(), Error> {
        let events = self.api.watch(&self.watch, version).await.map_err(|error| self.decode(error))?;
        self.shared.set_state(&self.kind, State::Synced);
        let mut events = pin!(events);
        // A connection that has died without a word is noticed by the server's own limit passing.
        let limit = Duration::from_secs(u64::from(WATCH_SECONDS) + 15);
        while let Ok(event) = timeout(limit, events.try_next()).await {
            let Some(event) = event.map_err(|error| self.decode(error))? else { return Ok(()) };
            if let Some(newer) = self.take(event)? {
                *version = newer;
            }
        }
        Ok(())
    }

    /// Takes one event in; returns the version that the stream has reached.
    fn take(&self, event: WatchEvent<DynamicObject>) -> Result<Option<String>, Error> {
        let (object, gone) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
            WatchEvent::Deleted(object) => (object, true),
            WatchEvent::Bookmark(bookmark) => {
                let version = bookmark.metadata.resource_version;
                self.shelf(|shelf| shelf.bookmark(number(&version)));
                return Ok(Some(version));
            }
            WatchEvent::Error(status) => return Err(Error::from_status(&status, &self.target())),
        };
        let version = object.metadata.resource_version.clone();
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let news = self.shelf(|shelf| if gone { shelf.delete(&object) } else { shelf.observe(object) });
        if news {
            self.shared.announce([namespace]);
        }
        Ok(version)
    }

    /// Tells the state of a failure, and waits before the next try.
    async fn lost(&mut self, error: Error) {
        tracing::debug!(kind = %self.kind, error = &error as &dyn std::error::Error, "mirror lost its connection");
        let wait = match &error {
            Error::NoKind { .. } => {
                let changed = self.shelf(|shelf| shelf.relist(Vec::new(), 0));
                self.shared.set_state(&self.kind, State::Missing);
                self.shared.announce(changed);
                LOOK_FOR_MISSING
            }
            Error::Forbidden { message } => {
                self.shared.set_state(&self.kind, State::Refused { why: message.clone() });
                self.backoff.next()
            }
            Error::Unauthorized { message } => {
                self.shared.set_state(&self.kind, State::Unauthorized { why: message.clone() });
                self.backoff.next()
            }
            // Too slow over the pages of a list: at once from the start.
            Error::Expired => self.backoff.next(),
            other => {
                let why = told(other);
                self.shared.set_state(&self.kind, State::Stale { since: Timestamp::now(), why });
                self.backoff.next()
            }
        };
        pause(wait).await;
    }

    fn shelf<T>(&self, change: impl FnOnce(&mut Shelf) -> T) -> T {
        change(self.shared.write().entry(self.kind.clone()).or_default())
    }

    fn target(&self) -> Target {
        Target::new(&self.kind, None, "")
    }

    fn decode(&self, error: kube::Error) -> Error {
        Error::decode(error, &self.target())
    }
}

/// An error with its cause in one line.
fn told(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Waiting times that double from half a second to half a minute; each kind is a little off the others, so that they
/// don't all come at once when the API server is back.
struct Backoff {
    next: Duration,
    offset: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);

    fn new(index: usize) -> Self {
        let offset = Duration::from_millis(37).saturating_mul(u32::try_from(index).unwrap_or(0));
        Self { next: Self::FIRST, offset }
    }

    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(Self::LONGEST);
        now + self.offset
    }

    fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

/// The watches run beside the engine's passes, for ever, so no pass can wait for them.
#[expect(clippy::disallowed_methods, reason = "background task; tokio's paused time steps it in tests")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
