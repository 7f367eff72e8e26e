//! How dead letters are written on a terminal.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Answer, Entry, Listing};
use crate::text::table;

/// Characters of a cause in a table.
const CAUSE: usize = 100;

/// Groups, and then streams.
pub(super) fn listing(listing: &Listing) -> String {
    if listing.total == 0 {
        return "no dead letters\n".to_owned();
    }
    let mut text = format!("{} parked streams in {} groups\n\n", listing.total, listing.groups.len());
    let heads = ["group", "streams", "context", "type", "first", "last"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for group in &listing.groups {
        let cells =
            [&group.fingerprint, &group.streams.to_string(), &group.context, &group.event_type, &group.first, &group.last];
        rows.push(cells.map(Clone::clone).to_vec());
    }
    text += &table(&rows);
    text.push('\n');
    for group in &listing.groups {
        let _ = writeln!(text, "  {}: {}", group.fingerprint, cut(&group.cause));
    }
    text.push('\n');
    let mut rows = vec![["stream", "group", "version", "attempts", "waiting", "first", "last"].map(str::to_owned).to_vec()];
    rows.extend(listing.dead_letters.iter().map(|entry| {
        let numbers = [entry.version, entry.attempts.into(), entry.waiting].map(|number| number.to_string());
        let [version, attempts, waiting] = numbers;
        vec![entry.name(), entry.fingerprint.clone(), version, attempts, waiting, entry.first.clone(), entry.last.clone()]
    }));
    text += &table(&rows);
    if listing.dead_letters.len() < listing.total {
        let _ = writeln!(text, "  … and {} more (--limit)", listing.total - listing.dead_letters.len());
    }
    text
}

/// One stream.
pub(super) fn details(entry: &Entry, found: &Value) -> String {
    let mut text = format!("{}\n", entry.name());
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<10}{value}");
    };
    line("view", &format!("at version {}, stale", found["view_version"]));
    line("parked at", &format!("version {} ({}), with {} events waiting", entry.version, entry.event_type, entry.waiting));
    line("cause", &entry.cause);
    line("group", &entry.fingerprint);
    line("attempts", &format!("{}, first {}, last {}", entry.attempts, entry.first, entry.last));
    if let Some(discarded) = &entry.discarded {
        line(
            "discarded",
            &format!("{} by {}: {}", plain(&discarded["at"]), plain(&discarded["by"]), plain(&discarded["reason"])),
        );
    }
    let redacted = found["redacted"].as_array().into_iter().flatten().map(plain).collect::<Vec<_>>().join(", ");
    line("redacted", &redacted);
    match found["events"].as_array() {
        None => text += "\nthe command service does not say which events wait\n",
        Some(events) => {
            text += "\nevents in the store that wait\n";
            let row = |event: &Value| vec![plain(&event["version"]), plain(&event["type"]), plain(&event["recorded_at"])];
            text += &table(&events.iter().map(row).collect::<Vec<_>>());
        }
    }
    if found["operations"].as_array().is_some_and(|operations| !operations.is_empty()) {
        text += "\nwhat was done\n";
        text += &operations(&found["operations"]);
    }
    text
}

/// Who did what, and what came of it.
pub(super) fn operations(operations: &Value) -> String {
    let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    if operations.is_empty() {
        return "nothing was done\n".to_owned();
    }
    let mut rows = vec![["when", "who", "what", "stream", "outcome", "version", "why"].map(str::to_owned).to_vec()];
    for operation in operations {
        let at = operation["at"].as_i64().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
        let reason = [&operation["reason"], &operation["cause"]].into_iter().find_map(Value::as_str).unwrap_or_default();
        rows.push(vec![
            at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            plain(&operation["by"]),
            plain(&operation["action"]),
            format!("{}/{}", plain(&operation["context"]), plain(&operation["stream"])),
            plain(&operation["outcome"]),
            plain(&operation["version"]),
            cut(reason),
        ]);
    }
    table(&rows)
}

/// What became of one stream, and what a dry run found.
pub(super) fn answer(stream: &str, answer: &Answer) -> String {
    let mut text = format!("{stream}: {}", answer.outcome);
    if answer.events > 0 {
        let _ = write!(text, ", {} events folded, view at version {}", answer.events, answer.version);
    }
    if let Some(cause) = &answer.cause {
        let _ = write!(text, ": {}", cut(cause));
    }
    if answer.entries > 0 {
        let _ = write!(text, ", {} wrong entries of lists and owners", answer.entries);
    }
    for change in &answer.changes {
        let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        let place = if change.path.is_empty() { "the whole view" } else { &change.path };
        let _ = write!(text, "\n    {place}: {} → {}", side(&change.before), side(&change.after));
    }
    if !answer.redacted.is_empty() {
        let _ = write!(text, "\n    (not shown, because it is personal: {})", answer.redacted.join(", "));
    }
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    if text.chars().count() <= CAUSE {
        return text.to_owned();
    }
    text.chars().take(CAUSE).chain(['…']).collect()
}
