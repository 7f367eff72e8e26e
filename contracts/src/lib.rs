//! What was released is a promise: compares the descriptions of interfaces (OpenAPI) and topics (AsyncAPI) and the schemas of
//! events with those of the last release, and names what breaks it. What is added passes.
//!
//! Requests and answers break in different ways. What is accepted must not become less: no new required field, no narrower type.
//! What is sent must not become less either, nor become something else: no field gone or no longer certain, no other type, no
//! looser bound. A new value of an enumeration passes where it is sent, for callers are told to expect it. Headers and keys of
//! topics are sent. Events are read by everybody for ever: their schemas don't change at all, but for words.

mod events;
mod interface;
mod place;
mod schema;
mod topics;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chrono::NaiveDate;
use serde_json::Value;

pub use place::{Break, Document};

/// The kinds of descriptions: two folders and a file.
const KINDS: [&str; 3] = ["openapi", "events", "asyncapi.json"];

/// Which kinds of descriptions a released folder must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Each: of the last release none may get lost, for nothing would be held to it.
    All,
    /// Any: an old commit had fewer.
    Any,
}

/// Compares all of a folder (`openapi/*.json`, `events/*.json`, `asyncapi.json`) with all of another, that of the last release.
/// What was released as deprecated may be gone from its sunset on.
///
/// Fails when a folder can't be read, or when the released one lacks a kind of descriptions that it must have.
pub fn compare(released: &Path, current: &Path, kinds: Kinds, today: NaiveDate) -> anyhow::Result<Vec<Break>> {
    let (mut breaks, mut missing) = (Vec::new(), Vec::new());
    for kind in KINDS {
        let names = json_files(released, kind)?;
        if names.is_empty() {
            missing.push(kind);
        }
        for name in names {
            let old = read(&released.join(&name))?;
            let path = current.join(&name);
            if !path.is_file() {
                breaks.push(old.at("", "is gone"));
                continue;
            }
            let new = read(&path)?;
            breaks.extend(match kind {
                "openapi" => interface::compare(&old, &new, today),
                "events" => events::compare(&old, &new),
                _ => topics::compare(&old, &new),
            });
        }
    }
    let is_enough = match kinds {
        Kinds::All => missing.is_empty(),
        Kinds::Any => missing.len() < KINDS.len(),
    };
    if !is_enough {
        bail!("nothing was released in {}: no {}", released.display(), missing.join(", no "));
    }
    Ok(breaks)
}

/// The paths, from the root, of a kind's JSON files, sorted; none when there is no such folder or file.
fn json_files(root: &Path, kind: &str) -> anyhow::Result<BTreeSet<PathBuf>> {
    let path = root.join(kind);
    if !path.is_dir() {
        return Ok(path.is_file().then(|| PathBuf::from(kind)).into_iter().collect());
    }
    let entries = fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = Path::new(kind).join(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == "json") {
            names.insert(name);
        }
    }
    Ok(names)
}

fn read(path: &Path) -> anyhow::Result<Document> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    Ok(Document::new(path.display().to_string(), value))
}
