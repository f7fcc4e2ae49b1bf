//! Reads and writes the files of a fleet's folder.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use capstan_core::documents::{
    self, ImageSpec, LoadedFleet, MAX_FILE_BYTES, Problem, ResolvedCluster, Source,
};

use crate::error::{CommandError, CommandResult};
use crate::printer::Printer;
use crate::settings::{FLEET_FILE, Settings};

/// Folder of the clusters' documents in a fleet's folder.
pub(crate) const CLUSTERS: &str = "clusters";

/// A fleet and where it was read from.
pub(crate) struct FleetFolder {
    pub(crate) path: PathBuf,
    pub(crate) loaded: LoadedFleet,
}

impl FleetFolder {
    /// Reads the fleet of the settings; warnings are printed.
    pub(crate) fn open(settings: &Settings, printer: &Printer) -> CommandResult<Self> {
        let path = settings.fleet_folder()?;
        let loaded = documents::load(&sources(&path)?)?;
        for warning in &loaded.warnings {
            printer.message(&warning.to_string());
        }
        Ok(Self { path, loaded })
    }

    /// What the fleet's defaults say of images.
    pub(crate) fn default_image(&self) -> CommandResult<ImageSpec> {
        let said = self.loaded.fleet.spec.defaults.get("image").cloned();
        said.map_or_else(
            || Ok(ImageSpec::default()),
            |said| serde_json::from_value(said).map_err(CommandError::usage),
        )
    }

    /// The fleet as it would be with another text of one file.
    pub(crate) fn with_file(&self, name: &str, text: &str) -> CommandResult<Self> {
        let mut sources = sources(&self.path)?;
        match sources.iter_mut().find(|source| source.path == name) {
            Some(source) => *source = Source::new(name, text),
            None => sources.push(Source::new(name, text)),
        }
        Ok(Self { path: self.path.clone(), loaded: documents::load(&sources)? })
    }

    /// Changes the document of a cluster, if the fleet can be read with the change; with `--dry-run`, in memory only.
    pub(crate) fn edit(
        &self,
        cluster: &str,
        settings: &Settings,
        printer: &Printer,
        change: impl FnOnce(String) -> CommandResult<String>,
    ) -> CommandResult<Self> {
        let file = &self.cluster(cluster)?.file;
        let path = self.path.join(file);
        let text = fs::read_to_string(&path).map_err(|error| CommandError::file(&path, error))?;
        let changed = change(text.clone())?;
        let with = self.with_file(file, &changed)?;
        if changed != text && !settings.dry_run {
            write_file(&path, &changed, false)?;
            printer.message(&format!("changed {file}"));
        }
        Ok(with)
    }

    /// The clusters of those names, or all.
    pub(crate) fn select(&self, names: &[String]) -> CommandResult<Vec<&ResolvedCluster>> {
        if names.is_empty() {
            return Ok(self.loaded.clusters.iter().collect());
        }
        names.iter().map(|name| self.cluster(name)).collect()
    }

    /// The cluster of that name.
    pub(crate) fn cluster(&self, name: &str) -> CommandResult<&ResolvedCluster> {
        self.loaded.cluster(name).ok_or_else(|| {
            let error =
                CommandError::usage(format!("the fleet `{}` has no cluster `{name}`", self.loaded.name()));
            if let Some(near) = self.loaded.nearest_cluster(name) {
                return error.hint(format!("did you mean `{near}`?"));
            }
            let known: Vec<_> =
                self.loaded.clusters.iter().map(|cluster| format!("`{}`", cluster.name())).collect();
            match known.as_slice() {
                [] => error.hint(format!("the fleet has none yet: capstan cluster create {name}")),
                known => error.hint(format!("it has {}", known.join(", "))),
            }
        })
    }
}

/// The fleet's files: `fleet.yaml` and `clusters/*.yaml`, in the order of their names.
fn sources(folder: &Path) -> CommandResult<Vec<Source>> {
    let mut sources = vec![source(folder, FLEET_FILE)?];
    let clusters = folder.join(CLUSTERS);
    let entries = match fs::read_dir(&clusters) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(sources),
        Err(error) => return Err(CommandError::file(&clusters, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| CommandError::file(&clusters, error))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.starts_with('.') {
            names.push(format!("{CLUSTERS}/{name}"));
        }
    }
    names.sort();
    for name in names {
        sources.push(source(folder, &name)?);
    }
    Ok(sources)
}

fn source(folder: &Path, name: &str) -> CommandResult<Source> {
    // One byte more than is allowed suffices to see that a file is too large.
    let limit = MAX_FILE_BYTES as u64 + 1;
    let mut text = Vec::new();
    let read = fs::File::open(folder.join(name)).and_then(|file| file.take(limit).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(Source::new(name, text)),
        Err(error) => Err(CommandError::usage(documents::Problems::from(Problem::of_file(
            name,
            format!("the file cannot be read: {error}"),
        )))),
    }
}

/// Writes a file as a whole or not at all: beside it, then in its place. A secret one is readable by its owner only.
pub(crate) fn write_file(path: &Path, content: &str, secret: bool) -> CommandResult<()> {
    let in_file = |error| CommandError::file(path, error);
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(in_file)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    let written = options
        .open(&beside)
        .and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        in_file(error)
    })
}
