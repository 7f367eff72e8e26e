//! OpenAPI documents: paths, methods, parameters, bodies and statuses.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::Value;

use crate::{
    Break, Document,
    place::escaped,
    schema::{Comparison, Direction},
};

/// What of `new` breaks what `old` promised.
pub(crate) fn compare(old: &Document, new: &Document, today: NaiveDate) -> Vec<Break> {
    let mut comparison = Comparison::new(old, new);
    for (path, item) in old.value()["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let at = format!("/paths/{}/{method}", escaped(path));
            if new.get(&at).is_null() {
                if !is_over(operation, today) {
                    comparison.gone(&at, "was released and is gone");
                }
                continue;
            }
            parameters(&mut comparison, &at);
            body(&mut comparison, &at);
            answers(&mut comparison, &at);
            roles(&mut comparison, &at);
        }
    }
    comparison.finish()
}

/// Whether it was released as deprecated, with a day from which on it may be gone.
fn is_over(operation: &Value, today: NaiveDate) -> bool {
    let sunset = operation["x-sunset"].as_str().and_then(|day| day.parse::<NaiveDate>().ok());
    operation["deprecated"] == true && sunset.is_some_and(|sunset| sunset <= today)
}

fn parameters(comparison: &mut Comparison<'_>, at: &str) {
    let (old, new) = (comparison.old, comparison.new);
    let list = |document: &Document| {
        let parameters = document.get(&format!("{at}/parameters")).as_array().map(Vec::len).unwrap_or_default();
        let places = (0..parameters).map(|number| document.resolved(&format!("{at}/parameters/{number}")));
        // By place and name: `id` may be in the path and in the query.
        places.map(|place| (named(document.get(&place)), place)).collect::<Vec<_>>()
    };
    let (before, after) = (list(old), list(new));
    for (name, place) in &before {
        let Some((_, now)) = after.iter().find(|(other, _)| other == name) else {
            comparison.gone(place, format!("({name}) was released and is gone"));
            continue;
        };
        if new.get(now)["required"] == true && old.get(place)["required"] != true {
            comparison.found(now, format!("({name}) has become required"));
        }
        comparison.schemas(&format!("{place}/schema"), &format!("{now}/schema"), Direction::Accepted);
    }
    for (name, now) in &after {
        let is_new = !before.iter().any(|(other, _)| other == name);
        if is_new && new.get(now)["required"] == true {
            comparison.found(now, format!("({name}) is new and required"));
        }
    }
}

fn named(parameter: &Value) -> String {
    let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("in"), text("name"))
}

fn body(comparison: &mut Comparison<'_>, at: &str) {
    let (before, after) = (format!("{at}/requestBody"), format!("{at}/requestBody"));
    let (old, new) = (comparison.old, comparison.new);
    let (before, after) = (old.resolved(&before), new.resolved(&after));
    match (old.get(&before), new.get(&after)) {
        (Value::Null, Value::Null) => {}
        (Value::Null, now) => {
            if now["required"] == true {
                comparison.found(&after, "is new and required");
            }
        }
        (_, Value::Null) => comparison.gone(&before, "was released and is gone"),
        (was, now) => {
            if now["required"] == true && was["required"] != true {
                comparison.found(&after, "has become required");
            }
            contents(comparison, &before, &after, Direction::Accepted);
        }
    }
}

fn answers(comparison: &mut Comparison<'_>, at: &str) {
    let (old, new) = (comparison.old, comparison.new);
    for status in old.get(&format!("{at}/responses")).as_object().into_iter().flat_map(|answers| answers.keys()) {
        let place = format!("{at}/responses/{status}");
        if new.get(&place).is_null() {
            comparison.gone(&place, "was released and is not answered any more");
            continue;
        }
        let (before, after) = (old.resolved(&place), new.resolved(&place));
        contents(comparison, &before, &after, Direction::Sent);
        headers(comparison, &before, &after);
    }
}

/// Each header that an answer had, it must still have, and always where it always had it.
fn headers(comparison: &mut Comparison<'_>, before: &str, after: &str) {
    let (old, new) = (comparison.old, comparison.new);
    for name in old.get(before)["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        let of = format!("headers/{}", escaped(name));
        let (was, now) = (old.resolved(&format!("{before}/{of}")), new.resolved(&format!("{after}/{of}")));
        if new.get(&now).is_null() {
            comparison.gone(&was, "was released and is gone");
            continue;
        }
        if old.get(&was)["required"] == true && new.get(&now)["required"] != true {
            comparison.found(&now, "was always there and may be missing");
        }
        comparison.schemas(&format!("{was}/schema"), &format!("{now}/schema"), Direction::Sent);
    }
}

/// Each media type that was there must still be there.
fn contents(comparison: &mut Comparison<'_>, before: &str, after: &str, direction: Direction) {
    let (old, new) = (comparison.old, comparison.new);
    for media in old.get(before)["content"].as_object().into_iter().flat_map(|contents| contents.keys()) {
        let (was, now) = (format!("{before}/content/{}", escaped(media)), format!("{after}/content/{}", escaped(media)));
        if new.get(&now).is_null() {
            comparison.gone(&was, "was released and is gone");
            continue;
        }
        comparison.schemas(&format!("{was}/schema"), &format!("{now}/schema"), direction);
        // Lines of a stream, and the events of one, by our own extensions.
        let events = old.get(&was)["x-events"].as_object().into_iter().flat_map(|events| events.keys());
        let events = events.map(|event| format!("x-events/{}", escaped(event)));
        let line = old.get(&was).get("x-line").map(|_| "x-line".to_owned());
        for of in line.into_iter().chain(events) {
            let (was, now) = (format!("{was}/{of}"), format!("{now}/{of}"));
            if new.get(&now).is_null() {
                comparison.gone(&was, "was released and is gone");
            } else {
                comparison.schemas(&was, &now, direction);
            }
        }
    }
}

/// Who could call an operation can still call it.
fn roles(comparison: &mut Comparison<'_>, at: &str) {
    let place = format!("{at}/x-roles");
    let list = |document: &Document| {
        let roles = document.get(&place).as_array()?;
        Some(roles.iter().filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>())
    };
    // No roles: everyone.
    match (list(comparison.old), list(comparison.new)) {
        (None, Some(_)) => comparison.found(&place, "is new: everyone could call it"),
        (Some(before), Some(after)) => {
            for role in before.difference(&after) {
                comparison.found(&place, format!("does not let {role} in any more"));
            }
        }
        (_, None) => {}
    }
}
