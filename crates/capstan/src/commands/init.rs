//! `capstan init`

use std::path::{Path, PathBuf};

use capstan_core::documents::{self, Source};
use capstan_core::names::check_dns_label;
use capstan_openstack::CloudConfig;
use serde::Serialize;

use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::{CLUSTERS, write_file};
use crate::printer::{Printer, Style};
use crate::prompt::Prompt;
use crate::settings::{FLEET_FILE, Settings};

/// Where to write, and the answers to what would be asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan init                                          asks
  capstan init fleet --cloud my-cloud --cluster web     asks nothing
  capstan init --name prod --kubeconfig plane.kubeconfig --external public")]
pub(crate) struct Args {
    /// Folder to write into
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// Name of the fleet: prefix of everything that it makes
    #[arg(long)]
    name: Option<String>,
    /// Entry of `clouds.yaml`
    #[arg(long)]
    cloud: Option<String>,
    /// Kubeconfig of the management plane; a relative path counts from the folder
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Context in the kubeconfig
    #[arg(long)]
    context: Option<String>,
    /// Name or id of the external network
    #[arg(long, value_name = "NETWORK")]
    external: Option<String>,
    /// Name of a first cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Kubernetes version of clusters
    #[arg(long, default_value = "1.36", value_name = "VERSION")]
    kubernetes: String,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

/// What was written.
#[derive(Serialize)]
struct Written {
    folder: PathBuf,
    files: Vec<String>,
}

pub(crate) fn run(args: Args, settings: &Settings, printer: &Printer) -> CommandResult {
    // Without the `.` that stands for the current folder.
    let folder: PathBuf = settings.environment.cwd.join(&args.folder).components().collect();
    if folder.join(FLEET_FILE).exists() && !args.force {
        return Err(CommandError::usage(format!("`{}` holds a fleet already", args.folder.display()))
            .hint("replace its files: --force"));
    }
    let answers = Answers::gather(args, &folder, settings, printer)?;
    let files = answers.files();
    check(&files)?;
    if !settings.dry_run {
        for (name, content) in &files {
            write_file(&folder.join(name), content, false)?;
        }
    }
    let written = Written { folder, files: files.into_iter().map(|(name, _)| name).collect() };
    printer.result(&written, || written.files.join("\n"))?;
    let verb = if settings.dry_run { "would write" } else { "wrote" };
    printer.styled_message(
        Style::Good,
        &format!("{verb} {} files to {}", written.files.len(), written.folder.display()),
    );
    printer.message("next: capstan up, then capstan cluster create NAME");
    Ok(Done::Done)
}

/// What was written must be readable, whatever the answers hold.
fn check(files: &[(String, String)]) -> CommandResult<()> {
    let sources: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".yaml"))
        .map(|(name, content)| Source::new(name.clone(), content.as_str()))
        .collect();
    documents::load(&sources).map(drop).map_err(CommandError::from)
}

/// Everything that the files say.
struct Answers {
    name: String,
    cloud: String,
    kubeconfig: String,
    context: String,
    external: String,
    cluster: Option<String>,
    kubernetes: String,
}

impl Answers {
    /// From the flags; what they leave open is asked for where somebody can answer.
    fn gather(args: Args, folder: &Path, settings: &Settings, printer: &Printer) -> CommandResult<Self> {
        let prompt = Prompt::new(settings, printer);
        let asks = settings.can_ask && !settings.yes;
        let answer = |given: Option<String>, question: &str, default: &str| match given {
            Some(given) => Ok(given),
            None if asks => prompt.text(question, default),
            None => Ok(default.to_owned()),
        };
        let name =
            answer(args.name, "Name of the fleet, prefix of everything that it makes?", &fleet_name(folder))?;
        // Clouds that cannot be read now can be written later: the list only serves the question.
        let clouds = CloudConfig::names(&settings.environment).unwrap_or_default();
        let question = match clouds.as_slice() {
            [] => "Entry of clouds.yaml?".to_owned(),
            known => format!("Entry of clouds.yaml ({})?", known.join(", ")),
        };
        let default_cloud = settings.environment.variable("OS_CLOUD").map(str::to_owned);
        let default_cloud = default_cloud.or_else(|| clouds.first().cloned()).unwrap_or_default();
        Ok(Self {
            name,
            cloud: answer(args.cloud, &question, &default_cloud)?,
            kubeconfig: answer(args.kubeconfig, "Kubeconfig of the management plane?", "")?,
            context: args.context.unwrap_or_default(),
            external: answer(args.external, "External network, if the project sees several?", "")?,
            cluster: match args.cluster {
                None if asks => {
                    Some(prompt.text("Name of a first cluster, if any?", "")?).filter(|name| !name.is_empty())
                }
                given => given,
            },
            kubernetes: args.kubernetes,
        })
    }

    fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![
            (FLEET_FILE.to_owned(), self.fleet()),
            ("schemas/fleet.schema.json".to_owned(), format!("{:#}\n", documents::fleet_schema())),
            (
                "schemas/workloadcluster.schema.json".to_owned(),
                format!("{:#}\n", documents::workload_cluster_schema()),
            ),
        ];
        if let Some(cluster) = &self.cluster {
            files.push((
                format!("{CLUSTERS}/{cluster}.yaml"),
                cluster_document(cluster, &ClusterShape::default()),
            ));
        }
        files
    }

    fn fleet(&self) -> String {
        let optional = |key: &str, value: &str| match value {
            "" => String::new(),
            value => format!("{key}: {}", quoted(value)),
        };
        let kubeconfig = [optional("path", &self.kubeconfig), optional("context", &self.context)];
        let kubeconfig: Vec<_> = kubeconfig.into_iter().filter(|part| !part.is_empty()).collect();
        let mut lines = vec![
            "# yaml-language-server: $schema=schemas/fleet.schema.json".to_owned(),
            "apiVersion: capstan.dev/v1alpha1".to_owned(),
            "kind: Fleet".to_owned(),
            format!("metadata: {{name: {}}}", quoted(&self.name)),
            "spec:".to_owned(),
            "  # An entry of clouds.yaml; without one, OS_CLOUD or the OS_* variables.".to_owned(),
            format!("  cloud: {{{}}}", optional("name", &self.cloud)),
            "  # A Kubernetes cluster with cert-manager, ORC, Cluster API and its OpenStack provider."
                .to_owned(),
            "  management:".to_owned(),
            "    runtime: existing".to_owned(),
        ];
        if !kubeconfig.is_empty() {
            lines.push(format!("    kubeconfig: {{{}}}", kubeconfig.join(", ")));
        }
        if !self.external.is_empty() {
            lines.push(format!("  network: {{external: {}}}", quoted(&self.external)));
        }
        lines.extend([
            "  # Any part of a cluster's spec, for every cluster that doesn't say otherwise.".to_owned(),
            "  defaults:".to_owned(),
            format!("    kubernetes: {{version: {}}}", quoted(&self.kubernetes)),
        ]);
        lines.join("\n") + "\n"
    }
}

/// What a new cluster's document says beyond its name.
#[derive(Debug, Default)]
pub(crate) struct ClusterShape {
    pub(crate) kubernetes: Option<String>,
    pub(crate) control_planes: Option<u32>,
    pub(crate) workers: Option<u32>,
    pub(crate) flavor: Option<String>,
}

/// The document of a new cluster.
pub(crate) fn cluster_document(name: &str, shape: &ClusterShape) -> String {
    let mut lines = vec![
        "# yaml-language-server: $schema=../schemas/workloadcluster.schema.json".to_owned(),
        "apiVersion: capstan.dev/v1alpha1".to_owned(),
        "kind: WorkloadCluster".to_owned(),
        format!("metadata: {{name: {}}}", quoted(name)),
        "spec:".to_owned(),
    ];
    if let Some(version) = &shape.kubernetes {
        lines.push(format!("  kubernetes: {{version: {}}}", quoted(version)));
    }
    let flavor =
        shape.flavor.as_ref().map(|flavor| format!(", flavor: {}", quoted(flavor))).unwrap_or_default();
    lines.push(format!("  controlPlane: {{replicas: {}{flavor}}}", shape.control_planes.unwrap_or(1)));
    lines.push("  nodeGroups:".to_owned());
    lines.push(format!("    - {{name: default, replicas: {}{flavor}}}", shape.workers.unwrap_or(2)));
    lines.join("\n") + "\n"
}

/// A text as YAML, in quotes unless it can be nothing else.
fn quoted(text: &str) -> String {
    let word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.'))
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// A fleet's name made of the folder's, if that gives one.
fn fleet_name(folder: &Path) -> String {
    let name = folder.components().next_back().map(|part| part.as_os_str().to_string_lossy().to_lowercase());
    let usable = |name: &String| {
        check_dns_label(name).is_ok()
            && name.len() <= 20
            && name.starts_with(|c: char| c.is_ascii_lowercase())
    };
    name.filter(usable).unwrap_or_else(|| "fleet".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers {
            name: "prod".into(),
            cloud: "my cloud: \"x\"".into(),
            kubeconfig: "plane.kubeconfig".into(),
            context: String::new(),
            external: "0123".into(),
            cluster: Some("web".into()),
            kubernetes: "1.36".into(),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let files = answers().files();
        let sources: Vec<_> = files
            .iter()
            .filter(|(name, _)| name.ends_with(".yaml"))
            .map(|(name, content)| Source::new(name.clone(), content.as_str()))
            .collect();
        let loaded = documents::load(&sources).unwrap();
        assert_eq!(loaded.fleet.spec.cloud.name.as_deref(), Some("my cloud: \"x\""));
        assert_eq!(loaded.fleet.spec.network.external.as_deref(), Some("0123"));
        assert_eq!(loaded.clusters[0].spec.kubernetes.version.to_string(), "v1.36");
        assert_eq!(loaded.clusters[0].spec.node_groups[0].replicas, 2);
    }

    #[test]
    fn the_fleet_file() {
        insta::assert_snapshot!(answers().fleet());
    }

    #[test]
    fn a_folder_gives_the_fleet_its_name_if_it_can() {
        assert_eq!(fleet_name(Path::new("/home/me/prod")), "prod");
        assert_eq!(fleet_name(Path::new("/home/me/My Fleet")), "fleet");
        assert_eq!(fleet_name(Path::new("/home/me/1st")), "fleet");
        assert_eq!(fleet_name(Path::new("/")), "fleet");
    }
}
