//! Rules about what Cargo.lock and `cargo tree` show.

use anyhow::Result;

use super::{Findings, Repository};
use crate::run::{cargo, output};

/// Second TLS stacks, and second cryptography beside aws-lc-rs.
const NOT_USED: &[&str] =
    &["openssl", "openssl-sys", "native-tls", "schannel", "security-framework-sys", "ring"];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One TLS stack: rustls on aws-lc-rs. What the lock file names only for features that are off does not count.
pub(super) fn one_tls(_: &Repository) -> Result<Findings> {
    let arguments = ["tree", "--workspace", "--edges=normal", "--prefix=none", "--format={p}", "--locked"];
    Ok(second_stacks(&output(&mut cargo(arguments))?))
}

fn second_stacks(tree: &str) -> Findings {
    let mut found: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| NOT_USED.contains(name))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|name| format!("`{name}` is built in: `cargo tree -i {name}` tells by whom"))
        .collect()
}

/// Crates come from crates.io, not from a mirror or a fork.
pub(super) fn public_registry(repository: &Repository) -> Result<Findings> {
    let mut findings = Vec::new();
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        match repository.file(path) {
            Some(lock) => findings.extend(foreign_sources(path, &lock.text)),
            None => findings.push(format!("{path} is missing")),
        }
    }
    Ok(findings)
}

fn foreign_sources(path: &str, lock: &str) -> Findings {
    lock.lines()
        .filter_map(|line| line.strip_prefix("source = \"")?.strip_suffix('"'))
        .filter(|source| *source != CRATES_IO)
        .map(|source| format!("{path} takes something from `{source}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_tls_stack_is_found_once() {
        let tree =
            "kube v5.0.0\nopenssl v0.10.1\nrustls v0.23.0\nopenssl v0.10.1 (*)\nopenssl-probe v0.2.2\n";
        assert_eq!(second_stacks(tree), ["`openssl` is built in: `cargo tree -i openssl` tells by whom"]);
    }

    #[test]
    fn a_mirror_in_the_lock_file_is_found() {
        let lock = format!("source = \"{CRATES_IO}\"\nsource = \"registry+https://mirror.example/index\"\n");
        assert_eq!(
            foreign_sources("Cargo.lock", &lock),
            ["Cargo.lock takes something from `registry+https://mirror.example/index`"]
        );
    }
}
