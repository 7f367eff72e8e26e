use jsonschema::Validator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{
    auth::Role,
    problem::Problem,
    routes::{Deprecation, Routes},
};

const ABOUT: About = About { title: "shop", description: "A shop.", version: "1.2.3", tags: &[("things", "What there is.")] };

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    /// What it is called.
    name: String,
    weight: Option<u32>,
    colour: Option<Colour>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Colour {
    /// As the sky.
    Blue,
    /// As grass.
    Green,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Search {
    /// How many.
    limit: Option<u16>,
    #[serde(default)]
    after: u64,
    /// Which.
    colour: Option<Colour>,
    word: String,
}

fn put(schemas: &mut Schemas) -> Operation {
    Operation::new("put-thing", "things", "Puts a thing.")
        .body::<Thing>(schemas)
        .heeds("If-Match", json!({ "type": "string" }), "The version.")
        .answer(
            201,
            Answer::json(schemas.answer::<Stored>(), "It is there.").always("ETag", "Its version.").header("Age", "Old."),
        )
        .refuses(&[409, 503])
}

#[derive(Serialize, JsonSchema)]
struct Stored {
    thing: Option<u32>,
}

fn find(schemas: &mut Schemas) -> Operation {
    let answer = Answer::lines(&schemas.answer::<Stored>(), "All of them.");
    Operation::new("find-things", "things", "Finds things.").query::<Search>(schemas).answer(200, answer)
}

fn routes() -> Routes<()> {
    Routes::new()
        .route(Method::PUT, "/v1/shops/{shop}/things/{id}", &[Role::Staff, Role::Service], async || ())
        .described(put)
        .route(Method::GET, "/v1/things", &[Role::Customer], async || ())
        .described(find)
        .deprecated(Deprecation::new((2026, 11, 1), (2027, 5, 1), "https://example.org/v2"))
        .public(Method::GET, "/secret", async || ())
}

#[test]
fn a_row_says_who_may_and_a_handler_what() {
    let document = routes().document(&ABOUT);
    assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!("1.2.3")));
    let put = &document["paths"]["/v1/shops/{shop}/things/{id}"]["put"];
    assert_eq!((&put["x-roles"], &put["security"]), (&json!(["staff", "service"]), &json!([{ "bearer": [] }])));
    let parameters: Vec<_> =
        put["parameters"].as_array().unwrap().iter().map(|p| (&p["name"], &p["in"], &p["required"])).collect();
    let expected = [("shop", "path", true), ("id", "path", true), ("If-Match", "header", false)];
    let expected = expected.map(|(name, place, required)| (json!(name), json!(place), json!(required)));
    assert_eq!(parameters, expected.iter().map(|(name, place, required)| (name, place, required)).collect::<Vec<_>>());
    let statuses: Vec<_> = put["responses"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(statuses, ["201", "400", "401", "403", "408", "409", "413", "415", "500", "503"]);
    assert_eq!(put["responses"]["409"]["$ref"], "#/components/responses/Conflict");
    let headers = &put["responses"]["201"]["headers"];
    assert_eq!(headers["ETag"], json!({ "description": "Its version.", "required": true, "schema": { "type": "string" } }));
    assert_eq!(headers["Age"], json!({ "description": "Old.", "schema": { "type": "string" } }));
    assert_eq!(put["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Thing");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    // Nobody said anything of this one.
    assert_eq!(document["paths"].get("/secret"), None);
}

#[test]
fn a_field_that_may_be_left_out_is_there_in_an_answer() {
    let document = routes().document(&ABOUT);
    let schemas = &document["components"]["schemas"];
    assert_eq!((&schemas["Thing"]["required"], &schemas["Stored"]["required"]), (&json!(["name"]), &json!(["thing"])));
    assert_eq!(schemas["Thing"]["additionalProperties"], false);
    assert_eq!(schemas["Stored"]["properties"]["thing"]["type"], json!(["integer", "null"]));
}

#[test]
fn a_query_is_taken_apart() {
    let document = routes().document(&ABOUT);
    let find = &document["paths"]["/v1/things"]["get"];
    let parameter = |name: &str| find["parameters"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone();
    let limit = parameter("limit");
    assert_eq!((&limit["schema"]["type"], &limit["description"]), (&json!("integer"), &json!("How many.")), "{limit}");
    assert_eq!(parameter("colour")["schema"], json!({ "$ref": "#/components/schemas/Colour" }));
    assert_eq!((&parameter("word")["required"], &parameter("after")["required"]), (&json!(true), &json!(false)));
    assert_eq!(parameter("after")["schema"]["default"], 0);
}

#[test]
fn a_deprecated_route_says_so() {
    let document = routes().document(&ABOUT);
    let find = &document["paths"]["/v1/things"]["get"];
    assert_eq!((&find["deprecated"], &find["x-sunset"]), (&json!(true), &json!("2027-05-01")), "{find}");
    assert_eq!(find["x-deprecation-link"], "https://example.org/v2");
    assert_eq!(document["paths"]["/v1/shops/{shop}/things/{id}"]["put"].get("deprecated"), None);
}

#[test]
fn every_reference_leads_somewhere() {
    fn follow(document: &Value, at: &Value) {
        match at {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                members.values().for_each(|value| follow(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| follow(document, value)),
            _ => {}
        }
    }
    let document = routes().documented(&ABOUT).document(&ABOUT);
    follow(&document, &document);
    assert!(document["paths"]["/openapi.json"]["get"].is_object() && document["paths"]["/docs"]["get"].is_object());
}

#[test]
fn problems_are_what_the_schema_says() {
    let document = routes().document(&ABOUT);
    let schema: Validator = jsonschema::validator_for(&document["components"]["schemas"]["Problem"]).unwrap();
    for problem in [
        Problem::invalid_field("/name", "is missing"),
        Problem::invalid_parameter("limit", "is no number"),
        Problem::overloaded("Later.", 3),
        Problem::rule_violated("InsufficientStock", "There are 3."),
        Problem::internal("the secret reason"),
    ] {
        let value = problem.to_value();
        assert!(schema.is_valid(&value), "{value}");
    }
    assert!(!schema.is_valid(&json!({ "title": "?", "status": 400, "detail": "?" })));
}

#[test]
#[should_panic(expected = "two schemas are called Thing")]
fn two_types_of_one_name_are_found() {
    #[derive(Serialize, JsonSchema)]
    #[schemars(rename = "Thing")]
    struct Another {
        size: u8,
    }
    fn other(schemas: &mut Schemas) -> Operation {
        Operation::new("other", "things", "?").answer(200, Answer::json(schemas.answer::<Another>(), "?"))
    }
    let routes = routes().public(Method::GET, "/other", async || ()).described(other);
    drop(routes.document(&ABOUT));
}
