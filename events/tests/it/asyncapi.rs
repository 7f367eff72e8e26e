//! `schemas/asyncapi.yaml` and the same as JSON: topics, keys, headers and messages, as this crate has them.

use std::{borrow::Cow, collections::BTreeSet, env, fmt::Write as _, fs};

use chrono::DateTime;
use events::{Context, Envelope, EventId, envelope, topics};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    catalogue::{EventType, every_type, folder},
    schemas::sorted,
};

/// What the topics begin with unless `TOPIC_PREFIX` says otherwise.
const PREFIX: &str = "orderflow";

/// The newest JSON Schema that AsyncAPI 3.0 asks of every tool. The schemas say 2020-12 and mean the same by this one, as
/// [`schemas_mean_the_same_by_the_named_format`] holds.
const FORMAT: &str = "application/schema+json;version=draft-07";

const ABOUT: &str = "Every event of the event store, on one topic a bounded context. Records are CloudEvents 1.0 in Kafka's binary \
    mode: the value is the event's JSON, the headers say the rest. The key is the stream's id, so a stream's events are in one partition, \
    in the order of `ce_version`, which has no gaps. Read with `isolation.level=read_committed`: then each event is there exactly once; \
    drop what you have seen by `ce_id`, or by `ce_subject` and `ce_version`, all the same. Pass over fields, headers and types that you \
    don't know. A published type never changes shape: another shape is another type, with the next version at the end of its name.";

/// YAML for people and for AsyncAPI's tools, JSON for what compares releases line by line.
#[test]
fn the_files_are_what_the_types_say() {
    let document = document();
    for (name, text) in [("asyncapi.yaml", yaml(&document)), ("asyncapi.json", format!("{:#}\n", sorted(&document)))] {
        let path = folder(name);
        if env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let same = fs::read_to_string(&path).is_ok_and(|written| written == text);
        assert!(same, "schemas/{name} is not what the types say: run `UPDATE_SCHEMAS=1 cargo test -p events`");
    }
}

/// The schema is the one that AsyncAPI publishes (npm: `@asyncapi/specs` 6.11.1, Apache-2.0), unchanged.
#[test]
fn it_is_a_document_of_asyncapi_3_0() {
    let schema = serde_json::from_str(include_str!("../asyncapi-3.0.0.json")).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let errors = |document: &Value| validator.iter_errors(document).map(|error| error.to_string()).collect::<Vec<_>>();
    assert_eq!(errors(&document()), Vec::<String>::new());
    let mut nonsense = document();
    nonsense["channels"]["orders"]["adress"] = "orders".into();
    assert_ne!(errors(&nonsense), Vec::<String>::new());
}

#[test]
fn it_has_every_header_that_is_written() {
    let described: BTreeSet<_> = HEADERS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(described, written_with(true));
    let required: BTreeSet<_> = HEADERS.iter().filter(|(_, required, ..)| *required).map(|(name, ..)| *name).collect();
    assert_eq!(required, written_with(false));
}

#[test]
fn references_lead_to_schemas() {
    for EventType { name, .. } in every_type() {
        let reference = document()["components"]["messages"][name]["payload"]["schema"]["$ref"].as_str().unwrap().to_owned();
        assert!(folder(&reference).is_file(), "{reference}");
    }
}

/// Tools that don't know a format refused the whole document (asyncapi/parser-js#1066).
#[test]
fn every_tool_knows_the_format() {
    let schema: Value = serde_json::from_str(include_str!("../asyncapi-3.0.0.json")).unwrap();
    let definition = &schema["definitions"]["multiFormatSchema"];
    let formats = definition["else"]["properties"]["schemaFormat"]["anyOf"].as_array().unwrap();
    let must = formats.iter().find(|formats| formats["description"] == "All the schema formats tooling MUST support").unwrap();
    assert!(must["enum"].as_array().unwrap().contains(&FORMAT.into()), "{must}");
}

/// No keyword is newer, or means something else.
#[test]
fn schemas_mean_the_same_by_the_named_format() {
    const KNOWN: &[&str] = &[
        "$id",
        "$schema",
        "additionalProperties",
        "const",
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "required",
        "title",
        "type",
    ];
    fn check(schema: &Value, at: &str) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let below = format!("{at}/{keyword}");
            match (keyword.as_str(), value) {
                ("properties", Value::Object(fields)) => fields.values().for_each(|schema| check(schema, &below)),
                ("oneOf", Value::Array(options)) => options.iter().for_each(|schema| check(schema, &below)),
                // Items that are a list meant what `prefixItems` means now.
                ("items" | "additionalProperties", Value::Object(_)) => check(value, &below),
                (other, _) => assert!(KNOWN.contains(&other), "{below} is not known to mean the same by {FORMAT}"),
            }
        }
    }
    for EventType { name, schema, .. } in every_type() {
        check(&schema, name);
    }
}

#[test]
fn yaml_is_written_as_json_would_mean_it() {
    let value = json!({ "a": { "$ref": "#/x", "3.0": [1, { "b": "c: d" }, [], "yes\n"] }, "empty": {}, "t": true });
    let expected =
        "a:\n  $ref: \"#/x\"\n  \"3.0\":\n    - 1\n    - b: \"c: d\"\n    - []\n    - \"yes\\n\"\nempty: {}\nt: true\n";
    assert_eq!(yaml(&value), expected);
}

