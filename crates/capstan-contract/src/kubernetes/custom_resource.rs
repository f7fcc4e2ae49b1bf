//! Custom resources: how a new kind comes into service.

use anyhow::{Result, ensure};
use capstan_kube::capstan::{install_crd, is_established};
use capstan_kube::delete::{Options, delete};
use capstan_kube::{Client, Kind};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Site;
use super::site::{PATIENCE, refused};

/// A kind is served once its CRD is established, and no more when that is removed.
///
/// # Errors
/// It is not so.
pub async fn kind_is_served_once_established(site: &Site) -> Result<()> {
    with_kind(site, async |kind| {
        let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {"name": "a", "namespace": site.namespace}, "spec": {"size": 1}});
        site.applier().apply(&object).await?;
        let mut wrong = object.clone();
        wrong["spec"]["size"] = json!(9);
        let error = refused("refused", site.applier().apply(&wrong).await)?;
        ensure!(error.to_string().contains("`spec.size`"), "{error}");
        Ok(())
    })
    .await?;
    Ok(())
}

/// The status subresource doesn't touch the spec, nor the other way round; only the spec counts generations.
///
/// # Errors
/// It is not so.
pub async fn status_is_written_by_itself(site: &Site) -> Result<()> {
    with_kind(site, async |kind| {
        let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {"name": "a", "namespace": site.namespace}, "spec": {"size": 1}, "status": {"phase": "wrong"}});
        let api = kind.api(site.client.clone(), Some(&site.namespace));
        let parameters = PatchParams::apply(capstan_kube::MANAGER);
        let made = api.patch("a", &parameters, &Patch::Apply(&object)).await?;
        ensure!(made.data["status"].is_null() && made.metadata.generation == Some(1), "{made:?}");

        let status = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {"name": "a"}, "spec": {"size": 2}, "status": {"phase": "Ready"}});
        let told = api.patch_status("a", &parameters, &Patch::Apply(&status)).await?;
        ensure!(told.data["status"]["phase"] == "Ready" && told.data["spec"]["size"] == 1, "{told:?}");
        ensure!(told.metadata.generation == Some(1));
        Ok(())
    })
    .await
}

/// Installs a kind of this site's own, and removes it whatever comes of the rest.
async fn with_kind(site: &Site, body: impl AsyncFnOnce(&Kind) -> Result<()>) -> Result<()> {
    let group = format!("{}.capstan.dev", site.namespace);
    let kind = Kind {
        group: group.clone().into(),
        version: "v1".into(),
        kind: "Thing".into(),
        plural: "things".into(),
        namespaced: true,
    };
    let name = format!("things.{group}");
    let before = kind.api(site.client.clone(), None).list(&kube::api::ListParams::default()).await;
    ensure!(before.is_err(), "the kind isn't served yet");
    let installed = install_crd(&site.client, &crd(&group), PATIENCE).await?;
    ensure!(is_established(Some(&installed.object)));
    let result = body(&kind).await;
    remove(&site.client, site, &name).await?;
    result
}

async fn remove(client: &Client, site: &Site, name: &str) -> Result<()> {
    delete(client, &Kind::CUSTOM_RESOURCE_DEFINITION, None, name, &Options::default()).await?;
    site.gone(&Kind::CUSTOM_RESOURCE_DEFINITION, name).await
}

fn crd(group: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": format!("things.{group}")},
    "spec": {
        "group": group, "scope": "Namespaced",
        "names": {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
        "versions": [{
            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 5}}},
                "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
            }}},
        }],
    }})
}
