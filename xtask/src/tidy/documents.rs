//! Rules about the documents.

use std::path::Path;

use anyhow::Result;

use super::{Findings, RULES, Repository};

/// Links between the documents lead somewhere.
pub(super) fn links(repository: &Repository) -> Result<Findings> {
    let mut findings = Vec::new();
    for file in repository.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for (number, target) in targets(&file.text) {
            if !repository.root.join(folder).join(&target).exists() {
                findings.push(format!("{}:{number}: `{target}` is not there", file.path));
            }
        }
    }
    Ok(findings)
}

/// The files that a Markdown text links to, with the lines; addresses and places on the same page are left out.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains(':') {
                found.push((index + 1, file.to_owned()));
            }
        }
    }
    found
}

/// The change log has a place for what comes next.
pub(super) fn changelog(repository: &Repository) -> Result<Findings> {
    let next = |text: &str| text.lines().any(|line| line == "## [Unreleased]");
    Ok(match repository.file("CHANGELOG.md") {
        Some(file) if next(&file.text) => Vec::new(),
        _ => vec!["CHANGELOG.md has no heading `## [Unreleased]`".into()],
    })
}

/// An invariant of the architecture names what checks it: a rule of tidy, a lint, or a file with tests.
pub(super) fn invariants(repository: &Repository) -> Result<Findings> {
    let Some(map) = repository.file("ARCHITECTURE.md") else {
        return Ok(vec!["ARCHITECTURE.md is missing".into()]);
    };
    let rules: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    let lints = repository.file("Cargo.toml").map_or("", |file| &file.text);
    let exists = |path: &str| repository.file(path).is_some();
    Ok(unchecked(&map.text, &rules, lints, exists))
}

fn unchecked(map: &str, rules: &[&str], lints: &str, exists: impl Fn(&str) -> bool) -> Findings {
    let mut findings = Vec::new();
    let mut count = 0;
    for paragraph in map.split("\n\n") {
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((_, invariant)) = paragraph.split_once("**Architecture Invariant:**") else { continue };
        count += 1;
        let short: String = invariant.trim().chars().take(60).collect();
        let Some((_, checks)) = invariant.rsplit_once("Checked by ") else {
            findings.push(format!("the invariant \"{short}…\" does not say what it is checked by"));
            continue;
        };
        for check in checks.split('`').skip(1).step_by(2) {
            let known = match check.split_once(' ') {
                Some(("tidy", rule)) => rules.contains(&rule),
                Some(("lint", lint)) => lints.contains(lint),
                _ => exists(check),
            };
            if !known {
                findings.push(format!("the invariant \"{short}…\" names `{check}`, which is not there"));
            }
        }
    }
    if count == 0 {
        findings.push("ARCHITECTURE.md states no invariant".into());
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_and_to_other_sites_are_left_alone() {
        let text = "[a](docs/a.md) and [b](https://example.org/b) and [c](#c) and [d](d.md#part)\n```\n[e](e.md)\n```\n";
        assert_eq!(targets(text), [(1, "docs/a.md".to_owned()), (1, "d.md".to_owned())]);
    }

    #[test]
    fn an_invariant_names_a_check_that_exists() {
        let map = "**Architecture Invariant:** one. Checked\nby `tidy direction` and `tests/one.rs`.\n\n\
                   **Architecture Invariant:** two. Checked by `tidy nothing`.\n\n\
                   **Architecture Invariant:** three.\n";
        let findings = unchecked(map, &["direction"], "", |path| path == "tests/one.rs");
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("names `tidy nothing`"));
        assert!(findings[1].contains("does not say"));
    }
}
