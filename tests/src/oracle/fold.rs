//! What the views, lists and counters should be: folds of the stored events, written for this alone.

mod order;
mod payment;
mod product;
mod user;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Found, murmur2::partition_of, postgres::Stored};
use crate::{context::Context, ledger::Entry, stack::PARTITIONS};

/// A view as it should be, and what it puts into lists and counters.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) version: u64,
    pub(super) owner: Uuid,
    pub(super) json: Value,
    /// Lists that it is in: the list's name and the bytes of its member.
    pub(super) lists: Vec<(String, Vec<u8>)>,
    /// A unique value that is its own: the name of the hash, and the value.
    pub(super) owns: Option<(&'static str, String)>,
    /// What it counts for: the counters' name, the field, and the amount.
    pub(super) counts: Vec<(&'static str, String, i64)>,
    /// The version from which on it is parked.
    pub(super) parked: Option<u64>,
    /// Events folded.
    pub(super) events: u64,
}

/// All views by stream.
pub(super) type Views = BTreeMap<(Context, Uuid), View>;

/// Personal data as clients sent it, by stream and version.
type Personal<'a> = HashMap<(Uuid, u64), &'a BTreeMap<&'static str, String>>;

/// Folds everything that is stored.
pub(super) fn fold(
    contexts: &[Found],
    entries: &[Entry],
    parked: &BTreeMap<(Context, Uuid), u64>,
    findings: &mut Vec<String>,
) -> Views {
    let users = entries.iter().filter(|entry| entry.context == Context::Users);
    let personal: Personal<'_> =
        users.flat_map(|entry| entry.versions().map(|(version, fact)| ((entry.id, version), &fact.personal))).collect();
    let mut views = Views::new();
    for Found { context, stored, .. } in contexts {
        let mut streams: BTreeMap<Uuid, Vec<&Stored>> = BTreeMap::new();
        for event in stored {
            streams.entry(event.stream).or_default().push(event);
        }
        // Of a stream that the test made up nothing is stored, but it is parked all the same.
        for (_, stream) in parked.keys().filter(|(of, _)| of == context) {
            streams.entry(*stream).or_default();
        }
        for (stream, mut events) in streams {
            events.sort_unstable_by_key(|event| event.version);
            let until = parked.get(&(*context, stream)).copied();
            events.retain(|event| until.is_none_or(|until| event.version < until));
            let folded = match context {
                Context::Users => user::fold(stream, &events, &personal),
                Context::Products => product::fold(stream, &events),
                Context::Orders => order::fold(stream, &events),
                Context::Payments => payment::fold(stream, &events),
            };
            match folded {
                Ok(mut view) => {
                    view.version = events.last().map_or(0, |event| event.version);
                    view.events = events.len() as u64;
                    view.parked = until;
                    view.json["version"] = view.version.into();
                    view.json["id"] = stream.to_string().into();
                    views.insert((*context, stream), view);
                }
                Err(error) => findings.push(format!("fold {context}: {stream}: {error}")),
            }
        }
    }
    views
}

/// The partition of a stream.
pub(super) fn partition(stream: Uuid) -> i32 {
    partition_of(stream.to_string().as_bytes(), PARTITIONS)
}

/// A time as the views have it.
fn time(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

/// A member that sorts by a number: 16 digits of it, moved so that negative ones sort first, and the id.
fn ranked(number: i64, id: Uuid) -> Vec<u8> {
    let moved = i128::from(number) + (1_i128 << 63);
    format!("{moved:016x}{}", id.simple()).into_bytes()
}

/// A number in an event.
fn number(value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{value} is no number"))
}
