//! `capstan image register`

use async_trait::async_trait;
use capstan_clusters::Project;
use capstan_clusters::images::{self, Registration};
use capstan_core::documents::{ImageFormat, ImageSource, Sha256Sum};
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_core::versions::KubernetesVersion;
use capstan_engine::{Component, Direction, Failure, StepCx, Verdict, erase};
use tokio::sync::watch;

use crate::commands::plan;
use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::FleetFolder;
use crate::printer::Printer;
use crate::run;
use crate::settings::Settings;
use crate::world::{self, from_cloud};

/// Which image, and from where.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan image register v1.36.1                     from the source in the fleet's defaults
  capstan image register v1.36.1 --source https://example.com/{version}.qcow2 --sha256 SUM
  capstan image register v1.36.1 --source node.raw --format raw")]
pub(crate) struct Args {
    /// Kubernetes release in the image
    #[arg(value_name = "VERSION")]
    version: KubernetesVersion,
    /// Where the image is: an address or a file; `{version}` stands for the release
    #[arg(long)]
    source: Option<ImageSource>,
    /// Its SHA-256 checksum
    #[arg(long, value_name = "SUM")]
    sha256: Option<Sha256Sum>,
    /// Its format
    #[arg(long, value_parser = format)]
    format: Option<ImageFormat>,
    /// Its name in Glance; `{version}` stands for the release
    #[arg(long)]
    name: Option<String>,
    /// Entry of `clouds.yaml`; by default the fleet's
    #[arg(long)]
    cloud: Option<String>,
}

fn format(text: &str) -> Result<ImageFormat, String> {
    match text {
        "qcow2" => Ok(ImageFormat::Qcow2),
        "raw" => Ok(ImageFormat::Raw),
        other => Err(format!("`{other}` is not a format: `qcow2` or `raw`")),
    }
}

pub(super) async fn run(args: &Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let registration = registration(args, &folder, settings)?;
    let project = world::project_of(args.cloud.as_deref(), &folder, settings).await?;
    project.images().await.map_err(from_cloud)?;
    let subject = run::Subject {
        name: registration.name.clone(),
        work: run::Work::Components(vec![erase(Image { project, registration })], watch::channel(0).1),
        direction: Direction::Present,
    };
    let clock = settings.clock();
    if settings.dry_run {
        return plan::conclude(&run::plan(&[subject], &clock, settings).await, printer);
    }
    let endings = run::drive(vec![subject], &clock, settings, printer).await?;
    printer.result(&endings, String::new)?;
    run::conclude(&endings)?;
    Ok(Done::Done)
}

fn registration(args: &Args, folder: &FleetFolder, settings: &Settings) -> CommandResult<Registration> {
    if !args.version.is_release() {
        let error = CommandError::usage(format!("`{}` names no release", args.version));
        return Err(error.hint(format!("name one, such as {}.1", args.version)));
    }
    let mut spec = folder.default_image()?;
    // A checksum of the defaults is that of the defaults' source.
    let (base, sha256) = match &args.source {
        Some(_) => (settings.environment.cwd.clone(), args.sha256.clone()),
        None => (folder.path.clone(), args.sha256.clone().or(spec.sha256.take())),
    };
    spec.source = args.source.clone().or(spec.source);
    if let Some(name) = &args.name {
        spec.name.clone_from(name);
    }
    let source = spec.source_for(&args.version).ok_or_else(|| {
        CommandError::usage("nothing says where the image is")
            .hint("name it: --source ADDRESS, or `image.source` in the fleet's defaults")
    })?;
    if let (ImageSource::Http(_), None) = (&source, &sha256) {
        return Err(CommandError::usage("an image that is downloaded needs its checksum")
            .hint("name it: --sha256 SUM"));
    }
    Ok(Registration {
        fleet: folder.loaded.name().to_owned(),
        name: spec.name_for(&args.version),
        version: args.version,
        source,
        folder: base,
        sha256,
        format: args.format.unwrap_or(spec.format),
        properties: spec.properties,
    })
}

/// One image, registered on demand.
struct Image {
    project: Project,
    registration: Registration,
}

#[async_trait]
impl Component for Image {
    /// Whether it is there and usable.
    type Seen = bool;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        "image"
    }

    async fn observe(&self, _: &StepCx) -> Result<bool, Failure> {
        let images = self.project.images().await.map_err(Failure::transient)?;
        Ok(images.iter().any(|image| image.name == self.registration.name && image.status == "active"))
    }

    fn plan(&self, _: Direction, there: &bool) -> Verdict<PlannedChange> {
        let create =
            || PlannedChange::new("image", format!("image {}", self.registration.name), ChangeClass::Creates);
        Verdict::from_changes((!there).then(create).into_iter().collect())
    }

    async fn apply(&self, _: &PlannedChange, cx: &StepCx) -> Result<(), Failure> {
        images::register(&self.project, &self.registration, cx).await
    }
}
