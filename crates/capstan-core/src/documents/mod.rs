//! The documents of a fleet: what people write, read with positions, merged with the defaults and checked.
//!
//! [`load`] takes the files of a fleet's folder as bytes and gives either everything typed, or the list of everything
//! that is wrong. Nothing is read from disk here.

mod check;
mod cluster;
mod edit;
mod fleet;
mod formats;
mod merge;
mod problem;
mod schema;
mod shape;
mod tree;
mod values;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use cluster::*;
pub use edit::{EditError, PathPart, set_number, set_text};
pub use fleet::*;
pub use problem::{Position, Problem, Problems, Severity, Span};
pub use schema::{fleet_schema, workload_cluster_schema};
pub use values::{Cidr, CountOrPercent, ImageSource, MinimumVersion, Sha256Sum};

pub(crate) use schema::generate as generate_schema;

use crate::names::ClusterNames;
use check::Located;
use problem::{Report, Text, nearest, quoted};
use shape::Completeness;
use tree::{Node, Value};

/// Largest file that is read, in bytes. A cluster of ours has a few hundred.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A file of a fleet's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name as it is shown, such as `clusters/web.yaml`.
    pub path: String,
    /// Its content.
    pub text: Vec<u8>,
}

impl Source {
    /// A source of that name and content.
    pub fn new(path: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// A fleet that was read, merged and found right.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedFleet {
    /// The fleet's own document.
    pub fleet: Fleet,
    /// Its clusters with the defaults merged in, by name.
    pub clusters: Vec<ResolvedCluster>,
    /// What somebody should look at although it can be used.
    pub warnings: Vec<Problem>,
}

impl LoadedFleet {
    /// The fleet's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.fleet.metadata.name
    }

    /// The cluster of that name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&ResolvedCluster> {
        self.clusters.iter().find(|cluster| cluster.name() == name)
    }

    /// The cluster's name that was probably meant by `name`.
    #[must_use]
    pub fn nearest_cluster(&self, name: &str) -> Option<&str> {
        nearest(name, self.clusters.iter().map(ResolvedCluster::name))
    }
}

/// A cluster with everything that it takes from its fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedCluster {
    /// Its names.
    #[serde(skip)]
    pub names: ClusterNames,
    /// The file that it was read from.
    #[serde(skip)]
    pub file: String,
    /// The entry of `clouds.yaml`, its own or the fleet's; without one, what the environment says.
    pub cloud: Option<String>,
    /// Name or id of the external network, its own or the fleet's; without one, the only one of the project.
    pub external_network: Option<String>,
    /// Who shares one application credential.
    pub credential_scope: CredentialScope,
    /// Its specification, the fleet's and the built-in defaults included.
    pub spec: WorkloadClusterSpec,
}

impl ResolvedCluster {
    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.cluster()
    }

    /// A cluster of `fleet` with a specification that is complete.
    #[must_use]
    pub fn new(fleet: &Fleet, name: &str, spec: WorkloadClusterSpec) -> Self {
        Self {
            names: ClusterNames::new(&fleet.metadata.name, name),
            file: String::new(),
            cloud: spec.cloud.name.clone().or_else(|| fleet.spec.cloud.name.clone()),
            external_network: spec.network.external.clone().or_else(|| fleet.spec.network.external.clone()),
            credential_scope: fleet.spec.credentials.scope,
            spec,
        }
    }

    /// The document that says the same without any defaults of a fleet.
    #[must_use]
    pub fn document(&self) -> WorkloadCluster {
        let spec = match serde_json::to_value(&self.spec) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        };
        WorkloadCluster {
            api_version: ApiVersion::default(),
            kind: WorkloadClusterKind::default(),
            metadata: Metadata { name: self.name().into() },
            spec,
        }
    }
}