/// Name, whether it is always there, its schema, and what it is.
const HEADERS: [(&str, bool, &str, &str); 14] = [
    ("ce_specversion", true, r#"{"const": "1.0"}"#, "The version of CloudEvents."),
    ("ce_id", true, r#"{"format": "uuid"}"#, "The event: another one has another id."),
    ("ce_type", true, "{}", "The versioned type."),
    ("ce_source", true, "{}", "The context."),
    ("ce_subject", true, r#"{"format": "uuid"}"#, "The stream: the aggregate's id, as in the key."),
    ("ce_time", true, r#"{"format": "date-time"}"#, "When it happened. In the past for imported events."),
    ("ce_recordedat", true, r#"{"format": "date-time"}"#, "When it was decided."),
    ("ce_version", true, r#"{"pattern": "^[1-9][0-9]*$"}"#, "The position in the stream, from 1, without gaps."),
    ("ce_lane", true, r#"{"pattern": "^[0-9]+$"}"#, "The lane of the event store."),
    ("ce_seq", true, r#"{"pattern": "^[1-9][0-9]*$"}"#, "The position in the lane, from 1, without gaps."),
    ("ce_correlationid", true, r#"{"format": "uuid"}"#, "Shared by all that one request set in motion."),
    ("ce_causationid", false, r#"{"format": "uuid"}"#, "The event or command that led to this one."),
    ("traceparent", false, "{}", "The W3C trace context of the command."),
    ("content-type", true, r#"{"const": "application/json"}"#, "Of the value."),
];

/// The names of the headers of an event of which everything that may lack is there, or lacks.
fn written_with(everything: bool) -> BTreeSet<&'static str> {
    let envelope = Envelope {
        id: EventId(Uuid::from_u128(1)),
        stream_id: Uuid::from_u128(2),
        event_type: Cow::Borrowed("order.placed.v1"),
        version: 1,
        lane: 3,
        seq: 4,
        occurred_at: DateTime::UNIX_EPOCH,
        recorded_at: DateTime::UNIX_EPOCH,
        correlation_id: Uuid::from_u128(5),
        causation_id: everything.then(|| Uuid::from_u128(6)),
        traceparent: everything.then_some(Cow::Borrowed("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    };
    let mut names = BTreeSet::new();
    envelope.write_headers(Context::Orders, |name, _| {
        names.insert(name);
    });
    names
}

fn document() -> Value {
    let contexts = || Context::ALL.into_iter().map(Context::name);
    let channels: Map<_, _> = Context::ALL.into_iter().map(|context| (context.name().to_owned(), channel(context))).collect();
    let operations = contexts().map(|name| {
        let text = format!("Sends what happens to {name}, in the order in which it was stored.");
        (
            format!("send-{name}"),
            json!({ "action": "send", "channel": { "$ref": format!("#/channels/{name}") }, "summary": text }),
        )
    });
    let messages = every_type().iter().map(|event| (event.name.to_owned(), message(event))).collect::<Map<_, _>>();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "orderflow events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": envelope::CONTENT_TYPE,
        "channels": channels,
        "operations": operations.collect::<Map<_, _>>(),
        "components": { "messages": messages },
    })
}

fn channel(context: Context) -> Value {
    let name = context.name();
    let of_context = every_type().into_iter().filter(|event| event.context == context);
    let messages =
        of_context.map(|event| (event.name.to_owned(), json!({ "$ref": format!("#/components/messages/{}", event.name) })));
    json!({
        "address": topics::events(PREFIX, context),
        "description": format!("The events of the context `{name}`, kept for ever unless configured otherwise."),
        "messages": messages.collect::<Map<_, _>>(),
        "bindings": { "kafka": {
            "topic": topics::events(PREFIX, context),
            "topicConfiguration": { "cleanup.policy": ["delete"], "retention.ms": -1 },
            "bindingVersion": "0.5.0",
        } },
    })
}

fn message(event: &EventType) -> Value {
    let summary = event.schema["description"].as_str().unwrap_or_default();
    let properties = HEADERS.iter().map(|(name, _, schema, about)| {
        let mut schema: Value = serde_json::from_str(schema).unwrap();
        schema["type"] = "string".into();
        schema["description"] = (*about).into();
        match *name {
            "ce_type" => schema["const"] = event.name.into(),
            "ce_source" => schema["const"] = envelope::source(event.context).into(),
            _ => {}
        }
        ((*name).to_owned(), schema)
    });
    let required: Vec<_> = HEADERS.iter().filter(|(_, required, ..)| *required).map(|(name, ..)| *name).collect();
    json!({
        "name": event.name,
        "summary": summary,
        "contentType": envelope::CONTENT_TYPE,
        "headers": { "type": "object", "properties": properties.collect::<Map<_, _>>(), "required": required },
        "payload": {
            "schemaFormat": FORMAT,
            "schema": { "$ref": format!("events/{}.json", event.name) },
        },
        "bindings": { "kafka": {
            "key": { "type": "string", "format": "uuid", "description": "The stream's id, in lower case with hyphens." },
            "bindingVersion": "0.5.0",
        } },
    })
}

/// The value as YAML: mappings and lists over lines, and what is not a plain word as in JSON, which is YAML too.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            // Whatever order serde_json keeps, which another crate may have chosen.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            for (name, value) in members {
                write!(text, "{indent}{}:", key(name)).unwrap();
                below(text, value, depth + 1);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut nested = String::new();
                match item {
                    Value::Object(members) if !members.is_empty() => block(&mut nested, item, depth + 1),
                    _ => writeln!(nested, "{indent}  {item}").unwrap(),
                }
                // The first line of what belongs to it stands behind the dash.
                writeln!(text, "{indent}- {}", nested.trim_start().trim_end()).unwrap();
            }
        }
        scalar => writeln!(text, "{indent}{scalar}").unwrap(),
    }
}

fn below(text: &mut String, value: &Value, depth: usize) {
    let is_empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if is_empty || !(value.is_object() || value.is_array()) {
        writeln!(text, " {value}").unwrap();
    } else {
        text.push('\n');
        block(text, value, depth);
    }
}

fn key(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte))
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$');
    if plain && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&name) {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}
