//! Where an image's data comes from, with its checksum proven before the last piece is handed on.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use capstan_core::documents::{ImageSource, Sha256Sum};
use capstan_engine::Failure;
use futures::{Stream, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;

use super::Registration;
use crate::failure;
use crate::project::Project;

/// How much is read from a file at once.
const CHUNK: usize = 256 * 1024;

/// Who sits behind a proxy sees the same error as who has mistyped the address.
const PROXY_HINT: &str = "a proxy is taken from HTTPS_PROXY and NO_PROXY";

type Data = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Data on its way.
pub(super) struct Source {
    pub(super) data: Data,
    /// Length in bytes.
    pub(super) length: u64,
}

/// Opens the source; its data is checked while it is read.
pub(super) async fn open(registration: &Registration, project: &Project) -> Result<Source, Failure> {
    let (data, length): (Data, u64) = match &registration.source {
        ImageSource::File(path) => {
            let path = registration.folder.join(path);
            let failed = |error: io::Error| {
                Failure::permanent(io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
                    .hint("check `image.source`")
            };
            let file = tokio::fs::File::open(&path).await.map_err(failed)?;
            let length = file.metadata().await.map_err(failed)?.len();
            (Box::pin(ReaderStream::with_capacity(file, CHUNK)), length)
        }
        ImageSource::Http(address) => {
            let client = project.cloud().outside_client().map_err(failure::openstack)?;
            download(address, &client).await?
        }
    };
    let data = match &registration.sha256 {
        Some(sum) => verified(data, sum),
        None => data,
    };
    Ok(Source { data, length })
}

/// Begins a download.
async fn download(address: &str, client: &reqwest::Client) -> Result<(Data, u64), Failure> {
    let answer = client.get(address).send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| {
        // The address is the document's: it is shown as it stands there, and not as the redirects ended.
        let hint =
            format!("check `image.source` (`{address}`), and whether this machine reaches it; {PROXY_HINT}");
        let again = error.is_timeout() || error.status().is_some_and(may_recover);
        let error = error.without_url();
        let failure = if again { Failure::transient(error) } else { Failure::permanent(error) };
        failure.hint(hint)
    })?;
    let length = answer.content_length().ok_or_else(|| {
        let untold = format!("`{address}` doesn't tell the length of its data");
        Failure::permanent(io::Error::other(untold))
            .hint("name a source that does, or download it and name the file")
    })?;
    let broken =
        |error: reqwest::Error| io::Error::new(io::ErrorKind::ConnectionAborted, error.without_url());
    Ok((Box::pin(answer.bytes_stream().map_err(broken)), length))
}

/// Whether a server that answers so may answer otherwise in a while.
fn may_recover(status: reqwest::StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502..=504)
}

/// Hands every piece on when the next one has come, and the last one only if the sum of all is right: an image whose
/// data is wrong never becomes usable, because its upload never ends.
fn verified(data: Data, sum: &Sha256Sum) -> Data {
    let wanted = sum.as_str().to_owned();
    let state = (data, Sha256::new(), None::<Bytes>, wanted, false);
    Box::pin(futures::stream::unfold(state, |(mut data, mut hash, mut held, wanted, over)| async move {
        if over {
            return None;
        }
        loop {
            match data.next().await {
                Some(Ok(piece)) => {
                    hash.update(&piece);
                    if let Some(ready) = held.replace(piece) {
                        return Some((Ok(ready), (data, hash, held, wanted, false)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (data, hash, None, wanted, true))),
                None => {
                    let found: String =
                        hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                    let last = if found == wanted {
                        Ok(held.take()?)
                    } else {
                        Err(io::Error::other(format!(
                            "the checksum is sha256 {found}, `image.sha256` says {wanted}"
                        )))
                    };
                    return Some((last, (data, hash, None, wanted, true)));
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Data {
        let pieces = ["abc", "de", "f"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        Box::pin(futures::stream::iter(pieces))
    }

    fn sum(text: &str) -> Sha256Sum {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn right_data_passes_whole() {
        // sha256 of "abcdef"
        let sum = sum("bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721");
        let all: Vec<Bytes> = verified(pieces(), &sum).try_collect().await.unwrap();
        assert_eq!(all.concat(), b"abcdef");
    }

    #[tokio::test]
    async fn of_wrong_data_the_last_piece_is_held_back() {
        let all: Vec<io::Result<Bytes>> = verified(pieces(), &sum(&"0".repeat(64))).collect().await;
        assert_eq!(all.len(), 3);
        assert!(all[..2].iter().all(Result::is_ok));
        assert!(all[2].as_ref().unwrap_err().to_string().contains("checksum"));
    }
}