/// Reads the files of a fleet: one `Fleet` and any number of `WorkloadCluster`s, several in one file if they like.
///
/// # Errors
/// Everything that is wrong, with file, line and column.
pub fn load(sources: &[Source]) -> Result<LoadedFleet, Problems> {
    let mut unreadable = vec![];
    let mut texts = vec![];
    for source in sources {
        match readable(source) {
            Ok(content) => texts.push(Text { path: &source.path, content }),
            Err(problem) => unreadable.push(*problem),
        }
    }
    let mut report = Report::new(&texts);
    let mut fleets: Vec<Node> = vec![];
    let mut clusters: Vec<Node> = vec![];
    for (index, text) in texts.iter().enumerate() {
        for document in documents(index, text.content, &mut report) {
            match kind(&document, &mut report) {
                Some(Kind::Fleet) => fleets.push(document),
                Some(Kind::WorkloadCluster) => clusters.push(document),
                None => {}
            }
        }
    }
    let complete = unreadable.is_empty() && !report.has_errors();
    let fleet = one_fleet(fleets, complete, &mut report, &mut unreadable);
    let loaded = fleet.map(|fleet| assemble(fleet, clusters, &texts, &mut report));
    let failed = report.has_errors() || !unreadable.is_empty();
    let mut problems = unreadable;
    problems.extend(report.into_problems());
    match loaded {
        Some(Some(loaded)) if !failed => Ok(LoadedFleet { warnings: problems, ..loaded }),
        _ => Err(problems.into()),
    }
}

/// The text of a source, if it is one and not too large.
fn readable(source: &Source) -> Result<&str, Box<Problem>> {
    let bytes = source.text.len();
    if bytes > MAX_FILE_BYTES {
        let message =
            format!("the file has {bytes} bytes; a document of a fleet has at most {MAX_FILE_BYTES}");
        return Err(Box::new(Problem::of_file(&source.path, message)));
    }
    let not_text = || Box::new(Problem::of_file(&source.path, "the file is not text in UTF-8"));
    let text = std::str::from_utf8(&source.text).map_err(|_| not_text())?;
    if text.contains('\0') {
        return Err(not_text());
    }
    Ok(text)
}

fn documents(index: usize, text: &str, report: &mut Report<'_>) -> Vec<Node> {
    let start = Span { source: index, start: 0, end: 0 };
    let had_errors = report.has_errors();
    let mut documents = tree::parse(index, text, report);
    documents.retain(|document| document.scalar() != Some(tree::Scalar::Null));
    if documents.is_empty() && had_errors == report.has_errors() {
        let problem = report.error(start, "the file holds no document");
        problem
            .hints
            .push("start it with `apiVersion: capstan.dev/v1alpha1` and `kind: WorkloadCluster`".into());
    }
    documents
}

enum Kind {
    Fleet,
    WorkloadCluster,
}

fn kind(document: &Node, report: &mut Report<'_>) -> Option<Kind> {
    let start = Span { end: document.span.start, ..document.span };
    if !matches!(document.value, Value::Map(_)) {
        report.error(start, format!("a document is a map, found {}", document.describe()));
        return None;
    }
    let Some(kind) = document.get("kind") else {
        report
            .error(start, "the key `kind` is missing")
            .hints
            .push("valid: `Fleet`, `WorkloadCluster`".into());
        return None;
    };
    match kind.as_str() {
        Some("Fleet") => Some(Kind::Fleet),
        Some("WorkloadCluster") => Some(Kind::WorkloadCluster),
        other => {
            let problem =
                report.error(kind.span, format!("{} is not a kind of document", quoted(other.unwrap_or(""))));
            if let Some(meant) = nearest(other.unwrap_or(""), ["Fleet", "WorkloadCluster"]) {
                problem.hints.push(format!("did you mean `{meant}`?"));
            }
            problem.hints.push("valid: `Fleet`, `WorkloadCluster`".into());
            None
        }
    }
}

fn one_fleet(
    fleets: Vec<Node>,
    complete: bool,
    report: &mut Report<'_>,
    unreadable: &mut Vec<Problem>,
) -> Option<Node> {
    let mut fleets = fleets.into_iter();
    let Some(fleet) = fleets.next() else {
        // Where a file could not be read, the fleet may be in it.
        if complete {
            let missing = Problem {
                severity: Severity::Error,
                file: None,
                position: None,
                message: "no document of `kind: Fleet` was found".into(),
                hints: vec!["it belongs into `fleet.yaml`; `capstan init` writes one".into()],
            };
            unreadable.push(missing);
        }
        return None;
    };
    for another in fleets {
        let place = report.place(fleet.span);
        let start = Span { end: another.span.start, ..another.span };
        report.error(start, "there is more than one fleet").hints.push(format!("the first is in {place}"));
    }
    Some(fleet)
}

