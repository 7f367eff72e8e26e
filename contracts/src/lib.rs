//! What was released is a promise: compares the descriptions of interfaces (OpenAPI) and the schemas of events with those of the
//! last release, and names what breaks it. What is added passes.
//!
//! Requests and answers break in different ways. What is accepted must not become less: no new required field, no narrower type.
//! What is sent must not become less either, nor become something else: no field gone or no longer certain, no other type, no
//! looser bound. A new value of an enumeration passes where it is sent, for callers are told to expect it. Events are read by
//! everybody for ever: their schemas don't change at all, but for words.

mod events;
mod interface;
mod place;
mod schema;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, bail};
use chrono::NaiveDate;
use serde_json::Value;

pub use place::{Break, Document};

/// Compares all of a folder (`openapi/*.json`, `events/*.json`) with all of another, that of the last release. What was released as
/// deprecated may be gone from its sunset on.
///
/// Fails when a folder can't be read, or when there is nothing to compare.
pub fn compare(released: &Path, current: &Path, today: NaiveDate) -> anyhow::Result<Vec<Break>> {
    let mut breaks = Vec::new();
    let mut compared = 0;
    for folder in ["openapi", "events"] {
        for name in json_files(&released.join(folder))? {
            let old = read(&released.join(folder).join(&name))?;
            let path = current.join(folder).join(&name);
            compared += 1;
            if !path.is_file() {
                breaks.push(old.at("", "is gone"));
                continue;
            }
            let new = read(&path)?;
            breaks.extend(if folder == "events" { events::compare(&old, &new) } else { interface::compare(&old, &new, today) });
        }
    }
    if compared == 0 {
        bail!("nothing was released in {}", released.display());
    }
    Ok(breaks)
}

/// The names of the JSON files in a folder, sorted; none when there is no such folder.
fn json_files(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    if !folder.is_dir() {
        return Ok(BTreeSet::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| name.ends_with(".json")).map(str::to_owned));
    }
    Ok(names)
}

fn read(path: &Path) -> anyhow::Result<Document> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    Ok(Document::new(path.display().to_string(), value))
}
