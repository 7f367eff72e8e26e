//! Topics, keys, headers and messages.

use std::fs;

use contracts::Break;
use serde_json::{Value, json};

use crate::{Folders, plant};

const CHANNEL: &str = "/channels/orders";
const MESSAGE: &str = "/components/messages/order.placed.v1";

fn topics() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "channels": { "orders": {
            "address": "shop.orders.v1",
            "messages": {
                "order.placed.v1": { "$ref": "#/components/messages/order.placed.v1" },
                "order.shipped.v1": { "$ref": "#/components/messages/order.shipped.v1" },
            },
        } },
        "components": { "messages": {
            "order.placed.v1": {
                "summary": "An order was placed.",
                "contentType": "application/json",
                "headers": {
                    "type": "object",
                    "properties": { "ce_id": { "type": "string", "format": "uuid" }, "traceparent": { "type": "string" } },
                    "required": ["ce_id"],
                },
                "payload": { "schemaFormat": "application/schema+json;version=draft-07", "schema": { "$ref": "events/order.placed.v1.json" } },
                "bindings": { "kafka": { "key": { "type": "string", "format": "uuid" } } },
            },
            "order.shipped.v1": { "contentType": "application/json" },
        } },
    })
}

fn compared(old: &Value, new: &Value) -> Vec<Break> {
    let folders = Folders::new();
    folders.write("released/asyncapi.json", old);
    folders.write("current/asyncapi.json", new);
    folders.compare()
}

/// Plants one thing, and expects one break with these words at this pointer.
#[track_caller]
fn breaks(pointer: &str, value: Value, at: &str, words: &str) {
    let mut new = topics();
    plant(&mut new, pointer, value);
    let found = compared(&topics(), &new);
    let [Break { pointer: place, what, .. }] = found.as_slice() else { panic!("{pointer}: {found:?}") };
    assert_eq!((place.as_str(), what.contains(words)), (at, true), "{pointer}: {found:?}");
}

#[track_caller]
fn breaks_there(pointer: &str, value: Value, words: &str) {
    breaks(pointer, value, pointer, words);
}

#[test]
fn topics_and_their_messages_stay() {
    breaks_there(CHANNEL, Value::Null, "gone");
    breaks_there(&format!("{CHANNEL}/address"), json!("orders"), "is \"orders\" and was \"shop.orders.v1\"");
    breaks_there(&format!("{CHANNEL}/messages/order.shipped.v1"), Value::Null, "gone");
    breaks(MESSAGE, Value::Null, &format!("{CHANNEL}/messages/order.placed.v1"), "gone");
    breaks_there(&format!("{MESSAGE}/contentType"), json!("text/plain"), "text/plain");
    let payload = format!("{MESSAGE}/payload/schema");
    breaks(&format!("{payload}/$ref"), json!("events/order.placed.v2.json"), &payload, "order.placed.v2");
}

#[test]
fn headers_and_keys_stay() {
    let headers = format!("{MESSAGE}/headers");
    breaks_there(&format!("{headers}/properties/traceparent"), Value::Null, "gone");
    breaks_there(&format!("{headers}/properties/ce_id/format"), Value::Null, "uuid");
    breaks(&format!("{headers}/required"), json!([]), &format!("{headers}/properties/ce_id"), "may be missing");
    breaks_there(&headers, Value::Null, "gone");
    let key = format!("{MESSAGE}/bindings/kafka/key");
    breaks_there(&format!("{key}/type"), json!("integer"), "is integer and was string");
    breaks(&format!("{MESSAGE}/bindings"), Value::Null, &key, "gone");
}

#[test]
fn what_is_added_to_a_topic_passes() {
    for (pointer, value) in [
        ("/channels/users", json!({ "address": "shop.users.v1" })),
        ("/channels/orders/messages/order.lost.v1", json!({})),
        ("/channels/orders/description", json!("Orders.")),
        ("/components/messages/order.placed.v1/headers/properties/ce_seq", json!({ "type": "string" })),
        ("/components/messages/order.placed.v1/headers/required/-", json!("traceparent")),
        ("/components/messages/order.placed.v1/payload/schemaFormat", json!("application/schema+yaml;version=draft-07")),
        ("/components/messages/order.placed.v1/summary", json!("There is an order.")),
    ] {
        let mut new = topics();
        plant(&mut new, pointer, value);
        assert_eq!(compared(&topics(), &new), [], "{pointer}");
    }
}

#[test]
fn the_description_of_topics_stays() {
    let folders = Folders::new();
    folders.write("released/asyncapi.json", &topics());
    folders.write("current/asyncapi.json", &topics());
    assert_eq!(folders.compare(), []);
    fs::remove_file(folders.path("current/asyncapi.json")).unwrap();
    assert_eq!(folders.compare().iter().map(|found| found.what.as_str()).collect::<Vec<_>>(), ["is gone"]);
}
