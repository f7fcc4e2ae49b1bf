use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn kubeconfig(server: &str) -> Source {
    Source::Text(
        format!(
            "{{apiVersion: v1, kind: Config, current-context: one,
               contexts: [{{name: one, context: {{cluster: c, user: u, namespace: n}}}}, {{name: two, context: {{cluster: c, user: u}}}}],
               clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}],
               users: [{{name: u, user: {{token: secret-token}}}}]}}"
        )
        .into(),
    )
}

async fn probe(server: &str, limit: Duration) -> Result<String, ConnectError> {
    let options = Options { call_limit: limit, ..Options::new(kubeconfig(server)) };
    connect(&options).await?.probe().await
}

/// Everything that an error and its sources say.
fn told(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// A server that gives every connection one answer, and returns what it was asked.
async fn server(status: &str, body: &str) -> (String, tokio::task::JoinHandle<String>) {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let count = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8_lossy(&asked[..count]).into_owned()
    });
    (address, task)
}

#[tokio::test]
async fn a_server_that_answers_is_proven_and_learns_our_name() {
    let body = r#"{"major":"1","minor":"36","gitVersion":"v1.36.1","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
    let (address, asked) = server("200 OK", body).await;
    assert_eq!(probe(&format!("http://{address}"), Duration::from_secs(5)).await.unwrap(), "v1.36.1");
    let asked = asked.await.unwrap().to_lowercase();
    assert!(asked.contains(concat!("user-agent: capstan/", env!("CARGO_PKG_VERSION"))), "{asked}");
    assert!(asked.contains("authorization: bearer secret-token"));
}

#[tokio::test]
async fn nothing_there_names_context_and_server_and_the_network_error_once() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = probe(&format!("http://127.0.0.1:{port}"), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(
        told(&error),
        format!(
            "context `one` (`http://127.0.0.1:{port}`) can't be used | the API server `http://127.0.0.1:{port}` can't be reached | Connection refused (os error 111)"
        )
    );
    assert!(error.hint().unwrap().contains("firewall"));
}

#[tokio::test]
async fn a_server_without_tls_is_told_as_a_matter_of_tls() {
    let (address, _task) = server("400 Bad Request", "").await;
    let error = probe(&format!("https://{address}"), Duration::from_secs(5)).await.unwrap_err();
    let ConnectError::Unusable { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.name(), "tls", "{}", told(&error));
    assert!(error.hint().unwrap().contains("certificate-authority"));
}

#[tokio::test]
async fn a_silent_server_ends_in_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let error = probe(&server, Duration::from_millis(200)).await.unwrap_err();
    let ConnectError::Unusable { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.name(), "timed-out", "{}", told(&error));
}

#[tokio::test]
async fn an_expired_credential_is_told_as_such() {
    let (address, _task) = server(
        "401 Unauthorized",
        r#"{"kind":"Status","status":"Failure","code":401,"reason":"Unauthorized","message":"Nope!"}"#,
    )
    .await;
    let error = probe(&format!("http://{address}"), Duration::from_secs(5)).await.unwrap_err();
    let text = told(&error);
    assert!(text.ends_with("the credential isn't accepted: Nope!"), "{text}");
    assert!(!text.contains("secret-token"));
}

#[tokio::test]
async fn an_unknown_context_lists_the_known_ones() {
    let options = Options { context: Some("three".into()), ..Options::new(kubeconfig("http://x")) };
    let error = connect(&options).await.unwrap_err();
    assert_eq!(error.to_string(), "the kubeconfig has no context `three`; it has: `one`, `two`");
}

#[tokio::test]
async fn a_missing_and_a_broken_file_are_told_apart() {
    let missing = connect(&Options::new(Source::Path("/nonexistent/kubeconfig".into()))).await.unwrap_err();
    assert_eq!(
        told(&missing),
        "the kubeconfig `/nonexistent/kubeconfig` can't be read | No such file or directory (os error 2)"
    );
    let broken = connect(&Options::new(Source::Text("a: [".to_owned().into()))).await.unwrap_err();
    assert!(matches!(broken, ConnectError::Invalid { .. }), "{broken:?}");
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    assert_eq!(without_userinfo("https://me:secret@host:6443/a@b"), "https://host:6443/a@b");
    assert_eq!(without_userinfo("https://host"), "https://host");
    assert_eq!(without_userinfo("https://host/"), "https://host/");
}
