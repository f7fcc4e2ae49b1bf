//! Objects: versions, finalizers, owners, deletion.

use anyhow::{Context, Result, ensure};
use capstan_kube::delete::{Deleted, Options, delete};
use capstan_kube::{DynamicObject, Error, Kind};
use kube::api::PostParams;
use serde_json::{Value, json};

use super::Site;
use super::site::refused;

/// Replacing an object with an old resource version is a conflict, and leaves it.
///
/// # Errors
/// It is not so.
pub async fn stale_version_is_a_conflict(site: &Site) -> Result<()> {
    let old = site.applier().apply(&site.config_map("a", json!({"x": "1"}))).await?.object;
    site.applier().apply(&site.config_map("a", json!({"x": "2"}))).await?;
    let api = Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace));
    let mut wanted = old.clone();
    wanted.data["data"]["x"] = json!("3");
    let result = api.replace("a", &PostParams::default(), &wanted).await;
    refused("changed", decoded(site, result))?;
    let now = site.get(&Kind::CONFIG_MAP, "a").await?.context("it is there")?;
    ensure!(now.data["data"]["x"] == "2");
    Ok(())
}

/// A second create under a name is told: a lost answer makes no twin.
///
/// # Errors
/// It is not so.
pub async fn second_create_is_told(site: &Site) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(site.config_map("a", json!({})))?;
    let api = Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace));
    api.create(&PostParams::default(), &object).await?;
    refused("exists", decoded(site, api.create(&PostParams::default(), &object).await))?;
    Ok(())
}

/// A finalizer keeps a deleted object until it is taken off.
///
/// # Errors
/// It is not so.
pub async fn finalizer_holds_a_deleted_object(site: &Site) -> Result<()> {
    let mut object = site.config_map("a", json!({}));
    object["metadata"]["finalizers"] = json!(["capstan.dev/contract"]);
    site.applier().apply(&object).await?;
    let deleted = remove(site, "a").await?;
    ensure!(deleted == Deleted::Going { finalizers: vec!["capstan.dev/contract".into()] }, "{deleted:?}");
    let held = site.get(&Kind::CONFIG_MAP, "a").await?.context("the finalizer holds it")?;
    ensure!(held.metadata.deletion_timestamp.is_some());

    object["metadata"]["finalizers"] = json!([]);
    site.applier().apply(&object).await?;
    site.gone(&Kind::CONFIG_MAP, "a").await
}

/// The garbage collector removes what belongs to a removed object.
///
/// # Errors
/// It is not so.
pub async fn removed_owner_takes_its_objects_along(site: &Site) -> Result<()> {
    let owner = site.applier().apply(&site.config_map("owner", json!({}))).await?.object;
    let mut owned = site.config_map("owned", json!({}));
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}]);
    site.applier().apply(&owned).await?;
    site.applier().apply(&site.config_map("free", json!({}))).await?;
    remove(site, "owner").await?;
    site.gone(&Kind::CONFIG_MAP, "owned").await?;
    ensure!(site.get(&Kind::CONFIG_MAP, "free").await?.is_some());
    Ok(())
}

/// A delete of a uid leaves another object of that name alone.
///
/// # Errors
/// It is not so.
pub async fn delete_is_bound_to_the_uid(site: &Site) -> Result<()> {
    let first = site.applier().apply(&site.config_map("a", json!({}))).await?.object;
    remove(site, "a").await?;
    let second = site.applier().apply(&site.config_map("a", json!({}))).await?.object;
    ensure!(first.metadata.uid != second.metadata.uid);
    let of = |object: &DynamicObject| Options { uid: object.metadata.uid.clone(), ..Options::default() };
    let namespace = Some(site.namespace.as_str());
    let result = delete(&site.client, &Kind::CONFIG_MAP, namespace, "a", &of(&first)).await;
    refused("changed", result)?;
    ensure!(site.get(&Kind::CONFIG_MAP, "a").await?.is_some());
    delete(&site.client, &Kind::CONFIG_MAP, namespace, "a", &of(&second)).await?;
    ensure!(site.get(&Kind::CONFIG_MAP, "a").await?.is_none());
    Ok(())
}

/// Deleting what isn't there says so.
///
/// # Errors
/// It is not so.
pub async fn delete_of_nothing_is_told(site: &Site) -> Result<()> {
    ensure!(remove(site, "never").await? == Deleted::Gone);
    let api = Kind::CONFIG_MAP.api(site.client.clone(), Some(&site.namespace));
    let result = api.delete("never", &kube::api::DeleteParams::default()).await;
    refused("not-found", decoded(site, result))?;
    Ok(())
}

/// A namespace that is being deleted takes no new object, and goes when its last one has gone.
///
/// # Errors
/// It is not so.
pub async fn ending_namespace_takes_nothing_new(site: &Site) -> Result<()> {
    let name = format!("{}-ending", site.namespace);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    site.applier().apply(&namespace).await?;
    let in_it = |object: Value| {
        let mut object = object;
        object["metadata"]["namespace"] = Value::from(name.clone());
        object
    };
    let mut held = in_it(site.config_map("held", json!({})));
    held["metadata"]["finalizers"] = json!(["capstan.dev/contract"]);
    site.applier().apply(&held).await?;
    delete(&site.client, &Kind::NAMESPACE, None, &name, &Options::default()).await?;
    let result = site.applier().apply_over(&in_it(site.config_map("new", json!({}))), None).await;
    let refused = refused("terminating", result);

    held["metadata"]["finalizers"] = json!([]);
    site.applier().apply(&held).await?;
    site.gone(&Kind::NAMESPACE, &name).await?;
    refused.map(drop)
}

async fn remove(site: &Site, name: &str) -> Result<Deleted, Error> {
    delete(&site.client, &Kind::CONFIG_MAP, Some(&site.namespace), name, &Options::default()).await
}

fn decoded<T>(site: &Site, result: kube::Result<T>) -> Result<T, Error> {
    result.map_err(|error| Error::decode(error, &site.target(&Kind::CONFIG_MAP, "a")))
}
