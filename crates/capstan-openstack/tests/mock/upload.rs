//! Uploads: streamed, counted, and ended where they stand still.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{ManualTime, Mock, Reply};
use bytes::Bytes;
use capstan_openstack::{Cloud, Error, Options, Upload};
use futures::stream;
use serde_json::json;

const FILE: &str = "PUT /image/v2/images/1/file";

async fn real_time(mock: &Mock) -> Cloud {
    Cloud::connect(&mock.config(), Options::default()).await.unwrap()
}

#[tokio::test]
async fn data_arrives_whole_with_its_length_and_progress() {
    let mock = Mock::start().await;
    mock.always(FILE, Reply::status(204));
    let cloud = real_time(&mock).await;
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let progress = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&progress);
    let upload = Upload::from_reader(io::Cursor::new(data.clone()), data.len() as u64)
        .on_progress(move |sent| seen.lock().unwrap().push(sent));
    cloud.image().unwrap().upload("1", upload).await.unwrap();
    let request = mock.seen(FILE).remove(0);
    assert_eq!(request.content_length, Some(1_000_000), "not in chunks: some proxies do not take them");
    assert!(request.body == data);
    let progress = progress.lock().unwrap().clone();
    assert!(
        progress.is_sorted() && progress.len() > 2 && progress.last() == Some(&1_000_000),
        "{progress:?}"
    );
}

#[tokio::test]
async fn a_source_of_another_length_or_that_fails_is_told() {
    let mock = Mock::start().await;
    mock.always(FILE, Reply::status(204));
    let cloud = real_time(&mock).await;
    let glance = cloud.image().unwrap();
    let piece = || Ok(Bytes::from(vec![1; 1000]));
    let message = |error: Error| match error {
        Error::Source { source, .. } => source.to_string(),
        other => panic!("{other:?}"),
    };
    let short = glance.upload("1", Upload::from_stream(stream::iter([piece()]), 5000)).await.unwrap_err();
    assert_eq!(message(short), "5000 bytes were announced, 1000 came");
    let long =
        glance.upload("1", Upload::from_stream(stream::iter([piece(), piece()]), 1500)).await.unwrap_err();
    assert_eq!(message(long), "1500 bytes were announced, 2000 came");
    let broken = stream::iter([piece(), Err(io::Error::other("disk on fire"))]);
    let broken = glance.upload("1", Upload::from_stream(broken, 5000)).await.unwrap_err();
    assert_eq!(message(broken), "disk on fire");
}

#[tokio::test]
async fn standing_still_ends_an_upload() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    let cloud = mock.connect(&time).await;
    let one_piece_then_nothing = futures::StreamExt::chain(
        stream::iter([Ok(Bytes::from(vec![1; 1000]))]),
        stream::pending::<io::Result<Bytes>>(),
    );
    let upload = Upload::from_stream(one_piece_then_nothing, 5000);
    let error = cloud.image().unwrap().upload("1", upload).await.unwrap_err();
    assert!(matches!(error, Error::Stalled { idle, .. } if idle == Duration::from_secs(60)), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn the_answer_of_the_service_is_told() {
    let mock = Mock::start().await;
    let message = "Image 1 could not be stored";
    mock.always(FILE, Reply::json(413, json!({"message": message, "code": "413", "title": "Too large"})));
    let cloud = real_time(&mock).await;
    let upload = Upload::from_reader(io::Cursor::new(vec![0; 10]), 10);
    let error = cloud.image().unwrap().upload("1", upload).await.unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
}

#[tokio::test]
async fn an_upload_does_not_begin_with_a_token_that_is_about_to_end() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(FILE, Reply::status(204));
    mock.tokens_end_at("2026-11-23T12:10:00Z");
    let cloud = mock.connect(&time).await;
    mock.tokens_end_at("2026-11-23T18:00:00Z");
    // The upload's own limits are of real time here: this time never ends.
    let upload = Upload::from_reader(io::Cursor::new(vec![0; 10]), 10);
    let _ = cloud.image().unwrap().upload("1", upload).await;
    assert_eq!(mock.logins(), 2);
}
