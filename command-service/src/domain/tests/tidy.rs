//! The domain's files keep their promises: no I/O, not async, no clock, no randomness, no event passed over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use events::Context;

/// What no file of the domain may name, tests aside.
const FORBIDDEN: [&str; 26] = [
    "async ",
    ".await",
    "tokio",
    "futures",
    "sqlx",
    "rdkafka",
    "redis",
    "axum",
    "reqwest",
    "tracing",
    "fastrand",
    "rand::",
    "chrono",
    "Utc",
    "SystemTime",
    "Instant",
    "Uuid::new",
    "Uuid::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "crate::application",
    "crate::inbound",
    "crate::outbound",
    "println!",
];

/// A wildcard would pass over an event, a command or a status that is added later.
const WILDCARDS: [&str; 2] = ["_ =>", "_ if "];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The domain's files, tests aside.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("domain.rs")];
    sources(&root.join("domain"), &mut files);
    files.retain(|path| !path.components().any(|part| part.as_os_str() == "tests") && !path.ends_with("tests.rs"));
    files
}

/// The code of a file without its comments, line by line.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_domain_is_pure_and_matches_everything_by_name() {
    let files = files();
    assert!(files.len() > 9, "the domain's files were not found");
    for path in files {
        for (number, line) in (1..).zip(code(&path)) {
            let found = FORBIDDEN.iter().chain(&WILDCARDS).find(|word| line.contains(**word));
            assert!(found.is_none(), "{}:{number} has `{}`", path.display(), found.unwrap_or(&""));
        }
    }
}

#[test]
fn every_aggregate_denies_wildcards_to_clippy() {
    let mut found = 0;
    for path in files() {
        let code = code(&path);
        if code.iter().any(|line| line.starts_with("impl Aggregate for ")) {
            found += 1;
            assert!(code.contains(&"#![deny(clippy::wildcard_enum_match_arm)]".to_owned()), "{}", path.display());
        }
    }
    assert!(found >= Context::ALL.len(), "each context has an aggregate, and {found} were found");
}
