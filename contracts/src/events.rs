//! Event schemas: a published type keeps its shape for ever.

use serde_json::Value;

use crate::{Break, Document, place::escaped};

/// Keywords that say something to people and nothing to validators.
const ANNOTATIONS: [&str; 5] = ["$comment", "$id", "$schema", "description", "title"];

/// Keywords below which come names that people chose.
const NAMED: [&str; 2] = ["properties", "$defs"];

/// Every difference that is more than words.
pub(crate) fn compare(old: &Document, new: &Document) -> Vec<Break> {
    let mut breaks = Vec::new();
    differences(old, new, "", false, &mut breaks);
    breaks
}

fn differences(old: &Document, new: &Document, at: &str, is_named: bool, breaks: &mut Vec<Break>) {
    match (old.get(at), new.get(at)) {
        (Value::Object(before), Value::Object(after)) => {
            let counts = |name: &&String| is_named || !ANNOTATIONS.contains(&name.as_str());
            for name in before.keys().filter(counts) {
                let below = format!("{at}/{}", escaped(name));
                if after.contains_key(name) {
                    differences(old, new, &below, !is_named && NAMED.contains(&name.as_str()), breaks);
                } else {
                    breaks.push(old.at(&below, "was published and is gone"));
                }
            }
            let added = after.keys().filter(counts).filter(|name| !before.contains_key(*name));
            breaks.extend(added.map(|name| new.at(&format!("{at}/{}", escaped(name)), "was not published with this version")));
        }
        (before, after) if before != after => {
            breaks.push(new.at(at, format!("is {after} and was published as {before}")));
        }
        _ => {}
    }
}
