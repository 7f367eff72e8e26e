//! Two schemas: does the new one keep what the old one promised?

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Break, Document, place::escaped};

/// Which way values of a schema travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// From callers to us: nothing that was valid may be refused.
    Accepted,
    /// From us to callers: nothing may come that was not promised.
    Sent,
}

/// A comparison of two documents, and what it has found.
pub(crate) struct Comparison<'a> {
    pub(crate) old: &'a Document,
    pub(crate) new: &'a Document,
    breaks: BTreeSet<Break>,
    /// What was compared: many operations share a schema, and a schema may have itself inside.
    seen: BTreeSet<(String, String, Direction)>,
}

/// Keywords that bound values from below: a smaller number is looser.
const AT_LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];

/// Keywords that bound values from above: a greater number is looser.
const AT_MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

/// Keywords of which any change is another promise.
const SAME: [&str; 8] = ["format", "pattern", "const", "not", "multipleOf", "uniqueItems", "propertyNames", "prefixItems"];

/// Keywords below which is a list of schemas.
const CHOICES: [&str; 3] = ["oneOf", "anyOf", "allOf"];

/// What a schema says as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// There is none, or it is `true`: anything.
    Anything,
    /// It is `false`.
    Nothing,
    /// It has keywords.
    Something,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(old: &'a Document, new: &'a Document) -> Self {
        Self { old, new, breaks: BTreeSet::new(), seen: BTreeSet::new() }
    }

    /// What was found, by file and line.
    pub(crate) fn finish(self) -> Vec<Break> {
        self.breaks.into_iter().collect()
    }

    /// Something of the old document is missing.
    pub(crate) fn gone(&mut self, at: &str, what: impl Into<String>) {
        self.breaks.insert(self.old.at(at, what));
    }

    /// Something is wrong in the new document.
    pub(crate) fn found(&mut self, at: &str, what: impl Into<String>) {
        self.breaks.insert(self.new.at(at, what));
    }

    /// Compares the schemas at these pointers. Where there was none, anything was accepted, and nothing promised of what is sent.
    pub(crate) fn schemas(&mut self, before: &str, after: &str, direction: Direction) {
        match (says(self.old.get(before)), says(self.new.get(after)), direction) {
            (Says::Something, Says::Something, _) => self.both(before, after, direction),
            (Says::Anything | Says::Something, Says::Nothing, Direction::Accepted) => {
                self.found(after, "refuses what was let through");
            }
            (Says::Anything, Says::Something, Direction::Accepted) => self.found(after, "is new, and anything was let through"),
            (Says::Something, Says::Anything, Direction::Sent) => self.gone(before, "was released and is gone"),
            (Says::Something, Says::Nothing, Direction::Sent) => self.found(after, "lets nothing come any more"),
            // What is accepted became more, or what is sent is told more of; where nothing was, all is an addition.
            _ => {}
        }
    }

    fn both(&mut self, before: &str, after: &str, direction: Direction) {
        // Beside a reference, so before that is followed.
        self.defaults(before, after, direction);
        let (before, was_nullable) = without_null(self.old, before);
        let (after, is_nullable) = without_null(self.new, after);
        let kept = match direction {
            Direction::Accepted => is_nullable || !was_nullable,
            Direction::Sent => is_nullable == was_nullable,
        };
        if !kept {
            self.found(&after, if is_nullable { "may be null" } else { "is null no more" });
        }
        if !self.seen.insert((before.clone(), after.clone(), direction)) {
            return;
        }
        self.types(&before, &after, direction);
        self.values(&before, &after, direction);
        self.bounds(&before, &after, direction);
        self.fields(&before, &after, direction);
        self.patterns(&before, &after, direction);
        self.choices(&before, &after, direction);
        for below in ["items", "additionalProperties"] {
            self.schemas(&format!("{before}/{below}"), &format!("{after}/{below}"), direction);
        }
    }

    /// What is left out means what it did. One that is new may say what was so, or belong to what was required.
    fn defaults(&mut self, before: &str, after: &str, direction: Direction) {
        let (was, now) = (self.old.get(before).get("default"), &self.new.get(after)["default"]);
        if let (Some(was), Direction::Accepted) = (was, direction)
            && was != now
        {
            self.found(&format!("{after}/default"), format!("is {now} and was {was}"));
        }
    }

    /// The kinds of JSON: fewer may not be accepted; exactly the same are sent, for programs are written for these.
    fn types(&mut self, before: &str, after: &str, direction: Direction) {
        let (was, now) = (types(self.old.get(before)), types(self.new.get(after)));
        let accepts = now.is_empty() || (!was.is_empty() && was.iter().all(|name| admits(&now, name)));
        let kept = match direction {
            Direction::Accepted => accepts,
            Direction::Sent => was == now,
        };
        if !kept {
            let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
            self.found(&format!("{after}/type"), format!("is {} and was {}", list(&now), list(&was)));
        }
    }

    /// The values of an enumeration, and of a choice of constants.
    fn values(&mut self, before: &str, after: &str, direction: Direction) {
        let (was, now) = (values(self.old.get(before)), values(self.new.get(after)));
        match (was, now) {
            (Some(was), Some(now)) => {
                for value in was.difference(&now) {
                    self.found(after, format!("has the value {value} no more"));
                }
            }
            (None, Some(_)) if direction == Direction::Accepted => self.found(after, "takes certain values only"),
            (Some(_), None) if direction == Direction::Sent => self.found(after, "may have any value"),
            _ => {}
        }
    }

    fn bounds(&mut self, before: &str, after: &str, direction: Direction) {
        let (old, new) = (self.old, self.new);
        let number = |document: &Document, at: &str, keyword: &str| document.get(at)[keyword].as_f64();
        for (keywords, sign) in [(AT_LEAST, 1.0), (AT_MOST, -1.0)] {
            for keyword in keywords {
                // The greater, the tighter.
                let bound = |number: Option<f64>| number.map_or(f64::NEG_INFINITY, |number| number * sign);
                let (was, now) = (number(old, before, keyword), number(new, after, keyword));
                let broken = match direction {
                    Direction::Accepted => bound(now) > bound(was),
                    Direction::Sent => bound(now) < bound(was),
                };
                if broken {
                    let text = |number: Option<f64>| number.map_or_else(|| "without".to_owned(), |number| number.to_string());
                    self.found(&format!("{after}/{keyword}"), format!("is {} and was {}", text(now), text(was)));
                }
            }
        }
        for keyword in SAME {
            let (was, now) = (&old.get(before)[keyword], &new.get(after)[keyword]);
            let broken = was != now
                && match direction {
                    Direction::Accepted => !now.is_null(),
                    Direction::Sent => !was.is_null(),
                };
            if broken {
                self.found(&format!("{after}/{keyword}"), format!("is {now} and was {was}"));
            }
        }
    }

    fn fields(&mut self, before: &str, after: &str, direction: Direction) {
        let (old, new) = (self.old, self.new);
        let (required_before, required_after) = (required(old.get(before)), required(new.get(after)));
        for name in old.get(before)["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            let field = format!("properties/{}", escaped(name));
            if new.get(&format!("{after}/{field}")).is_null() {
                self.gone(&format!("{before}/{field}"), "was released and is gone");
                continue;
            }
            match direction {
                Direction::Accepted if required_after.contains(name) && !required_before.contains(name) => {
                    self.found(&format!("{after}/{field}"), "has become required");
                }
                Direction::Sent if required_before.contains(name) && !required_after.contains(name) => {
                    self.found(&format!("{after}/{field}"), "was always there and may be missing");
                }
                Direction::Accepted | Direction::Sent => {}
            }
            self.schemas(&format!("{before}/{field}"), &format!("{after}/{field}"), direction);
        }
        let is_new =
            |name: &&String| old.get(before)["properties"].get(name.as_str()).is_none() && !required_before.contains(*name);
        if direction == Direction::Accepted {
            for name in required_after.iter().filter(is_new) {
                self.found(&format!("{after}/properties/{}", escaped(name)), "is new and required");
            }
        }
    }

    /// Maps: what their names look like, and what each has.
    fn patterns(&mut self, before: &str, after: &str, direction: Direction) {
        let (old, new) = (self.old, self.new);
        let keys = |document: &Document, at: &str| -> BTreeSet<String> {
            document.get(at)["patternProperties"].as_object().into_iter().flat_map(|patterns| patterns.keys().cloned()).collect()
        };
        let (was, now) = (keys(old, before), keys(new, after));
        let place = |at: &str, pattern: &str| format!("{at}/patternProperties/{}", escaped(pattern));
        for pattern in &was {
            if now.contains(pattern) {
                self.schemas(&place(before, pattern), &place(after, pattern), direction);
            } else {
                self.gone(&place(before, pattern), "was released and is gone");
            }
        }
        let others = format!("{before}/additionalProperties");
        match direction {
            // Names that look so were let through as others are.
            Direction::Accepted => {
                for pattern in now.difference(&was) {
                    self.schemas(&others, &place(after, pattern), direction);
                }
            }
            Direction::Sent => {
                let is_closed = |document: &Document, at: &str| document.get(at)["additionalProperties"] == false;
                if !was.is_empty() && is_closed(old, before) && !is_closed(new, after) {
                    self.gone(&others, "was released: names that look otherwise may come now");
                }
            }
        }
    }

    /// `oneOf`, `anyOf` and `allOf`: their schemas one by one. Those that are only constants are an enumeration.
    fn choices(&mut self, before: &str, after: &str, direction: Direction) {
        let (old, new) = (self.old, self.new);
        let is_free = |document: &Document, at: &str| CHOICES.iter().all(|keyword| document.get(at)[*keyword].is_null());
        // Of an enumeration, also of one that came or went, `values` has told.
        let is_told = match (values(old.get(before)), values(new.get(after))) {
            (Some(_), Some(_)) => true,
            (Some(_), None) => is_free(new, after),
            (None, Some(_)) => is_free(old, before),
            (None, None) => false,
        };
        if is_told {
            return;
        }
        for keyword in CHOICES {
            let count = |document: &Document, at: &str| document.get(at)[keyword].as_array().map(Vec::len);
            let (was, now) = (count(old, before).unwrap_or_default(), count(new, after).unwrap_or_default());
            for number in 0..was.min(now) {
                self.schemas(&format!("{before}/{keyword}/{number}"), &format!("{after}/{keyword}/{number}"), direction);
            }
            let broken = match (keyword, direction) {
                ("allOf", Direction::Accepted) | ("oneOf" | "anyOf", Direction::Sent) => {
                    now > was || (now == 0 && was > 0 && keyword != "allOf")
                }
                // Without any choice, all was accepted.
                ("oneOf" | "anyOf", Direction::Accepted) => now < was || (was == 0 && now > 0),
                _ => now < was,
            };
            if broken {
                self.found(&format!("{after}/{keyword}"), format!("is a choice of {now} and was one of {was}"));
            }
        }
    }
}

