use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    id: Option<u32>,
    #[serde(default)]
    lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    quantity: u32,
    kind: Option<Kind>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Gift,
}

fn first_error(text: &str) -> Value {
    let problem = parse_json::<Order>(text.as_bytes()).unwrap_err();
    assert_eq!(problem.slug(), "invalid-request");
    problem.to_value()["errors"][0].clone()
}

#[test]
fn errors_point_at_the_field() {
    for (text, pointer, detail) in [
        (r#"{"id": "x"}"#, "/id", "invalid type: string \"x\", expected u32"),
        (r#"{"id": -1}"#, "/id", "invalid value: integer `-1`, expected u32"),
        (r#"{"di": 1}"#, "/di", "unknown field `di`, expected `id` or `lines`"),
        (r#"{"a/b~c": 1}"#, "/a~1b~0c", "unknown field `a/b~c`, expected `id` or `lines`"),
        (r#"{"lines": [{"quantity": 1}, {}]}"#, "/lines/1/quantity", "missing field `quantity`"),
        (r#"{"lines": [{"quantity": 1, "x": 0}]}"#, "/lines/0/x", "unknown field `x`, expected `quantity` or `kind`"),
        (r#"{"lines": [{"quantity": 1, "kind": "g"}]}"#, "/lines/0/kind", "unknown variant `g`, expected `gift`"),
        (r#"{"lines": 7}"#, "/lines", "invalid type: integer `7`, expected a sequence"),
        (r#"{"id": 1, "id": 2}"#, "/id", "duplicate field `id`"),
        (r"[]", "", "invalid type: sequence, expected an object"),
        (r"7", "", "invalid type: integer `7`, expected struct Order"),
    ] {
        let error = first_error(text);
        assert_eq!((&error["pointer"], &error["detail"]), (&pointer.into(), &detail.into()), "{text}");
    }
}

#[test]
fn a_syntax_error_says_where() {
    for (text, position) in
        [("{\n\"id\": 1,}", "line 2 column 9"), ("{\"id\": 1", "line 1 column 8"), ("{} x", "line 1 column 4")]
    {
        let error = first_error(text);
        assert_eq!(error["pointer"], "", "{text}");
        assert!(error["detail"].as_str().unwrap().ends_with(position), "{error}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert_eq!(parse_json::<Value>(b"\"\xff\"").unwrap_err().status(), 400);
}

#[test]
fn errors_in_a_part_point_into_the_whole() {
    for (text, pointer) in [(r#"{"id": "x"}"#, "/data/id"), ("[1]", "/data"), (r#"{"lines": [{}]}"#, "/data/lines/0/quantity")] {
        let problem = parse_json_at::<Order>("/data", text.as_bytes()).unwrap_err();
        assert_eq!(problem.to_value()["errors"][0]["pointer"], pointer, "{text}");
    }
}

#[test]
fn nothing_is_an_empty_object() {
    for text in ["", "  \r\n\t"] {
        assert_eq!(parse_json::<Order>(text.as_bytes()).unwrap(), Order { id: None, lines: vec![] });
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = r#"{"a":"#.repeat(100_000);
    assert_eq!(parse_json::<Value>(deep.as_bytes()).unwrap_err().status(), 400);
}
