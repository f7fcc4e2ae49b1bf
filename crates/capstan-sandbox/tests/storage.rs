//! Glance and Cinder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use capstan_sandbox::Speed;
use common::{Client, NOBODY, id, start};
use reqwest::Method;
use serde_json::{Value, json};

const IMAGES: &str = "/image/v2/images";
const PATCH: &str = "application/openstack-images-v2.1-json-patch";

async fn patch(client: &Client, image: &str, operations: Value) -> common::Answer {
    let request = client.request(Method::PATCH, &format!("{IMAGES}/{image}"));
    client.send(request.header("content-type", PATCH).body(operations.to_string())).await
}

#[tokio::test]
async fn an_image_is_uploaded_hashed_patched_and_protected() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let wanted = json!({"name": "i", "disk_format": "raw", "container_format": "bare", "visibility": "private",
                        "os_distro": "ubuntu", "protected": true, "tags": ["x"]});
    let image = client.post(IMAGES, &wanted).await;
    assert!(image.header("location").ends_with(&id(&image.body)));
    let image = image.expect(201);
    assert_eq!((&image["status"], &image["size"]), (&json!("queued"), &Value::Null));
    let image = id(&image);
    let file = format!("{IMAGES}/{image}/file");
    let upload = |kind: &'static str| {
        client.request(Method::PUT, &file).header("content-type", kind).body(vec![b'x'; 1000])
    };
    assert_eq!(client.send(upload("text/plain")).await.status, 415);
    client.send(upload("application/octet-stream")).await.expect(204);
    let active = client.get(&format!("{IMAGES}/{image}")).await.expect(200);
    assert_eq!((&active["status"], &active["size"]), (&json!("active"), &json!(1000)));
    assert_eq!(active["checksum"], "398533d48111e9f664b1f64cb10c4b63");
    assert!(active["os_hash_value"].as_str().unwrap().starts_with("ae13575c5d98bfa689617bb19f0f55ef"));
    let again = client.send(upload("application/octet-stream")).await.refused(409);
    assert!(again.contains("Image status transition from active to saving is not allowed"));

    let path = format!("{IMAGES}/{image}");
    assert!(client.delete(&path).await.refused(403).contains("is protected and cannot be deleted."));
    let change = json!([{"op": "replace", "path": "/protected", "value": false},
                        {"op": "add", "path": "/capstan:fleet", "value": "f"}, {"op": "remove", "path": "/os_distro"}]);
    let changed = patch(&client, &image, change).await.expect(200);
    assert_eq!((&changed["capstan:fleet"], changed.get("os_distro")), (&json!("f"), None));
    let missing = patch(&client, &image, json!([{"op": "replace", "path": "/nope", "value": "x"}])).await;
    assert!(missing.refused(409).contains("Property nope does not exist."));
    let status = patch(&client, &image, json!([{"op": "replace", "path": "/status", "value": "x"}])).await;
    assert!(status.refused(403).contains("is read-only."));
    let found = client.get(&format!("{IMAGES}?capstan:fleet=f&tag=x")).await.expect(200);
    assert_eq!(found["images"][0]["id"], image.as_str());
    client.delete(&path).await.expect(204);
    assert!(client.get(&path).await.refused(404).contains("No image found with ID"));
}