/// Where the schema is that a choice between it and null is about, and whether there was one. (`"type": ["string", "null"]` is not
/// taken apart: there types are compared.)
fn without_null(document: &Document, at: &str) -> (String, bool) {
    let at = document.resolved(at);
    for keyword in ["anyOf", "oneOf"] {
        let Some(options) = document.get(&at)[keyword].as_array() else { continue };
        let is_null = |option: &Value| option["type"] == "null";
        if let (2, Some(other)) = (options.len(), options.iter().position(|option| !is_null(option)))
            && options.iter().any(is_null)
        {
            return (document.resolved(&format!("{at}/{keyword}/{other}")), true);
        }
    }
    (at, false)
}

fn says(schema: &Value) -> Says {
    match schema {
        Value::Null | Value::Bool(true) => Says::Anything,
        Value::Bool(false) => Says::Nothing,
        _ => Says::Something,
    }
}

/// The types of a schema; those of an enumeration may stand at each of its values.
fn types(schema: &Value) -> BTreeSet<String> {
    match &schema["type"] {
        Value::String(name) => BTreeSet::from([name.clone()]),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ if values(schema).is_some() => schema["oneOf"].as_array().into_iter().flatten().flat_map(types).collect(),
        _ => BTreeSet::new(),
    }
}

/// An integer is a number.
fn admits(types: &BTreeSet<String>, name: &str) -> bool {
    types.contains(name) || (name == "integer" && types.contains("number"))
}

/// The values of `enum`, or of a `oneOf` of constants and enumerations, as JSON. (schemars writes the latter where some
/// values have a description.)
fn values(schema: &Value) -> Option<BTreeSet<String>> {
    let listed =
        |schema: &Value| -> Option<BTreeSet<String>> { Some(schema["enum"].as_array()?.iter().map(Value::to_string).collect()) };
    if let Some(values) = listed(schema) {
        return Some(values);
    }
    let mut values = BTreeSet::new();
    for option in schema["oneOf"].as_array()? {
        match option.get("const") {
            Some(constant) => values.extend([constant.to_string()]),
            None => values.extend(listed(option)?),
        }
    }
    Some(values)
}

fn required(schema: &Value) -> BTreeSet<String> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
