//! `schemas/events/` is what the types generate, and what was published keeps its shape.

use std::{env, fs};

use serde_json::{Map, Value, json};

use crate::catalogue::{EventType, every_type, folder, json_files};

/// Keywords that say something to people and nothing to validators.
const ANNOTATIONS: [&str; 5] = ["$comment", "$id", "$schema", "description", "title"];

#[test]
fn the_files_are_what_the_types_generate() {
    let update = env::var_os("UPDATE_SCHEMAS").is_some();
    for event in every_type() {
        let path = folder("events").join(format!("{}.json", event.name));
        let generated = document(&event);
        let published = fs::read_to_string(&path).ok().map(|text| serde_json::from_str::<Value>(&text).unwrap());
        if let Some(published) = &published {
            assert_eq!(
                shape(published),
                shape(&generated),
                "the shape of {} changed. Consumers have read it and Postgres holds it, so it can't: put the old struct back, \
                 and publish the new one as the next version with an upcast (events/src/event.rs)",
                event.name
            );
        }
        if published.as_ref() == Some(&generated) {
            continue;
        }
        assert!(update, "{} differs from its schema file: run `UPDATE_SCHEMAS=1 cargo test -p events`", event.name);
        fs::create_dir_all(folder("events")).unwrap();
        fs::write(&path, format!("{:#}\n", sorted(&generated))).unwrap();
    }
}

#[test]
fn a_published_type_can_be_read_for_ever() {
    let known: Vec<_> = every_type().iter().map(|event| event.name).collect();
    for (name, _) in json_files("events") {
        assert!(known.contains(&name.as_str()), "{name} was published and can't be read any more: add an upcast");
    }
}

#[test]
fn type_names_carry_entity_fact_and_version() {
    let mut names: Vec<_> = every_type().iter().map(|event| event.name).collect();
    for name in &names {
        let [entity, fact, version] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let kebab = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(kebab(entity) && kebab(fact), "{name}");
        assert!(version.strip_prefix('v').and_then(|number| number.parse().ok()).is_some_and(|number: u32| number > 0), "{name}");
    }
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a type name belongs to one context");
}

#[test]
fn an_event_is_an_object_that_tolerates_additions() {
    for EventType { name, schema, .. } in every_type() {
        assert_eq!(schema["type"], "object", "{name}");
        assert_ne!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
    }
}

#[test]
fn the_shape_is_all_but_the_words() {
    let described = json!({
        "title": "Money", "description": "An amount.", "type": "object",
        "properties": { "title": { "type": "string", "description": "A field that is named like an annotation." } },
    });
    let plain = json!({ "type": "object", "properties": { "title": { "type": "string" } } });
    assert_eq!(shape(&described), plain);
}

/// The schema file of an event type.
fn document(event: &EventType) -> Value {
    let Value::Object(mut document) = event.schema.clone() else { panic!("{} has no object for a schema", event.name) };
    document.insert("$id".into(), format!("https://orderflow.dev/schemas/events/{}.json", event.name).into());
    document.insert("title".into(), event.name.into());
    Value::Object(document)
}

/// What of a schema decides which documents are valid.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let keywords = keywords.iter().filter(|(keyword, _)| !ANNOTATIONS.contains(&keyword.as_str()));
            Value::Object(keywords.map(|(keyword, value)| (keyword.clone(), keyword_shape(keyword, value))).collect())
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// Below these keywords come names that people chose, and below those schemas.
fn keyword_shape(keyword: &str, value: &Value) -> Value {
    match (keyword, value) {
        ("properties" | "$defs", Value::Object(named)) => {
            Value::Object(named.iter().map(|(name, schema)| (name.clone(), shape(schema))).collect())
        }
        _ => shape(value),
    }
}

/// The same value with sorted keys, whatever features of `serde_json` other crates turn on.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
