//! `capstan image list`

use capstan_core::documents::ImageSpec;
use capstan_core::names::FLEET_KEY;
use capstan_core::versions::KubernetesVersion;
use capstan_openstack::image::Image;
use serde::Serialize;

use super::CloudArgs;
use crate::error::{CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::table::table;
use crate::world::{self, from_cloud};

/// An image in the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<KubernetesVersion>,
    status: String,
    visibility: String,
    size: Option<u64>,
    /// The fleet that registered it.
    fleet: Option<String>,
    id: String,
}

pub(super) async fn run(args: &CloudArgs, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let project = world::project_of(args.cloud.as_deref(), &folder, settings).await?;
    let images = project.images().await.map_err(from_cloud)?;
    let mut patterns: Vec<&ImageSpec> =
        folder.loaded.clusters.iter().map(|cluster| &cluster.spec.image).collect();
    let default = folder.default_image()?;
    patterns.push(&default);
    let mut rows: Vec<Row> = images.iter().filter_map(|image| row(image, &patterns)).collect();
    rows.sort_by(|a, b| (&a.version, &a.name, &a.id).cmp(&(&b.version, &b.name, &b.id)));
    printer.result(&rows, || shown(&rows))?;
    Ok(Done::Done)
}

/// An image that a fleet registered, or whose name fits one of the documents' patterns.
fn row(image: &Image, patterns: &[&ImageSpec]) -> Option<Row> {
    let fleet = image.property(FLEET_KEY).map(str::to_owned);
    let version = patterns.iter().find_map(|pattern| pattern.version_of(&image.name));
    (fleet.is_some() || version.is_some()).then(|| Row {
        name: image.name.clone(),
        version,
        status: image.status.clone(),
        visibility: image.visibility.clone(),
        size: image.size,
        fleet,
        id: image.id.clone(),
    })
}

fn shown(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no node images".into();
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    table(
        ["NAME", "VERSION", "STATUS", "VISIBILITY", "SIZE", "FLEET"],
        rows.iter().map(|row| {
            [
                row.name.clone(),
                or_dash(row.version.map(|version| version.to_string())),
                row.status.clone(),
                row.visibility.clone(),
                or_dash(row.size.map(crate::display::bytes)),
                or_dash(row.fleet.clone()),
            ]
        }),
    )
}
