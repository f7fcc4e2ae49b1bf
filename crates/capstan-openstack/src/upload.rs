//! Streaming an image's data to Glance: in constant memory, with a limit on standing still instead of one on the whole.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::answer::Answer;
use crate::deliver::{X_AUTH_TOKEN, token_header, unreachable};
use crate::error::{Error, Result};
use crate::image::Images;
use crate::request::Request;
use crate::transport::NoAnswer;

/// How much is read at once: large enough that system calls do not matter, small enough for memory not to.
const CHUNK: usize = 256 * 1024;

/// An upload should not begin with a token that ends in the middle of it.
const LEAST_TOKEN: jiff::SignedDuration = jiff::SignedDuration::from_mins(20);

/// Data on its way into an image.
pub struct Upload<S> {
    data: S,
    length: u64,
    progress: Box<dyn Fn(u64) + Send + Sync>,
}

impl<S> std::fmt::Debug for Upload<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("length", &self.length).finish_non_exhaustive()
    }
}

impl<S> Upload<S>
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    /// Data that comes in pieces, `length` bytes in all.
    pub fn from_stream(data: S, length: u64) -> Self {
        Self { data, length, progress: Box::new(|_| {}) }
    }

    /// Calls `progress` with the number of bytes taken so far, after each piece.
    #[must_use]
    pub fn on_progress(self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { progress: Box::new(progress), ..self }
    }
}

impl<R: AsyncRead + Send + 'static> Upload<ReaderStream<R>> {
    /// Data that is read, `length` bytes in all.
    pub fn from_reader(reader: R, length: u64) -> Self {
        Self::from_stream(ReaderStream::with_capacity(reader, CHUNK), length)
    }
}

/// What the sending half tells the waiting half.
#[derive(Debug, Default)]
struct Taken {
    bytes: AtomicU64,
    /// Why the source failed, if it did: the HTTP client would only say that the body did.
    source_error: Mutex<Option<io::Error>>,
}

impl Images {
    /// Uploads an image's data. The image must be `queued`. On an error it may be left `queued` or `saving`, and is
    /// best removed: data cannot be sent twice.
    ///
    /// # Errors
    /// The source fails or has another length than announced, nothing is taken for too long, or the service's.
    pub async fn upload<S>(&self, id: &str, upload: Upload<S>) -> Result<()>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let cloud = &self.0.cloud;
        let mut session = cloud.session().await?;
        if session.info.expires_at.duration_since(cloud.0.options.time.now()) < LEAST_TOKEN {
            session = cloud.renew(Some(&session)).await?;
        }
        let mut url = cloud.endpoint(&session, self.0.service)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["images", id, "file"]);
        }
        let limit = cloud.0.options.upload_answer_limit;
        let request = Request::new(self.0.service, Method::PUT, format!("images/{id}/file"), url, limit);
        let taken = Arc::new(Taken::default());
        let length = upload.length;
        let body = reqwest::Body::wrap_stream(counted(upload, Arc::clone(&taken)));
        let mut prepared = reqwest::Request::new(Method::PUT, request.url.clone());
        let headers = prepared.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if let Some(value) = token_header(&session.token) {
            headers.insert(X_AUTH_TOKEN, value);
        }
        *prepared.body_mut() = Some(body);
        cloud.0.calls.count(self.0.service, &Method::PUT);
        let answer = tokio::select! {
            biased;
            sent = cloud.0.transport.carry(prepared, true) => {
                sent.map(Answer::from).map_err(|why| lost(&request, &taken, why))?
            }
            stalled = self.watch(&request, &taken, length) => return Err(stalled),
        };
        tracing::debug!(call = %request.name, status = answer.status.as_u16(), bytes = length, "uploaded");
        if answer.status == StatusCode::UNAUTHORIZED {
            // The data is spent, but whoever tries again should not meet the same token.
            cloud.renew(Some(&session)).await?;
        }
        answer.successful(&request).map(drop)
    }

    /// Ends when nothing has moved for too long.
    async fn watch(&self, request: &Request, taken: &Taken, length: u64) -> Error {
        let options = &self.0.cloud.0.options;
        let mut before = 0;
        loop {
            let all_sent = before >= length;
            let limit = if all_sent { options.upload_answer_limit } else { options.upload_idle_limit };
            options.time.sleep(limit).await;
            let now = taken.bytes.load(Ordering::Relaxed);
            if now == before {
                let call = request.name.clone();
                return Error::Stalled { call, idle: limit, sent: now };
            }
            before = now;
        }
    }
}

fn counted<S>(upload: Upload<S>, taken: Arc<Taken>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let Upload { data, length, progress } = upload;
    let at_end = Arc::clone(&taken);
    let check_length = futures::stream::once(async move {
        let sent = at_end.bytes.load(Ordering::Relaxed);
        if sent == length { Ok(Bytes::new()) } else { Err(wrong_length(length, sent)) }
    });
    let errors = Arc::clone(&taken);
    data.chain(check_length)
        .map(move |piece| {
            let piece = piece?;
            let sent = taken.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
            if sent > length {
                return Err(wrong_length(length, sent));
            }
            progress(sent);
            Ok(piece)
        })
        .map_err(move |error| {
            let copy = io::Error::new(error.kind(), error.to_string());
            *errors.source_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            copy
        })
}

fn wrong_length(announced: u64, sent: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{announced} bytes were announced, {sent} came"))
}

fn lost(request: &Request, taken: &Taken, why: NoAnswer) -> Error {
    let call = request.name.clone();
    match taken.source_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(source) => Error::Source { call, source },
        None => unreachable(request, why),
    }
}