#[tokio::test]
async fn image_lists_follow_next_and_filter() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let (mut next, mut names) = (Some(format!("{IMAGES}?limit=2&sort=name:asc")), Vec::new());
    while let Some(path) = next {
        let page = client.get(&path).await.expect(200);
        let images = page["images"].as_array().unwrap().clone();
        names.extend(images.iter().map(|image| image["name"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(|next| format!("/image{next}"));
    }
    let releases =
        ["1.35.5", "1.36.1", "1.36.2", "1.36.3"].map(|version| format!("ubuntu-capi-image-v{version}"));
    assert_eq!(names, [&["Ubuntu 24.04".to_owned()][..], &releases[..]].concat());
    let found = client.get(&format!("{IMAGES}?name=ubuntu-capi-image-v1.36.1")).await.expect(200);
    assert_eq!(found["images"].as_array().unwrap().len(), 1);
    assert_eq!(client.get(&format!("{IMAGES}?bogus=1")).await.expect(200)["images"], json!([]));
    assert_eq!(client.get(&format!("{IMAGES}?visibility=foo")).await.status, 400);
    let public = id(&found["images"][0]);
    assert!(
        client.delete(&format!("{IMAGES}/{public}")).await.refused(403).contains("You do not own this image")
    );
}

#[tokio::test]
async fn images_that_do_not_fit_the_schema_are_refused() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let cases = [
        (json!({"name": "x", "disk_format": "foo"}), 400, "is not one of"),
        (json!({"name": "x", "bogus": 5}), 400, "is not of type"),
        (json!({"name": "x", "id": "x"}), 400, "does not match"),
        (json!({"name": "x", "status": "active"}), 403, "is read-only."),
        (json!({"name": "x", "visibility": "public"}), 403, "publicize_image"),
        (json!([]), 400, "object"),
    ];
    for (wanted, status, text) in cases {
        let refused = client.post(IMAGES, &wanted).await.refused(status);
        assert!(refused.contains(text), "{wanted}: {refused}");
    }
}

#[tokio::test]
async fn an_upload_that_ends_early_leaves_the_image_queued() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let wanted = json!({"name": "i", "disk_format": "raw", "container_format": "bare"});
    let image = id(&client.post(IMAGES, &wanted).await.expect(201));
    let broken = futures::stream::iter([Ok(vec![0_u8; 100_000]), Err(std::io::Error::other("cut"))]);
    let request = client
        .request(Method::PUT, &format!("{IMAGES}/{image}/file"))
        .header("content-type", "application/octet-stream")
        .body(reqwest::Body::wrap_stream(broken));
    assert!(request.send().await.is_err());
    for _ in 0..100 {
        if client.get(&format!("{IMAGES}/{image}")).await.expect(200)["status"] == "queued" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the image is not queued again");
}

#[tokio::test]
async fn volumes_and_snapshots_hold_one_another() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let base = format!("/volume/v3/{}", client.project);
    let volumes = format!("{base}/volumes");
    let wanted = json!({"name": "v", "size": 1, "metadata": {"cinder.csi.openstack.org/cluster": "c"}});
    let volume = client.make(&volumes, "volume", wanted).await;
    assert_eq!(volume["status"], "creating");
    let volume = id(&volume);
    sandbox.drain();
    let listed = client.get(&format!("{volumes}/detail?name=v&status=available")).await.expect(200);
    assert_eq!(listed["volumes"][0]["metadata"]["cinder.csi.openstack.org/cluster"], "c");
    let snapshot =
        id(&client.make(&format!("{base}/snapshots"), "snapshot", json!({"volume_id": volume})).await);
    sandbox.drain();
    let path = format!("{volumes}/{volume}");
    assert!(
        client
            .delete(&path)
            .await
            .refused(400)
            .starts_with("Invalid volume: Volume status must be available")
    );
    client.delete(&format!("{base}/snapshots/{snapshot}")).await.expect(202);
    sandbox.drain();
    client.delete(&path).await.expect(202);
    assert_eq!(client.get(&path).await.expect(200)["volume"]["status"], "deleting");
    sandbox.drain();
    assert_eq!(client.get(&path).await.refused(404), format!("Volume {volume} could not be found."));
    let cases = [
        (json!({"size": 1, "bogus": 1}), 400, "'bogus' was unexpected"),
        (json!({"name": "x"}), 400, "could not comply"),
        (json!({"size": 1, "volume_type": "nope"}), 404, "Volume type with name nope could not be found."),
        (json!({"size": 1, "availability_zone": "nope"}), 400, "Availability zone 'nope' is invalid."),
        (json!({"size": 1, "imageRef": NOBODY}), 400, "Invalid image identifier"),
        (json!({"size": 999_999}), 413, "Requested 999999G, quota is 200000G and 0G has been consumed."),
    ];
    for (wanted, status, text) in cases {
        let refused = client.post(&volumes, &json!({"volume": wanted})).await.refused(status);
        assert!(refused.contains(text), "{wanted}: {refused}");
    }
}