/// Checks, merges and types the documents. `None` where mistakes are in the way; they are in the report.
fn assemble(
    mut fleet: Node,
    clusters: Vec<Node>,
    texts: &[Text<'_>],
    report: &mut Report<'_>,
) -> Option<LoadedFleet> {
    check_fleet(&mut fleet, report);
    let defaults = fleet.get("spec").and_then(|spec| spec.get("defaults")).cloned();
    let fleet_right = !report.has_errors();
    let typed: Option<Fleet> = if fleet_right { typed(&fleet, report) } else { None };
    let fleet_name = fleet
        .get("metadata")
        .and_then(|m| m.get("name"))
        .and_then(Node::as_str)
        .unwrap_or_default()
        .to_owned();

    let mut resolved: Vec<(ResolvedCluster, Span)> = vec![];
    let mut seen: Vec<(String, Span)> = vec![];
    for mut cluster in clusters {
        let before = report.error_count();
        shape::check(&mut cluster, &schema::WORKLOAD_CLUSTER, None, Completeness::Partial, report);
        let Some((name, name_span)) = document_name(&cluster, report) else { continue };
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == name) {
            let place = report.place(*first);
            report
                .error(name_span, format!("there are two clusters named {}", quoted(&name)))
                .hints
                .push(format!("the first is in {place}"));
            continue;
        }
        seen.push((name.clone(), name_span));
        if report.error_count() > before || !fleet_right {
            continue;
        }
        let names = ClusterNames::new(&fleet_name, &name);
        let Some(spec) = resolve_spec(&cluster, defaults.as_ref(), &names, name_span, report) else {
            continue;
        };
        if let Some(typed) = &typed {
            let file = texts.get(cluster.span.source).map(|text| text.path.to_owned()).unwrap_or_default();
            resolved.push((ResolvedCluster { file, ..ResolvedCluster::new(typed, &name, spec) }, name_span));
        }
    }
    check::derived_names(&resolved, report);
    let mut clusters: Vec<_> = resolved.into_iter().map(|(cluster, _)| cluster).collect();
    clusters.sort_by(|a, b| a.name().cmp(b.name()));
    Some(LoadedFleet { fleet: typed?, clusters, warnings: vec![] })
}

fn check_fleet(fleet: &mut Node, report: &mut Report<'_>) {
    // The defaults are a part of a cluster, so they are looked at apart from the rest, which has to be complete.
    let defaults = fleet.take(&["spec", "defaults"]);
    shape::check(fleet, &schema::FLEET, None, Completeness::Complete, report);
    if let Some(mut defaults) = defaults {
        shape::check(
            &mut defaults.value,
            &schema::FLEET,
            Some("WorkloadClusterSpec"),
            Completeness::Partial,
            report,
        );
        fleet.put(&["spec"], defaults);
    }
    if let Some(name) = fleet.get("metadata").and_then(|metadata| metadata.get("name"))
        && name.as_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()))
    {
        report.error(
            name.span,
            "a fleet's name must start with a letter: names of Kubernetes services start with it",
        );
    }
}

/// The name of a cluster's document and its place.
fn document_name(document: &Node, report: &mut Report<'_>) -> Option<(String, Span)> {
    let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
    match name {
        Some(name) => name.as_str().map(|text| (text.to_owned(), name.span)),
        None => {
            let start = Span { end: document.span.start, ..document.span };
            report.error(start, "the key `name` is missing in `metadata`");
            None
        }
    }
}

fn resolve_spec(
    cluster: &Node,
    defaults: Option<&Node>,
    names: &ClusterNames,
    name_span: Span,
    report: &mut Report<'_>,
) -> Option<WorkloadClusterSpec> {
    let empty = Node { span: name_span, value: Value::Map(vec![]) };
    let own = cluster.get("spec").cloned().unwrap_or_else(|| empty.clone());
    let mut merged = merge::merge(defaults.unwrap_or(&empty), own);
    let before = report.error_count();
    shape::check(
        &mut merged,
        &schema::WORKLOAD_CLUSTER,
        Some("WorkloadClusterSpec"),
        Completeness::Complete,
        report,
    );
    if report.error_count() > before {
        return None;
    }
    let spec: WorkloadClusterSpec = typed(&merged, report)?;
    check::cluster(&Located { spec: &spec, tree: &merged, name: name_span }, names, report);
    Some(spec)
}

/// The values of a tree that was found right. Were the schema and the structs ever to disagree, that is reported as
/// what it is, at the start of the document.
fn typed<T: DeserializeOwned>(tree: &Node, report: &mut Report<'_>) -> Option<T> {
    serde_json::from_value(tree.to_json())
        .map_err(|error| {
            let start = Span { end: tree.span.start, ..tree.span };
            report.error(start, format!("the document cannot be read: {error}"));
        })
        .ok()
}

#[cfg(test)]
mod tests;
