//! Connects what the settings name: the fleet's folder, the management plane, the clouds. The libraries get clients,
//! never names of files or variables.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capstan_clusters::{Plane, Project, Subject};
use capstan_core::documents::{ResolvedCluster, WorkloadClusterSpec};
use capstan_core::names;
use capstan_core::status::WorkloadClusterStatus;
use capstan_engine::{Clock, Direction};
use capstan_kube::connect::{self, ConnectError, Connection};
use capstan_kube::{DynamicObject, Kind};
use capstan_openstack::{Cloud, CloudConfig, Options, Proxy};
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::error::{CommandError, CommandResult};
use crate::fleet_folder::FleetFolder;
use crate::run;
use crate::settings::Settings;

/// A fleet with its management plane and its clouds.
pub(crate) struct World {
    pub(crate) folder: FleetFolder,
    pub(crate) clock: Arc<dyn Clock>,
    settings: Settings,
    connection: Connection,
    /// The version that the management plane's API server says.
    pub(crate) server_version: String,
    plane: Plane,
    /// One connection per cloud, however many clusters are in it.
    projects: Mutex<HashMap<Option<String>, Project>>,
}

impl World {
    /// Connects to the management plane of a fleet. Clouds are connected when the first cluster in them is asked for.
    pub(crate) async fn connect(
        folder: FleetFolder,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> CommandResult<Self> {
        let (connection, server_version) = management_plane(&folder, settings).await?;
        let plane = Plane::follow(connection.clone(), None).await;
        let plane = plane.map_err(|error| from_plane(connection.unusable(error)))?;
        let settings = settings.clone();
        Ok(Self { folder, clock, settings, connection, server_version, plane, projects: Mutex::default() })
    }

    /// The connection to the management plane.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The objects of the management plane.
    pub(crate) const fn plane(&self) -> &Plane {
        &self.plane
    }

    /// The OpenStack project behind an entry of `clouds.yaml`.
    pub(crate) async fn project(&self, cloud: Option<&str>) -> CommandResult<Project> {
        let mut projects = self.projects.lock().await;
        let name = cloud.map(str::to_owned);
        if let Some(project) = projects.get(&name) {
            return Ok(project.clone());
        }
        let cloud = connect_cloud(cloud, &self.settings).await?;
        let project = Project::new(cloud, Arc::clone(&self.clock));
        projects.insert(name, project.clone());
        Ok(project)
    }

    /// A cluster as a subject to drive or to plan.
    pub(crate) async fn subject(
        &self,
        cluster: &ResolvedCluster,
        direction: Direction,
    ) -> CommandResult<run::Subject> {
        let project = self.project(cluster.cloud.as_deref()).await?;
        let since = Timestamp::try_from(self.clock.wall()).map_err(CommandError::failed)?;
        let subject = Subject::new(cluster.clone(), self.plane.clone(), project, &self.folder.path, since);
        Ok(run::Subject { name: cluster.name().to_owned(), work: run::Work::Cluster(subject), direction })
    }

    /// Clusters as subjects, in the same order.
    pub(crate) async fn subjects(
        &self,
        clusters: &[&ResolvedCluster],
        direction: Direction,
    ) -> CommandResult<Vec<run::Subject>> {
        let mut subjects = Vec::with_capacity(clusters.len());
        for cluster in clusters {
            subjects.push(self.subject(cluster, direction).await?);
        }
        Ok(subjects)
    }

    /// Ticks when something in the management plane changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let mut changes = self.plane.mirror().subscribe(None);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = changes.next() => sender.send_modify(|count| *count += 1),
                    () = sender.closed() => break,
                }
            }
        });
        receiver
    }

    /// The clusters that the management plane has under this fleet, with what it says of them.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        let fleet = self.folder.loaded.name();
        let ours = |object: &DynamicObject| {
            let labels = object.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(names::FLEET_LABEL)).is_some_and(|name| name == fleet)
        };
        let objects = self.plane.mirror().list(&Kind::WORKLOAD_CLUSTER, None);
        let mut recorded: Vec<_> =
            objects.iter().filter(|object| ours(object)).filter_map(|o| Recorded::of(fleet, o)).collect();
        recorded.sort_by(|a, b| a.name.cmp(&b.name));
        recorded
    }

    /// A cluster by its document; where that has gone, by what the management plane has recorded of it.
    pub(crate) fn cluster(&self, name: &str) -> CommandResult<ResolvedCluster> {
        let unknown = match self.folder.cluster(name) {
            Ok(cluster) => return Ok(cluster.clone()),
            Err(unknown) => unknown,
        };
        let recorded = self.recorded().into_iter().find(|recorded| recorded.name == name);
        let spec = recorded.and_then(|recorded| recorded.spec);
        spec.map(|spec| ResolvedCluster::new(&self.folder.loaded.fleet, name, spec)).ok_or(unknown)
    }
}

