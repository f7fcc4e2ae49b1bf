//! Rules about source files.

use anyhow::Result;

use super::{File, Findings, Repository};

const MOST_LINES: usize = 500;
const LANGUAGES: &[&str] = &["rs", "go", "sh", "py"];

/// Where a rule knows an exception, with the reason.
struct Exception {
    path: &'static str,
    #[allow(dead_code, reason = "for the reader")]
    why: &'static str,
}

impl Exception {
    const fn new(path: &'static str, why: &'static str) -> Self {
        Self { path, why }
    }
}

fn excepted(path: &str, exceptions: &[Exception]) -> bool {
    exceptions.iter().any(|exception| path.starts_with(exception.path))
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "benches")
        || path.ends_with("/tests.rs")
        || path.ends_with("_test.go")
}

fn is_generated(file: &File) -> bool {
    file.text.lines().take(5).any(|line| line.contains("@generated"))
}

/// The lines of a Rust file before its module of unit tests, numbered from 1; other files in full.
fn code(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<_> = file.text.lines().collect();
    let tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests");
    let end = match file.path.ends_with(".rs") {
        true => lines.windows(2).position(tests).unwrap_or(lines.len()),
        false => lines.len(),
    };
    lines.into_iter().take(end).enumerate().map(|(index, line)| (index + 1, line))
}

/// The ordinary code of our crates: no tests, nothing generated, no comments.
fn crate_code(repository: &Repository) -> impl Iterator<Item = (&File, usize, &str)> {
    let ours = |file: &&File| {
        let rust = file.path.starts_with("crates/") && file.path.ends_with(".rs");
        rust && !is_test(&file.path) && !is_generated(file)
    };
    repository.files.iter().filter(ours).flat_map(|file| {
        let comment = |line: &str| line.trim_start().starts_with("//");
        code(file).filter(move |(_, line)| !comment(line)).map(move |(number, line)| (file, number, line))
    })
}

fn lines_with(repository: &Repository, words: &[&str], exceptions: &[Exception], advice: &str) -> Findings {
    crate_code(repository)
        .filter(|(file, _, _)| !excepted(&file.path, exceptions))
        .filter_map(|(file, number, line)| {
            let word = words.iter().find(|word| line.contains(**word))?;
            Some(format!("{}:{number}: `{word}`: {advice}", file.path))
        })
        .collect()
}

/// A file is as long as a person can hold in mind.
pub(super) fn file_length(repository: &Repository) -> Result<Findings> {
    let mut findings = Vec::new();
    for file in &repository.files {
        let source = file.path.rsplit_once('.').is_some_and(|(_, extension)| LANGUAGES.contains(&extension));
        if !source || is_test(&file.path) || is_generated(file) {
            continue;
        }
        let lines = code(file).count();
        if lines > MOST_LINES {
            findings.push(format!(
                "{}: {lines} lines without its tests, {MOST_LINES} at most: split it",
                file.path
            ));
        }
    }
    Ok(findings)
}

/// Only the engine waits: everything else returns `Waiting`, or takes a clock.
pub(super) fn time(repository: &Repository) -> Result<Findings> {
    let exceptions = [
        Exception::new("crates/capstan-engine/", "its clock and its driver wait for everybody"),
        Exception::new("crates/capstan-sandbox/src/", "plays services that take their time"),
    ];
    let words = ["time::sleep(", "time::sleep_until(", "thread::sleep("];
    Ok(lines_with(repository, &words, &exceptions, "time belongs to the engine"))
}

/// Libraries take settings; only the binary reads the environment, and only it ends the process.
pub(super) fn environment(repository: &Repository) -> Result<Findings> {
    let exceptions =
        [Exception::new("crates/capstan/", "resolves flags, environment and files into settings")];
    let words = ["env::var", "env::vars", "env::home_dir", "process::exit("];
    Ok(lines_with(repository, &words, &exceptions, "libraries take settings, and return errors"))
}

/// Libraries report events; only the binary's printer writes to the terminal.
pub(super) fn printing(repository: &Repository) -> Result<Findings> {
    let exceptions =
        [Exception::new("crates/capstan/src/", "clippy's print lints hold there, the printer excepted")];
    let words = ["println!(", "print!(", "eprintln!(", "eprint!(", "io::stdout()", "io::stderr()"];
    Ok(lines_with(repository, &words, &exceptions, "libraries report events, they don't print"))
}

/// Text files end with one newline.
pub(super) fn last_newline(repository: &Repository) -> Result<Findings> {
    let unfinished =
        |file: &&File| !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n"));
    let snapshots = |file: &&File| !file.path.ends_with(".snap");
    Ok(repository
        .files
        .iter()
        .filter(|file| !file.path.contains("/fixtures/"))
        .filter(snapshots)
        .filter(unfinished)
        .map(|file| format!("{}: ends with no newline or with several", file.path))
        .collect())
}

/// Nothing names the machine or the network that somebody worked on.
pub(super) fn foreign_places(repository: &Repository) -> Result<Findings> {
    // Written in halves, so that this file does not name them either.
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/.cargo"),
        concat!("/ro", "ot/go/"),
        concat!("/var/tmp/lo", "gs"),
        concat!("GOPR", "OXY="),
        concat!("index-", "url"),
        concat!("replace-", "with ="),
    ];
    let mut findings = Vec::new();
    for file in &repository.files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(format!(
                    "{}:{}: `{word}` is at home on one machine only",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::sample;

    #[test]
    fn unit_tests_do_not_count_as_length() {
        let code = "fn f() {}\n".repeat(MOST_LINES);
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        let long = format!("{code}fn one_more() {{}}\n");
        let repository = sample(&[
            ("crates/a/src/fits.rs", &format!("{code}{tests}")),
            ("crates/a/src/long.rs", &long),
            ("crates/a/tests/long.rs", &long),
            ("crates/a/src/made.rs", &format!("// @generated by codegen\n{long}")),
            ("docs/long.md", &long),
        ]);
        let findings = file_length(&repository).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("crates/a/src/long.rs: 501 lines"));
    }

    #[test]
    fn waiting_belongs_to_the_engine() {
        let waits = "async fn f() { tokio::time::sleep(D).await }\n";
        let repository = sample(&[
            ("crates/capstan-engine/src/clock.rs", waits),
            ("crates/capstan-kube/src/wait.rs", waits),
            ("crates/capstan-kube/tests/wait.rs", waits),
            ("crates/capstan-kube/src/says.rs", "/// Unlike tokio::time::sleep(…) this returns.\n"),
        ]);
        let findings = time(&repository).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("crates/capstan-kube/src/wait.rs:1"));
    }

    #[test]
    fn libraries_neither_print_nor_read_the_environment() {
        let text = "fn f() { println!(\"{:?}\", std::env::var(\"HOME\")); }\n";
        let repository =
            sample(&[("crates/capstan-core/src/f.rs", text), ("crates/capstan/src/printer.rs", text)]);
        assert_eq!(printing(&repository).unwrap().len(), 1);
        assert_eq!(environment(&repository).unwrap().len(), 1);
    }

    #[test]
    fn the_last_line_ends() {
        let repository = sample(&[("a.md", "a"), ("b.md", "b\n"), ("c.md", "c\n\n"), ("empty", "")]);
        let findings = last_newline(&repository).unwrap();
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn a_machine_of_somebody_is_not_named() {
        let path = ["see /wo", "rk/notes\n"].concat();
        let findings =
            foreign_places(&sample(&[("docs/a.md", &path), ("docs/b.md", "see the work\n")])).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}
