//! Keystone: versions, tokens, application credentials, expiry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use capstan_sandbox::{Config, Speed};
use common::{Client, id, password_login, start, start_with};
use reqwest::Method;
use serde_json::{Value, json};

const TOKENS: &str = "/identity/v3/auth/tokens";
const UNAUTHORIZED: &str = "The request you have made requires authentication.";

fn credential_login(id: &str, secret: &str) -> Value {
    json!({"auth": {"identity": {"methods": ["application_credential"],
                                 "application_credential": {"id": id, "secret": secret}}}})
}

#[tokio::test]
async fn versions_are_discovered_without_a_token() {
    let sandbox = start(Speed::Max).await;
    let client = Client { token: String::new(), ..Client::demo(&sandbox).await };
    let versions = client.get("/identity").await;
    assert!(versions.header("location").ends_with("/identity/v3/"));
    assert_eq!(versions.expect(300)["versions"]["values"][0]["id"], "v3.14");
    assert_eq!(client.get("/identity/v3").await.expect(200)["version"]["status"], "stable");
    assert_eq!(client.get("/compute/v2.1").await.expect(200)["version"]["version"], "2.96");
    assert_eq!(client.get("/network/").await.expect(200)["versions"][0]["id"], "v2.0");
    assert_eq!(client.get("/image").await.expect(300)["versions"][0]["status"], "CURRENT");
    assert_eq!(client.get("/volume/v3").await.expect(200)["versions"][0]["id"], "v3.0");
    assert_eq!(client.get("/load-balancer").await.expect(200)["versions"][0]["id"], "v2.0");
}

#[tokio::test]
async fn a_token_carries_its_project_roles_and_catalog() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let request = client.request(Method::GET, TOKENS).header("x-subject-token", &client.token);
    let token = client.send(request).await.expect(200)["token"].clone();
    assert_eq!(token["project"]["name"], "demo");
    assert_eq!(token["methods"], json!(["password"]));
    let kinds: Vec<&str> =
        token["catalog"].as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    let expected = ["identity", "compute", "network", "image", "block-storage", "volumev3", "load-balancer"];
    assert_eq!(kinds, expected);
    let url = token["catalog"][4]["endpoints"][0]["url"].as_str().unwrap();
    assert_eq!(url, format!("{}/volume/v3/{}", client.base, client.project));
    assert_eq!(client.get("/identity/v3/auth/projects").await.expect(200)["projects"][0]["name"], "demo");
    assert_eq!(
        client.get(&format!("/identity/v3/users/{}", client.user)).await.expect(200)["user"]["name"],
        "demo"
    );
    assert_eq!(
        client.get("/identity/v3/users/somebody").await.refused(403),
        "You are not authorized to perform the requested action: identity:get_user."
    );
}

#[tokio::test]
async fn wrong_logins_are_refused_in_the_words_of_keystone() {
    let sandbox = start(Speed::Max).await;
    let client = Client { token: String::new(), ..Client::demo(&sandbox).await };
    let wrong = [
        password_login("demo", "wrong", "demo"),
        password_login("nobody", "demo-password", "demo"),
        password_login("demo", "demo-password", "nowhere"),
        password_login("demo", "demo-password", "admin"),
    ];
    for login in wrong {
        let answer = client.post(TOKENS, &login).await;
        assert!(answer.header("www-authenticate").starts_with("Keystone uri="), "{login}");
        assert_eq!(answer.refused(401), UNAUTHORIZED);
    }
    let mut unknown_field = password_login("demo", "demo-password", "demo");
    unknown_field["auth"]["bogus"] = json!(1);
    assert!(client.post(TOKENS, &unknown_field).await.refused(400).contains("'bogus' was unexpected"));
    let malformed = client.request(Method::POST, TOKENS).body("{bad");
    assert!(client.send(malformed).await.refused(400).contains("valid JSON"));
    assert!(client.post(TOKENS, &json!({})).await.refused(400).starts_with("Expecting to find auth"));
}

