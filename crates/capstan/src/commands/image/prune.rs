//! `capstan image prune`

use capstan_clusters::images;
use capstan_openstack::image::Image;
use serde::Serialize;

use super::{CloudArgs, from_failure};
use crate::error::{CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::prompt::Prompt;
use crate::settings::Settings;
use crate::world::World;

/// An image that goes.
#[derive(Serialize)]
struct Pruned<'a> {
    name: &'a str,
    id: &'a str,
}

pub(super) async fn run(args: &CloudArgs, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let loaded = &world.folder.loaded;
    let cloud = args.cloud.as_deref().or(loaded.fleet.spec.cloud.name.as_deref());
    let project = world.project(cloud).await?;
    let unused =
        images::unused(&project, world.plane(), loaded.name()).await.map_err(|error| from_failure(&error))?;
    // A cluster that is only written down will want its image.
    let wanted = |image: &Image| {
        loaded.clusters.iter().any(|cluster| {
            let spec = &cluster.spec;
            spec.image.name == image.name
                || spec
                    .image
                    .version_of(&image.name)
                    .is_some_and(|version| spec.kubernetes.version.matches(&version))
        })
    };
    let unused: Vec<Image> = unused.into_iter().filter(|image| !wanted(image)).collect();
    let pruned: Vec<_> = unused.iter().map(|image| Pruned { name: &image.name, id: &image.id }).collect();
    if !settings.dry_run && !unused.is_empty() {
        let names: Vec<_> = unused.iter().map(|image| format!("`{}`", image.name)).collect();
        Prompt::new(settings, printer).confirm(&format!("Remove {}?", names.join(", ")))?;
        for image in &unused {
            images::delete(&project, image).await.map_err(|error| from_failure(&error))?;
        }
    }
    printer.result(&pruned, || match pruned.as_slice() {
        [] => "every image of the fleet is used".to_owned(),
        pruned => {
            pruned.iter().map(|image| format!("{} {}", image.name, image.id)).collect::<Vec<_>>().join("\n")
        }
    })?;
    Ok(Done::Done)
}
