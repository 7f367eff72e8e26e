//! Each kind of break, planted, is found at its line; what may be added passes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod constructs;
mod shop;
mod topics;

use std::{fs, path::PathBuf};

use chrono::NaiveDate;
use contracts::{Break, Kinds};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shop::{GET, NEW, ORDER, POST, shop};

const TODAY: &str = "2027-05-01";

/// Two folders of descriptions.
struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Self {
        Self { root: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, value: &Value) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value:#}\n")).unwrap();
    }

    fn compare(&self) -> Vec<Break> {
        contracts::compare(&self.path("released"), &self.path("current"), Kinds::Any, TODAY.parse().unwrap()).unwrap()
    }
}

/// What is found when a document becomes another.
fn interface(old: &Value, new: &Value) -> Vec<Break> {
    let folders = Folders::new();
    folders.write("released/openapi/shop.json", old);
    folders.write("current/openapi/shop.json", new);
    folders.compare()
}

/// Replaces what is at a pointer, makes it, or, with null, takes it away.
fn plant(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(&name).unwrap()),
        Value::Object(members) => drop(members.insert(name, value)),
        Value::Array(items) if value.is_null() => drop(items.remove(name.parse().unwrap())),
        Value::Array(items) if name == "-" => items.push(value),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other} has nothing below"),
    }
}

/// Plants one thing, and expects one break with these words at this pointer, and the line of the file that says so.
#[track_caller]
fn breaks(pointer: &str, value: Value, at: &str, words: &str) {
    let (old, mut new) = (shop(), shop());
    plant(&mut new, pointer, value);
    let found = interface(&old, &new);
    let [Break { file, line, pointer: place, what }] = found.as_slice() else { panic!("{pointer}: {found:?}") };
    assert_eq!((place.as_str(), what.contains(words)), (at, true), "{pointer}: {found:?}");
    let document = if file.contains("/released/") { &old } else { &new };
    // What is not there is told of where it would be.
    let mut places = (0..=at.matches('/').count()).map(|up| at.rsplitn(up + 1, '/').last().unwrap());
    let there = places.find(|at| document.pointer(at).is_some()).unwrap();
    let name = there.rsplit('/').next().unwrap().replace("~1", "/");
    let text = format!("{document:#}");
    let said = text.lines().nth(line - 1).unwrap().trim_start();
    let is_item = name.bytes().all(|byte| byte.is_ascii_digit());
    assert!(is_item || said.starts_with(&format!("\"{name}\": ")), "{at}: line {line} is {said}");
}

#[test]
fn what_is_removed() {
    breaks(GET, Value::Null, GET, "gone");
    breaks(POST, Value::Null, POST, "gone");
    breaks(
        &format!("{GET}/parameters/1"),
        Value::Null,
        &format!("{GET}/parameters/1"),
        "(header Prefer) was released and is gone",
    );
    breaks(&format!("{GET}/responses/404"), Value::Null, &format!("{GET}/responses/404"), "not answered any more");
    breaks(&format!("{GET}/responses/200/headers/ETag"), Value::Null, &format!("{GET}/responses/200/headers/ETag"), "gone");
    breaks(&format!("{ORDER}/properties/total"), Value::Null, &format!("{ORDER}/properties/total"), "gone");
    breaks(&format!("{NEW}/properties/kind"), Value::Null, &format!("{NEW}/properties/kind"), "gone");
    let problem = "/components/responses/NotFound/content/application~1problem+json";
    breaks(problem, Value::Null, problem, "gone");
    breaks(&format!("{POST}/requestBody"), Value::Null, &format!("{POST}/requestBody"), "gone");
}

#[test]
fn a_path_that_is_removed() {
    let (old, mut new) = (shop(), shop());
    plant(&mut new, "/paths/~1v1~1orders", Value::Null);
    let found = interface(&old, &new);
    assert_eq!(found.iter().map(|found| found.pointer.as_str()).collect::<Vec<_>>(), [GET, POST]);
}

#[test]
fn a_status_that_changes() {
    let (old, mut new) = (shop(), shop());
    plant(&mut new, &format!("{POST}/responses"), json!({ "200": { "description": "Done." } }));
    let found = interface(&old, &new);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].pointer, format!("{POST}/responses/201"));
}