#[tokio::test]
async fn a_token_expires_everywhere() {
    let lifetime = Duration::from_secs(600);
    let config = Config { speed: Speed::Manual, token_lifetime: lifetime, ..Config::default() };
    let sandbox = start_with(config).await;
    let client = Client::demo(&sandbox).await;
    sandbox.advance(lifetime - Duration::from_secs(1));
    client.get("/network/v2.0/networks").await.expect(200);
    sandbox.advance(Duration::from_secs(1));
    for path in [
        "/network/v2.0/networks",
        "/compute/v2.1/servers",
        "/load-balancer/v2/lbaas/loadbalancers",
        "/identity/v3/auth/projects",
        "/volume/v3/x/volumes",
    ] {
        assert_eq!(client.get(path).await.refused(401), UNAUTHORIZED, "{path}");
    }
    let image = client.get("/image/v2/images").await;
    assert_eq!((image.status, image.text.contains("401 Unauthorized")), (401, true));
    Client::demo(&sandbox).await.get("/network/v2.0/networks").await.expect(200);
}

#[tokio::test]
async fn application_credentials_live_and_die() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let path = format!("/identity/v3/users/{}/application_credentials", client.user);
    let wanted = json!({"name": "c", "description": "d", "roles": [{"name": "member"}],
                        "expires_at": "2026-01-02T00:00:00.000000"});
    let made = client.make(&path, "application_credential", wanted.clone()).await;
    let (credential, secret) = (id(&made), made["secret"].as_str().unwrap().to_owned());
    assert_eq!(made["expires_at"], "2026-01-02T00:00:00.000000");
    assert_eq!(made["unrestricted"], Value::Null);

    let listed = client.get(&format!("{path}?name=c")).await.expect(200);
    assert_eq!(listed["application_credentials"][0]["id"], credential.as_str());
    assert_eq!(listed["application_credentials"][0].get("secret"), None);
    assert_eq!(
        client.post(&path, &json!({"application_credential": wanted})).await.refused(409),
        "Conflict occurred attempting to store application_credential - Duplicate entry found with name c."
    );
    let refusals = [
        (
            json!({"name": "x", "roles": [{"name": "admin"}]}),
            "Cannot create an application credential with unassigned role",
        ),
        (json!({"name": "x", "bogus": 1}), "'bogus' was unexpected"),
        (json!({}), "'name' is a required property"),
        (json!({"name": "x", "expires_at": "2020-01-01T00:00:00"}), "must not be before now"),
        (json!({"name": "x", "expires_at": "soon"}), "Timestamp not in expected format"),
    ];
    for (wanted, text) in refusals {
        let refused = client.post(&path, &json!({"application_credential": wanted})).await.refused(400);
        assert!(refused.contains(text), "{refused}");
    }

    let restricted = Client::log_in(&sandbox, &credential_login(&credential, &secret)).await;
    restricted.get("/network/v2.0/networks").await.expect(200);
    let text = "You are not authorized to perform the requested action: Using method 'application_credential' is not allowed \
                for managing additional application credentials..";
    let another = json!({"application_credential": {"name": "another"}});
    assert_eq!(restricted.post(&path, &another).await.refused(403), text);
    assert_eq!(restricted.delete(&format!("{path}/{credential}")).await.refused(403), text);
    let from_token = json!({"auth": {"identity": {"methods": ["token"], "token": {"id": restricted.token}}}});
    assert!(client.post(TOKENS, &from_token).await.refused(403).contains("delegated token"));
    assert_eq!(client.post(TOKENS, &credential_login(&credential, "wrong")).await.refused(401), UNAUTHORIZED);

    sandbox.advance(Duration::from_secs(24 * 3600));
    let client = Client::demo(&sandbox).await;
    assert_eq!(client.post(TOKENS, &credential_login(&credential, &secret)).await.refused(401), UNAUTHORIZED);
    client.delete(&format!("{path}/{credential}")).await.expect(204);
    assert_eq!(
        client.post(TOKENS, &credential_login(&credential, &secret)).await.refused(404),
        format!("Could not find Application Credential: {credential}.")
    );
}

#[tokio::test]
async fn an_unrestricted_credential_makes_others_and_its_tokens_end_with_it() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let path = format!("/identity/v3/users/{}/application_credentials", client.user);
    let wanted = json!({"name": "free", "unrestricted": true, "secret": "s"});
    let free = id(&client.make(&path, "application_credential", wanted).await);
    let by_name = json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential":
        {"name": "free", "secret": "s", "user": {"name": "demo", "domain": {"name": "Default"}}}}}});
    let delegate = Client::log_in(&sandbox, &by_name).await;
    delegate.make(&path, "application_credential", json!({"name": "child"})).await;
    client.delete(&format!("{path}/{free}")).await.expect(204);
    assert_eq!(delegate.get("/network/v2.0/networks").await.refused(401), UNAUTHORIZED);
}
