//! Server-side apply.

use anyhow::{Context, Result, ensure};
use capstan_kube::apply::Outcome;
use capstan_kube::diff::diff;
use capstan_kube::{Error, Kind};
use serde_json::{Value, json};

use super::Site;
use super::site::refused;

/// The first apply creates (201), the same again stores nothing: the resource version stays.
///
/// # Errors
/// It is not so.
pub async fn same_object_again_changes_nothing(site: &Site) -> Result<()> {
    let object = site.config_map("a", json!({"x": "1"}));
    let first = site.applier().apply(&object).await?;
    let second = site.applier().apply(&object).await?;
    let third = site.applier().apply(&site.config_map("a", json!({"x": "2"}))).await?;
    let outcomes = [first.outcome, second.outcome, third.outcome];
    ensure!(outcomes == [Outcome::Created, Outcome::Unchanged, Outcome::Changed], "{outcomes:?}");
    ensure!(first.object.metadata.resource_version == second.object.metadata.resource_version);
    ensure!(second.object.metadata.resource_version != third.object.metadata.resource_version);
    Ok(())
}

/// What another manager has set beside our fields stays, and is no difference.
///
/// # Errors
/// It is not so.
pub async fn fields_of_others_survive(site: &Site) -> Result<()> {
    let ours = site.config_map("a", json!({"x": "1"}));
    site.applier().apply(&ours).await?;
    site.applier().as_manager("other").apply(&site.config_map("a", json!({"y": "1"}))).await?;
    let applied = site.applier().apply(&ours).await?;
    ensure!(applied.outcome == Outcome::Unchanged);
    ensure!(applied.object.data["data"] == json!({"x": "1", "y": "1"}), "{}", applied.object.data);
    let live = serde_json::to_value(&applied.object)?;
    ensure!(diff(&ours, &live).is_empty(), "{:?}", diff(&ours, &live));
    Ok(())
}

/// What we applied once and leave out now goes away; `managedFields` tell so before.
///
/// # Errors
/// It is not so.
pub async fn fields_no_longer_applied_are_removed(site: &Site) -> Result<()> {
    let before = site.applier().apply(&site.config_map("a", json!({"x": "1", "y": "1"}))).await?;
    let desired = site.config_map("a", json!({"x": "1"}));
    let planned = diff(&desired, &serde_json::to_value(&before.object)?);
    ensure!(planned.removed == ["data.y"] && planned.fields.is_empty(), "{planned:?}");
    let after = site.applier().apply(&desired).await?;
    ensure!(after.object.data["data"] == json!({"x": "1"}), "{}", after.object.data);
    Ok(())
}

/// Another value for a field that another manager owns is a conflict that names both.
///
/// # Errors
/// It is not so.
pub async fn other_values_conflict_and_name_manager_and_fields(site: &Site) -> Result<()> {
    site.applier().as_manager("other").apply(&site.config_map("a", json!({"x": "1", "y": "1"}))).await?;
    let result = site.applier().apply(&site.config_map("a", json!({"x": "2", "y": "2", "z": "2"}))).await;
    let Error::Conflict(conflict) = refused("conflict", result)? else { unreachable!("named so") };
    let [owner] = conflict.owners.as_slice() else { anyhow::bail!("{conflict:?}") };
    ensure!(owner.manager == "other" && owner.fields == [".data.x", ".data.y"], "{owner:?}");
    // The same value is shared, not fought for.
    site.applier().apply(&site.config_map("a", json!({"x": "1"}))).await?;
    Ok(())
}

/// Force takes the fields over.
///
/// # Errors
/// It is not so.
pub async fn force_takes_fields_over(site: &Site) -> Result<()> {
    site.applier().as_manager("other").apply(&site.config_map("a", json!({"x": "1"}))).await?;
    let forced = site.applier().forced().apply(&site.config_map("a", json!({"x": "2"}))).await?;
    ensure!(forced.object.data["data"]["x"] == "2");
    let back = site.applier().as_manager("other").apply(&site.config_map("a", json!({"x": "1"}))).await;
    let error = refused("conflict", back)?;
    ensure!(error.to_string().contains("`capstan` owns `.data.x`"), "{error}");
    Ok(())
}

/// A field that the schema of a custom kind lacks is refused and named (as a 500 without a reason).
///
/// # Errors
/// It is not so.
pub async fn undeclared_field_is_refused_and_named(site: &Site) -> Result<()> {
    let custom = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "a", "namespace": site.namespace}, "spec": {"clusterNetwork": {"podz": 1}}});
    let error = refused("refused", site.applier().apply(&custom).await)?;
    ensure!(
        error.to_string().contains("`spec.clusterNetwork.podz`: field not declared in schema"),
        "{error}"
    );
    Ok(())
}

/// A list that is merged by keys has each key once, and none without one; the refusal names the list.
///
/// # Errors
/// It is not so.
pub async fn lists_by_keys_have_each_key_once(site: &Site) -> Result<()> {
    let twice = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "a", "namespace": site.namespace},
        "spec": {"ports": [{"port": 80, "name": "a"}, {"port": 80, "protocol": "TCP", "name": "b"}]}});
    let error = refused("refused", site.applier().apply(&twice).await)?;
    let wanted = "duplicate entries for key [port=80,protocol=\"TCP\"]";
    ensure!(error.to_string().contains("spec.ports") && error.to_string().contains(wanted), "{error}");
    let none = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "a", "namespace": site.namespace},
        "spec": {"availabilityGates": [{"polarity": "Positive"}]}});
    let error = refused("refused", site.applier().apply(&none).await)?;
    ensure!(error.to_string().contains("omits all key fields [\"conditionType\"]"), "{error}");
    Ok(())
}

/// A dry run answers like a real one and leaves nothing.
///
/// # Errors
/// It is not so.
pub async fn dry_run_stores_nothing(site: &Site) -> Result<()> {
    let dry = site.applier().dry().apply(&site.config_map("a", json!({"x": "1"}))).await?;
    ensure!(dry.outcome == Outcome::Created && dry.object.data["data"]["x"] == "1");
    ensure!(site.get(&Kind::CONFIG_MAP, "a").await?.is_none());

    let stored = site.applier().apply(&site.config_map("a", json!({"x": "1"}))).await?;
    let dry = site.applier().dry().apply(&site.config_map("a", json!({"x": "2"}))).await?;
    ensure!(dry.object.data["data"]["x"] == "2");
    let now = site.get(&Kind::CONFIG_MAP, "a").await?.context("it was stored")?;
    ensure!(now.metadata.resource_version == stored.object.metadata.resource_version);
    Ok(())
}

/// An object of a namespace that isn't there is refused with the namespace's name.
///
/// # Errors
/// It is not so.
pub async fn missing_namespace_is_named(site: &Site) -> Result<()> {
    let mut object = site.config_map("a", json!({}));
    let missing = format!("{}-missing", site.namespace);
    object["metadata"]["namespace"] = Value::from(missing.clone());
    let error = refused("not-found", site.applier().apply_over(&object, None).await)?;
    ensure!(error.to_string() == format!("there is no `namespace {missing}`"), "{error}");
    Ok(())
}

/// A kind without a CRD is told as such, whether its group is served or not.
///
/// # Errors
/// It is not so.
pub async fn unknown_kind_is_told(site: &Site) -> Result<()> {
    for group in ["nowhere.example.org/v1", "cluster.x-k8s.io/v1beta2"] {
        let object = json!({"apiVersion": group, "kind": "Unknown",
            "metadata": {"name": "a", "namespace": site.namespace}});
        refused("no-kind", site.applier().apply_over(&object, None).await)?;
    }
    Ok(())
}