/// A cluster as the management plane has recorded it.
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) spec: Option<WorkloadClusterSpec>,
    pub(crate) status: WorkloadClusterStatus,
    /// When it was asked for.
    pub(crate) created: Option<Timestamp>,
}

impl Recorded {
    fn of(fleet: &str, object: &DynamicObject) -> Option<Self> {
        let full = object.metadata.name.as_deref()?;
        let name = full.strip_prefix(fleet)?.strip_prefix('-')?.to_owned();
        // A status or a spec of another release that this one cannot read counts as not said.
        let spec = serde_json::from_value(object.data["spec"].clone()).ok();
        let status = serde_json::from_value(object.data["status"].clone()).unwrap_or_default();
        Some(Self {
            name,
            spec,
            status,
            created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
        })
    }
}

async fn management_plane(folder: &FleetFolder, settings: &Settings) -> CommandResult<(Connection, String)> {
    let wanted = &folder.loaded.fleet.spec.management.kubeconfig;
    let path = kubeconfig_path(wanted.path.as_deref(), &folder.path, settings)?;
    let mut options = connect::Options::new(connect::Source::Path(path));
    options.context.clone_from(&wanted.context);
    let connection = connect::connect(&options).await.map_err(from_plane)?;
    let version = connection.probe().await.map_err(from_plane)?;
    Ok((connection, version))
}

/// The kubeconfig of the management plane: the document's, else `KUBECONFIG`'s first, else `~/.kube/config`.
fn kubeconfig_path(named: Option<&str>, folder: &Path, settings: &Settings) -> CommandResult<PathBuf> {
    let environment = &settings.environment;
    if let Some(named) = named {
        return Ok(match (named.strip_prefix("~/"), &environment.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => folder.join(named),
        });
    }
    let listed =
        environment.variable("KUBECONFIG").and_then(|list| list.split(':').find(|path| !path.is_empty()));
    if let Some(path) = listed {
        return Ok(environment.path(path));
    }
    let home = environment.home.as_ref().map(|home| home.join(".kube/config"));
    home.filter(|path| path.is_file()).ok_or_else(|| {
        CommandError::blocked("nothing says how to reach the management plane")
            .hint("name its kubeconfig in fleet.yaml: spec.management.kubeconfig.path")
    })
}

/// The OpenStack project of a fleet's cloud or of another one, without its management plane.
pub(crate) async fn project_of(
    cloud: Option<&str>,
    folder: &FleetFolder,
    settings: &Settings,
) -> CommandResult<Project> {
    let cloud = cloud.or(folder.loaded.fleet.spec.cloud.name.as_deref());
    Ok(Project::new(connect_cloud(cloud, settings).await?, settings.clock()))
}

async fn connect_cloud(name: Option<&str>, settings: &Settings) -> CommandResult<Cloud> {
    let config = CloudConfig::load(&settings.environment, name).map_err(|error| {
        let hint = error.hint();
        with_hint(CommandError::blocked(error), hint)
    })?;
    let options = Options { proxy: proxy(settings), ..Options::default() };
    Cloud::connect(&config, options).await.map_err(from_cloud)
}

/// The proxy that the environment names, as for every other program.
fn proxy(settings: &Settings) -> Option<Proxy> {
    let variable = |names: [&str; 2]| names.into_iter().find_map(|name| settings.environment.variable(name));
    let url = variable(["HTTPS_PROXY", "https_proxy"]).or_else(|| variable(["HTTP_PROXY", "http_proxy"]))?;
    let except = variable(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Some(Proxy { url: url.to_owned(), except: except.to_owned() })
}

/// An error of the OpenStack client as the end of a command: credentials need a person, the rest is a failure.
pub(crate) fn from_cloud(error: capstan_openstack::Error) -> CommandError {
    let hint = error.hint();
    let person = error.is_unauthorized() || error.is_forbidden();
    with_hint(if person { CommandError::blocked(error) } else { CommandError::failed(error) }, hint)
}

fn from_plane(error: ConnectError) -> CommandError {
    let hint = error.hint();
    let person = !matches!(error, ConnectError::Unusable { .. });
    with_hint(if person { CommandError::blocked(error) } else { CommandError::failed(error) }, hint)
}

fn with_hint(error: CommandError, hint: Option<String>) -> CommandError {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
