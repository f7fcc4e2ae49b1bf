//! Lists and watches.

use std::pin::pin;

use anyhow::{Context, Result, bail, ensure};
use capstan_kube::delete::{Options as DeleteOptions, delete};
use capstan_kube::mirror::{Mirror, Options, Requests};
use capstan_kube::{Error, Kind, wait};
use futures::TryStreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::json;

use super::Site;
use super::site::PATIENCE;

/// A mirror sees creations, changes and deletions with one list and one watch; a kind that isn't served is missing.
///
/// # Errors
/// It is not so.
pub async fn mirror_follows_every_change(site: &Site) -> Result<()> {
    let unknown = Kind::new("nowhere.example.org", "v1", "Unknown", "unknowns", true);
    let options = Options { namespace: Some(site.namespace.clone()), ..Options::default() };
    let mirror = Mirror::start(&site.client, [Kind::CONFIG_MAP, unknown.clone()], &options);
    mirror.ready().await?;
    ensure!(mirror.states()[&unknown] == capstan_kube::mirror::State::Missing);

    let target = site.target(&Kind::CONFIG_MAP, "a");
    for value in ["1", "2"] {
        site.applier().apply(&site.config_map("a", json!({"x": value}))).await?;
        wait::until(&mirror, &target, PATIENCE, |object| {
            object.is_some_and(|object| object.data["data"]["x"] == value)
        })
        .await?;
    }
    delete(&site.client, &Kind::CONFIG_MAP, Some(&site.namespace), "a", &DeleteOptions::default()).await?;
    wait::until(&mirror, &target, PATIENCE, |object| object.is_none()).await?;
    let requests = mirror.requests();
    ensure!(requests == Requests { lists: 2, watches: 1 }, "{requests:?}");
    Ok(())
}

/// A limit gives a page and a token for the next; the pages together are the list.
///
/// # Errors
/// It is not so.
pub async fn list_comes_in_pages(site: &Site) -> Result<()> {
    for index in 0..5 {
        site.applier().apply_over(&site.config_map(&format!("a{index}"), json!({})), None).await?;
    }
    let api = Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace));
    let mut parameters = ListParams::default().limit(2);
    let mut names = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        ensure!(page.items.len() <= 2);
        names.extend(page.items.into_iter().filter_map(|object| object.metadata.name));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => break,
        }
    }
    // The real one puts a ConfigMap of its own into each namespace.
    names.retain(|name| name.starts_with('a'));
    ensure!(names == ["a0", "a1", "a2", "a3", "a4"], "{names:?}");
    Ok(())
}

/// A watch from a version tells everything since, in order, with the version of each change.
///
/// # Errors
/// It is not so.
pub async fn watch_goes_on_from_a_version(site: &Site) -> Result<()> {
    let first = site.applier().apply(&site.config_map("a", json!({"x": "1"}))).await?.object;
    site.applier().apply(&site.config_map("a", json!({"x": "2"}))).await?;
    delete(&site.client, &Kind::CONFIG_MAP, Some(&site.namespace), "a", &DeleteOptions::default()).await?;

    let api = Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace));
    let parameters = WatchParams::default().fields("metadata.name=a").timeout(20);
    let version = first.metadata.resource_version.context("stored")?;
    let mut events = pin!(api.watch(&parameters, &version).await?);
    let Some(WatchEvent::Modified(modified)) = events.try_next().await? else {
        bail!("the change comes first")
    };
    ensure!(modified.data["data"]["x"] == "2");
    let Some(WatchEvent::Deleted(deleted)) = events.try_next().await? else { bail!("then the deletion") };
    ensure!(number(&deleted)? > number(&modified)?, "a deletion has a version of its own");
    Ok(())
}

/// Before the server ends a watch it tells how far it has got, although nothing has changed that fits.
///
/// # Errors
/// It is not so.
pub async fn watch_ends_after_a_bookmark(site: &Site) -> Result<()> {
    let first = site.applier().apply(&site.config_map("a", json!({"x": "1"}))).await?.object;
    let other = site.applier().apply(&site.config_map("b", json!({}))).await?.object;
    let api = Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace));
    let parameters =
        WatchParams { bookmarks: true, ..WatchParams::default().fields("metadata.name=a").timeout(6) };
    let version = first.metadata.resource_version.context("stored")?;
    let mut events = pin!(api.watch(&parameters, &version).await?);
    let mut told = None;
    while let Some(event) = events.try_next().await? {
        let WatchEvent::Bookmark(bookmark) = event else { bail!("{event:?}, but nothing has changed") };
        told = Some(bookmark.metadata.resource_version.parse::<u64>()?);
    }
    ensure!(told >= Some(number(&other)?), "{told:?} before the end");
    Ok(())
}

/// A version of which the history is gone is told as expired (410), and not passed over.
///
/// # Errors
/// It is not so.
pub async fn version_too_old_to_watch_from_is_told(site: &Site) -> Result<()> {
    // Older than any custom kind: each is served from when its CRD came.
    let api = Kind::CLUSTER.api(site.client.clone(), Some(&site.namespace));
    let opened = api.watch(&WatchParams::default().timeout(5), "1").await;
    let target = site.target(&Kind::CLUSTER, "");
    let error = match opened {
        Err(error) => Error::decode(error, &target),
        Ok(events) => match pin!(events).try_next().await? {
            Some(WatchEvent::Error(status)) => Error::from_status(&status, &target),
            other => bail!("{other:?}, but it is too old"),
        },
    };
    ensure!(error.name() == "expired", "{error}");
    Ok(())
}

/// Resource versions are numbers that grow with each change, over all kinds that are stored together.
///
/// # Errors
/// It is not so.
pub async fn versions_are_growing_numbers(site: &Site) -> Result<()> {
    let mut last = 0;
    for value in 0..5 {
        let object = site.config_map(&format!("a{}", value % 2), json!({"x": value.to_string()}));
        let applied = site.applier().apply(&object).await?.object;
        let version = number(&applied)?;
        ensure!(version > last, "{version} after {last}");
        last = version;
    }
    let list =
        Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace)).list(&ListParams::default()).await?;
    let version: u64 = list.metadata.resource_version.context("a list has one")?.parse()?;
    ensure!(version >= last);
    Ok(())
}

/// A label selector selects in lists and watches; an object that no longer fits is told as deleted.
///
/// # Errors
/// It is not so.
pub async fn labels_select(site: &Site) -> Result<()> {
    let labelled = |name: &str, value: &str| {
        let mut object = site.config_map(name, json!({}));
        object["metadata"]["labels"] = json!({"capstan.dev/contract": value});
        object
    };
    site.applier().apply(&labelled("a", "1")).await?;
    site.applier().apply(&labelled("b", "2")).await?;
    let options =
        Options { namespace: Some(site.namespace.clone()), labels: Some("capstan.dev/contract=1".into()) };
    let mirror = Mirror::start(&site.client, [Kind::CONFIG_MAP], &options);
    mirror.ready().await?;
    let names: Vec<_> = mirror
        .list(&Kind::CONFIG_MAP, None)
        .iter()
        .filter_map(|object| object.metadata.name.clone())
        .collect();
    ensure!(names == ["a"], "{names:?}");
    site.applier().apply(&labelled("a", "2")).await?;
    wait::until(&mirror, &site.target(&Kind::CONFIG_MAP, "a"), PATIENCE, |object| object.is_none()).await?;
    Ok(())
}

fn number(object: &capstan_kube::DynamicObject) -> Result<u64> {
    Ok(object.metadata.resource_version.as_deref().context("stored objects have a version")?.parse()?)
}
