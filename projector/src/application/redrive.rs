//! What operators ask of single streams, mostly of parked ones, and what the owner of the partition answers. Both lie in the
//! partition's slot: the process that is asked need not be the one that may write there.

use events::{Context, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Entries that the ring of operations keeps, for each partition.
pub const OPERATIONS_KEPT: u64 = 256;

/// What is shown instead of personal data.
const REDACTED: &str = "[redacted]";

/// What to do with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Fold what the event store has after the view.
    Retry,
    /// The same, writing nothing.
    DryRun,
    /// Leave the stream where it is, and trouble nobody with it.
    Discard,
    /// Build the view of a stream that is not parked anew, from all of its history.
    Rebuild,
    /// The same, writing nothing.
    RebuildDryRun,
}

impl Action {
    /// The name in logs and in the record of operations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::DryRun => "dry-run",
            Self::Discard => "discard",
            Self::Rebuild => "rebuild",
            Self::RebuildDryRun => "rebuild-dry-run",
        }
    }
}

/// A request to the owner of a partition, and the answer once there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The stream.
    pub stream: StreamId,
    /// What to do with it.
    pub action: Action,
    /// Who asks: the subject of their token.
    pub by: String,
    /// Why, where they say so.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Until when somebody waits, in milliseconds since 1970: later nothing is done.
    pub deadline: i64,
    /// The process that has begun with it.
    #[serde(default)]
    pub begun: Option<Uuid>,
    /// The answer.
    #[serde(default)]
    pub answer: Option<Answer>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The stream is not parked any more.
    Redriven,
    /// It is parked still, or again at a later event.
    Failed,
    /// A retry would succeed.
    WouldPass,
    /// A retry would fail.
    WouldFail,
    /// It is parked and marked as discarded.
    Discarded,
    /// It was not parked.
    NotParked,
    /// The process that had begun with it ended, or lost the partition.
    Interrupted,
    /// Something that is needed does not answer; nothing was changed, and no attempt is counted.
    Unavailable,
    /// The view was built anew, and is another than it was.
    Rebuilt,
    /// It would be another.
    Differs,
    /// The view is what it should be; nothing was changed.
    Same,
    /// The stream is parked: a rebuild would not change that, and a retry may.
    Parked,
    /// Neither the event store nor the read model has the stream.
    Unknown,
}

impl Outcome {
    /// The name in JSON, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Failed => "failed",
            Self::WouldPass => "would-pass",
            Self::WouldFail => "would-fail",
            Self::Discarded => "discarded",
            Self::NotParked => "not-parked",
            Self::Interrupted => "interrupted",
            Self::Unavailable => "unavailable",
            Self::Rebuilt => "rebuilt",
            Self::Differs => "differs",
            Self::Same => "same",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// In one word.
    pub outcome: Outcome,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The version of the view afterwards; 0 when there is none.
    pub version: u64,
    /// Events that were folded.
    pub events: u64,
    /// Of a dry run: what would change in the view; of a rebuild: what has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Difference>>,
    /// Of a rebuild: places in lists, and owners of unique values, that are wrong as long as the view is at its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Members of the view that are not shown, because they hold personal data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
}

impl Answer {
    /// An answer without more to say.
    #[must_use]
    pub fn of(outcome: Outcome, cause: impl Into<Option<String>>) -> Self {
        Self { outcome, cause: cause.into(), version: 0, events: 0, changes: None, entries: None, redacted: Vec::new() }
    }
}

/// A place in a view that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// A JSON pointer; empty for the whole view.
    pub path: String,
    /// What is there; none for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What would be there; none for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What an operator did, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The context of the stream.
    pub context: Context,
    /// The stream.
    pub stream: StreamId,
    /// What was asked for: `retry`, `discard` or `rebuild`.
    pub action: Action,
    /// By whom: the subject of their token.
    pub by: String,
    /// Why, where they said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was done, in milliseconds since 1970.
    pub at: i64,
    /// What came of it.
    pub outcome: Outcome,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The version of the view afterwards; 0 when there is none.
    pub version: u64,
}

/// What differs between two views, with the values of `personal` members (and what is below them) left out.
#[must_use]
pub fn differences(before: &Value, after: &Value, personal: &[&str]) -> Vec<Difference> {
    use json_patch::PatchOperation as Step;
    let steps = json_patch::diff(before, after).0.into_iter().map(|step| {
        let path = step.path().to_string();
        let was = before.pointer(&path).filter(|value| !value.is_null()).cloned();
        let (before, after) = match step {
            Step::Add(add) => (None, Some(add.value)),
            Step::Replace(replace) => (was, Some(replace.value)),
            // `diff` makes none of the others.
            Step::Remove(_) | Step::Move(_) | Step::Copy(_) | Step::Test(_) => (was, None),
        };
        let redact = |value: Option<Value>| value.map(|value| redacted(&path, value, personal));
        Difference { before: redact(before), after: redact(after), path: path.clone() }
    });
    steps.collect()
}

/// The value at a path of a view without what is personal.
fn redacted(path: &str, mut value: Value, personal: &[&str]) -> Value {
    let is_personal = |name: &str| personal.contains(&name);
    match path.strip_prefix('/') {
        Some(inner) if is_personal(inner.split('/').next().unwrap_or_default()) => REDACTED.into(),
        Some(_) => value,
        None => {
            if let Value::Object(members) = &mut value {
                let hidden = members.iter_mut().filter(|(name, value)| is_personal(name) && !value.is_null());
                hidden.for_each(|(_, value)| *value = REDACTED.into());
            }
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_places_and_hide_what_is_personal() {
        let before = json!({"id": 1, "name": "Ann", "status": "active", "gone": 1});
        let after = json!({"id": 1, "name": "Bea", "status": "deactivated", "new": [1]});
        let found = serde_json::to_value(differences(&before, &after, &["name"])).unwrap();
        let expected = json!([
            {"path": "/gone", "before": 1},
            {"path": "/name", "before": REDACTED, "after": REDACTED},
            {"path": "/status", "before": "active", "after": "deactivated"},
            {"path": "/new", "after": [1]},
        ]);
        let sorted = |value: &Value| {
            let mut list: Vec<String> = value.as_array().unwrap().iter().map(Value::to_string).collect();
            list.sort();
            list
        };
        assert_eq!(sorted(&found), sorted(&expected));
        let whole = differences(&Value::Null, &before, &["name", "email"]);
        assert_eq!(whole.len(), 1);
        let expected = json!({"id": 1, "name": REDACTED, "status": "active", "gone": 1});
        assert_eq!((whole[0].path.as_str(), &whole[0].before, whole[0].after.as_ref()), ("", &None, Some(&expected)));
    }
}