#[test]
fn what_is_asked_for_anew() {
    breaks(&format!("{NEW}/required"), json!(["reason", "id"]), &format!("{NEW}/properties/id"), "become required");
    breaks(&format!("{GET}/parameters/0/required"), json!(true), &format!("{GET}/parameters/0"), "become required");
    let new = json!({ "in": "query", "name": "shop", "required": true, "schema": { "type": "string" } });
    breaks(&format!("{GET}/parameters/-"), new, &format!("{GET}/parameters/2"), "new and required");
    breaks(&format!("{POST}/x-roles"), json!(["staff"]), &format!("{POST}/x-roles"), "customer");
    let (old, mut new) = (shop(), shop());
    plant(&mut new, &format!("{NEW}/properties/shop"), json!({ "type": "string" }));
    plant(&mut new, &format!("{NEW}/required"), json!(["reason", "shop"]));
    let found = interface(&old, &new);
    assert_eq!((found.len(), found[0].pointer.as_str()), (1, "/components/schemas/NewOrder/properties/shop"), "{found:?}");
}

#[test]
fn a_type_that_is_narrowed() {
    let field = |name: &str, keyword: &str| format!("{NEW}/properties/{name}/{keyword}");
    breaks(&field("id", "type"), json!("string"), &field("id", "type"), "is string and was null or string");
    breaks(&field("reason", "maxLength"), json!(100), &field("reason", "maxLength"), "is 100 and was 200");
    breaks(&field("reason", "minLength"), json!(2), &field("reason", "minLength"), "is 2 and was 1");
    breaks(&field("reason", "pattern"), json!("^a"), &field("reason", "pattern"), "^a");
    breaks(&field("kind", "oneOf/1"), Value::Null, &format!("{NEW}/properties/kind"), "has the value \"external\" no more");
    breaks(
        &format!("{NEW}/properties/where"),
        json!({ "$ref": "#/components/schemas/Place" }),
        "/components/schemas/Place",
        "null no more",
    );
    breaks(
        &format!("{GET}/parameters/0/schema/maximum"),
        json!(100),
        &format!("{GET}/parameters/0/schema/maximum"),
        "is 100 and was 200",
    );
    breaks(
        &format!("{GET}/parameters/0/schema/type"),
        json!("string"),
        &format!("{GET}/parameters/0/schema/type"),
        "is string and was integer",
    );
}

#[test]
fn an_answer_that_is_no_longer_what_was_promised() {
    let field = |name: &str, keyword: &str| format!("{ORDER}/properties/{name}/{keyword}");
    breaks(&field("id", "type"), json!(["string", "null"]), &field("id", "type"), "is null or string and was string");
    breaks(&field("note", "type"), json!("string"), &field("note", "type"), "is string and was null or string");
    breaks(&field("total", "type"), json!("number"), &field("total", "type"), "is number and was integer");
    breaks(&field("total", "maximum"), json!(2000), &field("total", "maximum"), "is 2000 and was 1000");
    breaks(&field("id", "format"), Value::Null, &field("id", "format"), "uuid");
    breaks(
        &field("status", "enum"),
        json!(["placed"]),
        &format!("{ORDER}/properties/status"),
        "has the value \"shipped\" no more",
    );
    breaks(&format!("{ORDER}/required"), json!(["id", "status", "total"]), &format!("{ORDER}/properties/note"), "may be missing");
    let nullable = json!({ "anyOf": [{ "$ref": "#/components/schemas/Place" }, { "type": "null" }] });
    breaks(&format!("{ORDER}/properties/place"), nullable, "/components/schemas/Place", "may be null");
}

