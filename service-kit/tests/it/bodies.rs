//! Bodies and parameters: what is taken, and how what is not is explained.

use http::Method;
use reqwest::{Body, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::json::{Json, MAX_BODY, Path, Query};
use service_kit::routes::Routes;
use uuid::Uuid;

use crate::harness::{Service, next_text};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: u16,
    #[expect(dead_code, reason = "only its parsing is tested")]
    user: Option<Uuid>,
}

fn routes() -> Routes<()> {
    Routes::new()
        .public(Method::POST, "/notes", async |Json(note): Json<Note>| note.text.len().to_string())
        .public(Method::GET, "/page", async |Query(page): Query<Page>| page.limit.to_string())
        .public(Method::GET, "/one/{id}", async |Path(id): Path<Uuid>| id.to_string())
        .public(Method::GET, "/two/{id}/{rid}", async |Path((id, rid)): Path<(Uuid, Uuid)>| format!("{id} {rid}"))
        .public(Method::GET, "/version/{version}", async |Path(version): Path<u64>| version.to_string())
}

async fn notes(service: &Service, content_type: Option<&str>, body: impl Into<Body>) -> Response {
    let mut request = service.post("/notes").body(body);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.send().await.unwrap()
}

/// A note whose JSON has exactly this many bytes.
fn note_of(length: usize) -> String {
    format!(r#"{{"text":"{}"}}"#, "x".repeat(length - r#"{"text":""}"#.len()))
}

#[tokio::test]
async fn takes_json_with_or_without_parameters_and_nothing_at_all() {
    let service = Service::start(routes()).await;
    for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        let response = notes(&service, Some(content_type), r#"{"text":"abc"}"#).await;
        assert_eq!(response.text().await.unwrap(), "3", "{content_type}");
    }
    assert_eq!(notes(&service, None, "").await.text().await.unwrap(), "0");
    assert_eq!(notes(&service, Some("text/plain"), "").await.status(), 200);
}

#[tokio::test]
async fn another_media_type_is_a_415() {
    let service = Service::start(routes()).await;
    for content_type in [None, Some("text/plain"), Some("application/jsonx"), Some("application/x-www-form-urlencoded")] {
        let response = notes(&service, content_type, "{}").await;
        assert_eq!(response.status(), 415, "{content_type:?}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["detail"], "Send Content-Type: application/json.");
    }
}

#[tokio::test]
async fn takes_a_mebibyte_and_not_a_byte_more() {
    let service = Service::start(routes()).await;
    let json = Some("application/json");
    assert_eq!(notes(&service, json, note_of(MAX_BODY)).await.status(), 200);
    let declared = notes(&service, json, note_of(MAX_BODY + 1)).await;
    assert_eq!(declared.status(), 413);
    assert_eq!(declared.json::<Value>().await.unwrap()["limit"], MAX_BODY);
}

#[tokio::test]
async fn a_body_of_undeclared_length_is_bounded_too() {
    let service = Service::start(routes()).await;
    let stream = |text: String| {
        let chunks: Vec<_> = text.into_bytes().chunks(10_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        Body::wrap_stream(futures::stream::iter(chunks))
    };
    let json = Some("application/json");
    assert_eq!(notes(&service, json, stream(note_of(MAX_BODY))).await.status(), 200);
    assert_eq!(notes(&service, json, stream(note_of(MAX_BODY + 1))).await.status(), 413);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_sent() {
    let service = Service::start(routes()).await;
    let head = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 1048577\r\nexpect: 100-continue\r\n\r\n";
    let answer = next_text(&mut service.raw(head).await).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// It sends it all the same, and reads only then: the refusal must still be there, and not a reset.
#[tokio::test]
async fn a_client_that_sends_a_refused_body_to_its_end_gets_the_answer() {
    let service = Service::start(routes()).await;
    let body = "x".repeat(32 << 20);
    let head = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let answer = next_text(&mut service.raw(&text).await).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_wrong_field_is_named_by_its_pointer() {
    let service = Service::start(routes()).await;
    let response = notes(&service, Some("application/json"), r#"{"txet":"abc"}"#).await;
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({
            "type": "https://orderflow.dev/problems/invalid-request",
            "title": "The request is not valid",
            "status": 400,
            "detail": "The request body is not valid.",
            "errors": [{"pointer": "/txet", "detail": "unknown field `txet`, expected `text`"}],
        })
    );
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let service = Service::start(routes()).await;
    let id = Uuid::nil();
    for (path, parameter) in [
        ("/page", "limit"),
        ("/page?limit=x", "limit"),
        ("/page?limit=70000", "limit"),
        ("/page?limit=1&limit=2", "limit"),
        ("/page?limit=1&offset=2", "offset"),
        ("/page?limit=1&user=x", "user"),
        ("/one/x", "id"),
        ("/one/%ff", "id"),
        (&format!("/two/{id}/x"), "rid"),
        (&format!("/two/x/{id}"), "id"),
        ("/version/-1", "version"),
    ] {
        let response = service.get(path).send().await.unwrap();
        assert_eq!(response.status(), 400, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["errors"][0]["parameter"], parameter, "{path}: {body}");
    }
}

#[tokio::test]
async fn good_parameters_reach_the_handler() {
    let service = Service::start(routes()).await;
    let id = Uuid::from_u128(7);
    for (path, expected) in [
        (format!("/page?limit=5&user={id}"), "5".to_owned()),
        (format!("/one/{id}"), id.to_string()),
        (format!("/two/{id}/{id}"), format!("{id} {id}")),
    ] {
        assert_eq!(service.get(&path).send().await.unwrap().text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_harms_nobody() {
    let service = Service::start(routes()).await;
    let head = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{\"te";
    drop(service.raw(head).await);
    assert_eq!(notes(&service, None, "").await.status(), 200);
}
