//! Maps, lists, streams, headers, defaults and choices.

use serde_json::{Value, json};

use crate::{
    breaks, interface, plant,
    shop::{GET, NEW, ORDER, shop},
};

const UPDATES: &str = "/paths/~1v1~1updates/get/responses/200/content/text~1event-stream";
const LINES: &str = "content/application~1x-ndjson";
const COMMANDS: &str = "/paths/~1v1~1commands/post";

/// Plants one thing, and expects one break right there.
#[track_caller]
fn breaks_there(pointer: &str, value: Value, words: &str) {
    breaks(pointer, value, pointer, words);
}

#[test]
fn maps() {
    let (revenue, labels) = (format!("{ORDER}/properties/revenue"), format!("{ORDER}/properties/labels"));
    let pattern = format!("{revenue}/patternProperties/^[A-Z]{{3}}$");
    breaks_there(&format!("{pattern}/type"), json!("string"), "is string and was integer");
    breaks_there(&pattern, Value::Null, "gone");
    breaks_there(&format!("{revenue}/additionalProperties"), Value::Null, "names that look otherwise");
    breaks_there(&format!("{labels}/additionalProperties/type"), json!("integer"), "is integer and was string");
    breaks_there(&format!("{labels}/additionalProperties"), Value::Null, "gone");
    breaks_there(&format!("{labels}/additionalProperties"), json!(true), "gone");
    breaks_there(&format!("{labels}/additionalProperties"), json!(false), "nothing");

    let options = format!("{NEW}/properties/options");
    let text = json!({ "type": "string" });
    breaks_there(&format!("{options}/additionalProperties"), json!(false), "refuses what was let through");
    breaks_there(&format!("{options}/additionalProperties"), text.clone(), "anything was let through");
    let pattern = format!("{options}/patternProperties/^x-");
    breaks(&format!("{options}/patternProperties"), json!({ "^x-": text }), &pattern, "anything was let through");
    breaks_there(&format!("{options}/propertyNames"), json!({ "pattern": "^a" }), "^a");
}

#[test]
fn lists() {
    let (extras, tags) = (format!("{NEW}/properties/extras"), format!("{ORDER}/properties/tags"));
    breaks_there(&format!("{extras}/items"), json!({ "type": "string" }), "anything was let through");
    breaks_there(&format!("{extras}/prefixItems"), json!([{ "type": "string" }]), "string");
    breaks_there(&format!("{extras}/uniqueItems"), json!(true), "is true");
    breaks_there(&format!("{tags}/items"), Value::Null, "gone");
    breaks_there(&format!("{tags}/uniqueItems"), Value::Null, "was true");
}

#[test]
fn bodies_and_streams() {
    breaks_there(&format!("{GET}/responses/200/content/application~1json/schema"), Value::Null, "gone");
    breaks_there(&format!("{UPDATES}/x-events/reset"), Value::Null, "gone");
    breaks_there(&format!("{UPDATES}/x-events/reset/type"), json!("string"), "is string and was object");
    breaks_there(&format!("{COMMANDS}/requestBody/{LINES}/x-line"), Value::Null, "gone");
    breaks_there(&format!("{COMMANDS}/responses/200/{LINES}/x-line"), Value::Null, "gone");
}

#[test]
fn headers() {
    let etag = format!("{GET}/responses/200/headers/ETag");
    breaks(&format!("{etag}/required"), Value::Null, &etag, "may be missing");
    breaks_there(&format!("{etag}/schema/type"), json!("integer"), "is integer and was string");
    breaks_there(&format!("{etag}/schema"), Value::Null, "gone");
}

#[test]
fn defaults() {
    let (limit, copies) = (format!("{GET}/parameters/0/schema/default"), format!("{NEW}/properties/copies/default"));
    breaks_there(&limit, json!(20), "is 20 and was 50");
    breaks_there(&copies, json!(2), "is 2 and was 1");
    breaks_there(&copies, Value::Null, "is null and was 1");
}

/// Beside a reference, where the schema itself is the same for all.
#[test]
fn a_default_beside_a_reference() {
    let (mut old, mut new) = (shop(), shop());
    let place = format!("{NEW}/properties/speed");
    for (document, default) in [(&mut old, "slow"), (&mut new, "fast")] {
        plant(document, "/components/schemas/Speed", json!({ "type": "string" }));
        plant(document, &place, json!({ "$ref": "#/components/schemas/Speed", "default": default }));
    }
    let found = interface(&old, &new);
    assert_eq!(found.iter().map(|found| found.pointer.as_str()).collect::<Vec<_>>(), [format!("{place}/default")]);
}

#[test]
fn choices() {
    let options = format!("{NEW}/properties/options/anyOf");
    breaks_there(&options, json!([{ "required": ["a"] }, { "required": ["b"] }]), "a choice of 2 and was one of 0");
    let speed = format!("{NEW}/properties/speed");
    breaks(&format!("{speed}/oneOf/0/enum/1"), Value::Null, &speed, "has the value \"fast\" no more");
    breaks(&format!("{speed}/oneOf/1"), Value::Null, &speed, "has the value \"drone\" no more");
    let (note, one) = (format!("{NEW}/properties/note"), json!({ "oneOf": [{ "type": "string", "const": "a" }] }));
    breaks(&note, one, &note, "takes certain values only");
    let status = format!("{ORDER}/properties/status");
    breaks(&status, json!({ "type": "string" }), &status, "may have any value");
}

#[test]
fn additions_pass() {
    let lost = json!({ "oneOf": [{ "type": "string", "enum": ["placed", "shipped"] }, { "type": "string", "const": "lost" }] });
    for (pointer, value) in [
        // What is accepted.
        (format!("{NEW}/properties/words/items"), Value::Null),
        (format!("{NEW}/properties/note/default"), json!("")),
        (format!("{NEW}/properties/speed/oneOf/0/enum/-"), json!("bike")),
        (format!("{NEW}/properties/speed"), json!({ "type": "string" })),
        (format!("{NEW}/properties/options/additionalProperties"), json!(true)),
        (format!("{COMMANDS}/requestBody/{LINES}/schema"), Value::Null),
        // What is sent.
        (format!("{ORDER}/properties/status"), lost),
        (format!("{ORDER}/properties/note/enum"), json!(["a", null])),
        (format!("{ORDER}/properties/revenue/patternProperties/^total$"), json!({ "type": "integer" })),
        (format!("{UPDATES}/x-events/end"), json!({ "type": "object" })),
        (format!("{UPDATES}/schema"), json!({ "type": "string" })),
        (format!("{GET}/responses/200/headers/Age"), json!({ "required": true, "schema": { "type": "integer" } })),
        (format!("{GET}/responses/200/headers/ETag/schema/pattern"), json!("^\"")),
    ] {
        let (old, mut new) = (shop(), shop());
        plant(&mut new, &pointer, value);
        assert_eq!(interface(&old, &new), [], "{pointer}");
    }
}