#[test]
fn additions_pass() {
    for (pointer, value) in [
        ("/paths/~1v2", json!({ "get": { "responses": { "200": {} } } })),
        ("/paths/~1v1~1orders/get/responses/410", json!({ "description": "Gone." })),
        ("/paths/~1v1~1orders/get/parameters/-", json!({ "in": "query", "name": "shop", "required": false, "schema": {} })),
        ("/paths/~1v1~1orders/get/parameters/0/schema/maximum", json!(500)),
        ("/components/schemas/NewOrder/properties/gift", json!({ "type": "boolean" })),
        ("/components/schemas/NewOrder/required", json!([])),
        ("/components/schemas/NewOrder/properties/reason/type", json!(["string", "null"])),
        ("/components/schemas/NewOrder/properties/reason/maxLength", json!(300)),
        ("/components/schemas/NewOrder/properties/kind/oneOf/-", json!({ "const": "gift", "type": "string" })),
        ("/components/schemas/NewOrder/additionalProperties", json!(true)),
        ("/components/schemas/Order/properties/gift", json!({ "type": "boolean" })),
        ("/components/schemas/Order/properties/status/enum/-", json!("returned")),
        ("/components/schemas/Order/properties/status/description", json!("How it stands.")),
        ("/components/schemas/Order/properties/total/maximum", json!(10)),
        ("/components/schemas/Order/properties/id/pattern", json!("^0")),
        ("/paths/~1v1~1orders/post/x-roles/-", json!("service")),
    ] {
        let (old, mut new) = (shop(), shop());
        plant(&mut new, pointer, value);
        assert_eq!(interface(&old, &new), [], "{pointer}");
    }
    assert_eq!(interface(&shop(), &shop()), []);
}

#[test]
fn what_is_deprecated_may_go_from_its_sunset_on() {
    let gone = |sunset: &str| {
        let (mut old, mut new) = (shop(), shop());
        plant(&mut old, &format!("{GET}/deprecated"), json!(true));
        plant(&mut old, &format!("{GET}/x-sunset"), json!(sunset));
        plant(&mut new, GET, Value::Null);
        interface(&old, &new).len()
    };
    let day: NaiveDate = TODAY.parse().unwrap();
    assert_eq!((gone(&day.to_string()), gone(&day.succ_opt().unwrap().to_string()), gone("soon")), (0, 1, 1));
}

#[test]
fn a_published_event_never_changes() {
    let schema = json!({
        "title": "order.placed.v1", "type": "object", "required": ["total"],
        "properties": { "total": { "type": "integer", "description": "The sum." }, "title": { "type": "string" } },
    });
    for (pointer, value, at) in [
        ("/properties/total", Value::Null, "/properties/total"),
        ("/properties/title", Value::Null, "/properties/title"),
        ("/properties/total/type", json!("number"), "/properties/total/type"),
        ("/properties/total/maximum", json!(7), "/properties/total/maximum"),
        ("/properties/note", json!({ "type": "string" }), "/properties/note"),
        ("/required", json!([]), "/required"),
    ] {
        let folders = Folders::new();
        folders.write("released/events/order.placed.v1.json", &schema);
        let mut new = schema.clone();
        plant(&mut new, pointer, value);
        folders.write("current/events/order.placed.v1.json", &new);
        let found = folders.compare();
        assert_eq!(found.iter().map(|found| found.pointer.as_str()).collect::<Vec<_>>(), [at]);
    }
    let folders = Folders::new();
    folders.write("released/events/order.placed.v1.json", &schema);
    let mut new = schema.clone();
    plant(&mut new, "/properties/total/description", json!("What is to be paid."));
    folders.write("current/events/order.placed.v1.json", &new);
    folders.write("current/events/order.placed.v2.json", &json!({ "type": "object" }));
    assert_eq!(folders.compare(), []);
    fs::remove_file(folders.path("current/events/order.placed.v1.json")).unwrap();
    assert_eq!(folders.compare().iter().map(|found| found.what.as_str()).collect::<Vec<_>>(), ["is gone"]);
}

#[test]
fn what_was_released_is_whole() {
    let folders = Folders::new();
    let compare = |kinds| contracts::compare(&folders.path("released"), &folders.path("current"), kinds, TODAY.parse().unwrap());
    assert!(compare(Kinds::Any).is_err());
    let files = ["openapi/shop.json", "events/order.placed.v1.json", "asyncapi.json"];
    for file in files {
        folders.write(&format!("released/{file}"), &json!({}));
        folders.write(&format!("current/{file}"), &json!({}));
    }
    assert_eq!(compare(Kinds::All).unwrap(), []);
    for file in files {
        fs::remove_file(folders.path(&format!("released/{file}"))).unwrap();
        let error = compare(Kinds::All).unwrap_err().to_string();
        let kind = file.split('/').next().unwrap();
        assert!(error.ends_with(&format!(": no {kind}")), "{error}");
        assert_eq!(compare(Kinds::Any).unwrap(), []);
        folders.write(&format!("released/{file}"), &json!({}));
    }
}
