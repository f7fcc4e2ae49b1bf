//! Rules about the crates and who may know whom.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Findings, Repository};
use crate::run::{cargo, output};

/// What each crate may use of ours in its ordinary code. Tests may use more (the sandbox, mostly).
const MAY_USE: &[(&str, &[&str])] = &[
    ("capstan-core", &[]),
    ("capstan-engine", &["capstan-core"]),
    ("capstan-openstack", &[]),
    ("capstan-kube-types", &[]),
    ("capstan-kube", &["capstan-kube-types"]),
    (
        "capstan-management",
        &["capstan-core", "capstan-engine", "capstan-kube", "capstan-kube-types", "capstan-openstack"],
    ),
    (
        "capstan-clusters",
        &["capstan-core", "capstan-engine", "capstan-kube", "capstan-kube-types", "capstan-openstack"],
    ),
    // The sandbox answers our clients: built on them, it would share their mistakes.
    ("capstan-sandbox", &[]),
    (
        "capstan-harness",
        &[
            "capstan-core",
            "capstan-engine",
            "capstan-openstack",
            "capstan-kube",
            "capstan-management",
            "capstan-clusters",
            "capstan-sandbox",
        ],
    ),
    ("capstan-contract", &["capstan-kube", "capstan-kube-types", "capstan-openstack"]),
    (
        "capstan-cli",
        &[
            "capstan-core",
            "capstan-engine",
            "capstan-openstack",
            "capstan-kube-types",
            "capstan-kube",
            "capstan-management",
            "capstan-clusters",
            "capstan-sandbox",
        ],
    ),
    ("xtask", &[]),
];

/// What the pure crate must never reach, not even through others.
const NOT_IN_CORE: &[&str] =
    &["tokio", "reqwest", "hyper", "kube", "k8s-openapi", "jiff", "chrono", "tracing"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    manifest_path: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: String,
}

fn packages() -> Result<Vec<Package>> {
    let text = output(&mut cargo(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("read `cargo metadata`")?;
    Ok(metadata.packages)
}

/// Dependencies between the crates go one way only.
pub(super) fn direction(_: &Repository) -> Result<Findings> {
    Ok(wrong_ways(&packages()?))
}

fn wrong_ways(packages: &[Package]) -> Findings {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            findings
                .push(format!("crate `{}` is not in the table of xtask/src/tidy/crates.rs", package.name));
            continue;
        };
        for dependency in
            package.dependencies.iter().filter(|d| d.path.is_some() && d.kind.as_deref() != Some("dev"))
        {
            if !allowed.contains(&dependency.name.as_str()) {
                findings.push(format!("`{}` must not depend on `{}`", package.name, dependency.name));
            }
        }
    }
    findings
}

/// The core stays free of clocks, networks and runtimes.
pub(super) fn pure_core(_: &Repository) -> Result<Findings> {
    let arguments =
        ["tree", "--package=capstan-core", "--edges=normal", "--prefix=none", "--format={lib}", "--locked"];
    let tree = output(&mut cargo(arguments))?;
    let reached = |name: &&&str| tree.lines().any(|line| line.trim() == name.replace('-', "_"));
    Ok(NOT_IN_CORE.iter().filter(reached).map(|name| format!("`capstan-core` reaches `{name}`")).collect())
}

/// Every crate says what it is for.
pub(super) fn crate_docs(_: &Repository) -> Result<Findings> {
    let mut findings = Vec::new();
    for package in packages()? {
        for target in
            package.targets.iter().filter(|t| t.kind.iter().any(|kind| kind == "lib" || kind == "bin"))
        {
            let text = std::fs::read_to_string(&target.src_path)?;
            if !text.starts_with("//! ") {
                findings.push(format!(
                    "{} does not begin with `//! ` and what the crate is for",
                    target.src_path
                ));
            }
        }
    }
    Ok(findings)
}

/// Every crate has its place on the map, and nothing else has.
pub(super) fn crate_map(repository: &Repository) -> Result<Findings> {
    let Some(map) = repository.file("ARCHITECTURE.md") else {
        return Ok(vec!["ARCHITECTURE.md is missing".into()]);
    };
    let mut folders = Vec::new();
    for package in packages()? {
        let folder = std::path::Path::new(&package.manifest_path)
            .parent()
            .and_then(|p| p.strip_prefix(&repository.root).ok());
        folders.extend(folder.map(|f| f.to_string_lossy().into_owned()));
    }
    Ok(unmapped(&folders, &map.text))
}

fn unmapped(folders: &[String], map: &str) -> Findings {
    let headings: Vec<_> =
        map.lines().filter_map(|line| line.strip_prefix("### `")?.split('`').next()).collect();
    let mut findings: Vec<_> = folders
        .iter()
        .filter(|folder| !headings.contains(&folder.as_str()))
        .map(|folder| format!("ARCHITECTURE.md has no heading for `{folder}`"))
        .collect();
    for heading in headings.iter().filter(|heading| heading.starts_with("crates/")) {
        if !folders.iter().any(|folder| folder == heading) {
            findings.push(format!("ARCHITECTURE.md describes `{heading}`, which is not there"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).into(),
                kind: kind.map(Into::into),
                path: name.starts_with("capstan").then(|| "somewhere".into()),
            })
            .collect();
        Package { name: name.into(), dependencies, manifest_path: String::new(), targets: Vec::new() }
    }

    #[test]
    fn a_dependency_against_the_direction_is_found() {
        let packages = [
            package("capstan-core", &[("serde", None), ("capstan-engine", None)]),
            package("capstan-sandbox", &[("capstan-openstack", Some("dev"))]),
            package("capstan-new", &[]),
        ];
        let findings = wrong_ways(&packages);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(findings[0], "`capstan-core` must not depend on `capstan-engine`");
        assert!(findings[1].contains("`capstan-new` is not in the table"));
    }

    #[test]
    fn the_map_and_the_crates_are_compared_both_ways() {
        let map = "# Map\n\n### `crates/capstan-core`: the documents\n\n### `crates/capstan-gone`\n";
        let findings = unmapped(&["crates/capstan-core".into(), "crates/capstan-new".into()], map);
        assert_eq!(
            findings,
            [
                "ARCHITECTURE.md has no heading for `crates/capstan-new`",
                "ARCHITECTURE.md describes `crates/capstan-gone`, which is not there"
            ]
        );
    }
}
