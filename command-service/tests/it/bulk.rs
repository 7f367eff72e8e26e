//! `POST /v1/commands`: many commands on one connection, answered line by line.

use std::time::Duration;

use futures::{SinkExt, StreamExt, channel::mpsc};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Answer, Database, Instance, Launch, id, product_body, staff, store};

/// The most bytes of a line.
const MAX_LINE: usize = 1 << 20;

async fn shop() -> (Database, Instance) {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    (database, shop)
}

fn create(number: u128) -> Value {
    json!({ "command": "create-product", "data": product_body(id(number), &number.to_string()) })
}

fn adjust(number: u128, if_match: u64) -> Value {
    json!({ "command": "adjust-stock", "id": id(number), "if_match": if_match, "data": { "delta": 1, "reason": "received" } })
}

/// A connection of its own on which the head of a chunked request was sent.
async fn connection(shop: &Instance) -> TcpStream {
    let address = shop.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        staff()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_lines_are_answered_in_order() {
    const STREAMS: u128 = 100;
    const EACH: u64 = 50;
    let (database, shop) = shop().await;
    let mut lines: Vec<_> = (1..=STREAMS).map(create).collect();
    // Each says which version it wants to find: any other order would be refused.
    lines.extend((1..=EACH).flat_map(|version| (1..=STREAMS).map(move |number| adjust(number, version))));
    let answers = shop.commands(&staff(), &lines).await;
    assert_eq!(answers.len(), lines.len());
    for ((answer, line), number) in answers.iter().zip(&lines).zip(1..) {
        let created = line["command"] == "create-product";
        let (status, version) = if created { (201, 1) } else { (200, line["if_match"].as_u64().unwrap() + 1) };
        let target = if created { &line["data"]["id"] } else { &line["id"] };
        let expected = (number, status, Some(version), target);
        let found =
            (answer["line"].as_u64().unwrap(), answer["status"].as_u64().unwrap(), answer["version"].as_u64(), &answer["id"]);
        assert_eq!(found, expected, "{answer}");
    }
    assert_eq!(store::checked_events(&database, "products").await.len(), lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_answered_in_its_place_and_the_rest_go_on() {
    let (_database, shop) = shop().await;
    let order = |data: Value| json!({ "command": "place-order", "id": id(5), "data": data }).to_string();
    let lines = [
        create(1).to_string(),
        "nonsense".to_owned(),
        "[]".to_owned(),
        json!({ "command": "teleport", "id": id(1) }).to_string(),
        json!({ "command": "create-product", "colour": "red" }).to_string(),
        json!({ "command": "adjust-stock", "data": { "delta": 1, "reason": "received" } }).to_string(),
        json!({ "command": "adjust-stock", "id": id(1), "key": "a b", "data": { "delta": 1, "reason": "received" } }).to_string(),
        order(json!({ "lines": [{ "product_id": id(1), "quantity": 1 }, { "product_id": id(1) }] })),
        order(json!({ "lines": [{ "product_id": id(1), "quantity": "1" }] })),
        order(json!({ "lines": [{ "product_id": id(1), "quantity": 1 }], "occurred_at": "2126-01-01T00:00:00Z" })),
        order(json!({ "lines": vec![json!({ "product_id": id(1), "quantity": 1 }); 2_001] })),
        order(json!([])),
        json!({ "command": "confirm-order", "id": id(5) }).to_string(),
        format!("{{\"command\": \"{}\"}}", "x".repeat(MAX_LINE)),
        format!("{{\"command\": \"{}\"}}", "y".repeat(3 * MAX_LINE)),
        adjust(1, 1).to_string(),
        adjust(1, 1).to_string(),
    ];
    let request = shop.request(Method::POST, "/v1/commands", &staff()).header("Content-Type", "application/x-ndjson");
    // An empty line is none, and the last line needs no end.
    let answer = Answer::to(request.body(lines.join("\n\r\n"))).await;
    assert_eq!(answer.lines().len(), lines.len());
    insta::assert_snapshot!(answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_may_have_one_mebibyte_and_not_a_byte_more() {
    let (_database, shop) = shop().await;
    for (length, status, end) in [(MAX_LINE, 400, "\n"), (MAX_LINE + 1, 413, "\n"), (MAX_LINE, 400, ""), (MAX_LINE + 1, 413, "")]
    {
        let line = format!("{{\"command\": \"{}\"}}", "x".repeat(length - 15));
        assert_eq!(line.len(), length);
        let request = shop.request(Method::POST, "/v1/commands", &staff()).header("Content-Type", "application/x-ndjson");
        let answers = Answer::to(request.body(line + end)).await.lines();
        assert_eq!((answers.len(), answers[0]["status"].as_u64()), (1, Some(status)), "{length} {end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_answered_while_the_next_are_still_to_come() {
    let (_database, shop) = shop().await;
    let (mut lines, body) = mpsc::channel::<Result<String, std::io::Error>>(1);
    let request = shop.request(Method::POST, "/v1/commands", &staff()).header("Content-Type", "application/x-ndjson");
    let response = request.body(Body::wrap_stream(body)).send().await.unwrap();
    let mut answers = response.bytes_stream();
    for number in 1..=20 {
        lines.send(Ok(format!("{}\n", create(number)))).await.unwrap();
        let answer = answers.next().await.unwrap().unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((answer["line"].as_u64(), answer["status"].as_u64()), (u64::try_from(number).ok(), Some(201)));
    }
    lines.close_channel();
    assert!(answers.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_read_is_not_read_from() {
    /// The kernel's buffers of both directions, and what the service keeps in flight, are far below this.
    const BOUND: usize = 128 << 20;
    let (_database, shop) = shop().await;
    let mut stream = connection(&shop).await;
    // The answer repeats the name of the unknown field.
    let lines = chunk(&format!("{{\"{}\": 1}}\n", "x".repeat(8_000)).repeat(32));
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&lines)).await {
        written.unwrap();
        sent += lines.len();
        assert!(sent < BOUND, "{sent} bytes were taken and none of the answers");
    }
    // Others are served meanwhile, and the connection's end is no harm.
    assert_eq!(shop.commands(&staff(), &[create(1)]).await[0]["status"], 201);
    drop(stream);
    assert_eq!(shop.commands(&staff(), &[create(2)]).await[0]["status"], 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_midway_leaves_whole_commands() {
    let (database, shop) = shop().await;
    for round in 0..5 {
        let mut stream = connection(&shop).await;
        let lines: String = (0..400).map(|number| format!("{}\n", create(1_000 * (round + 1) + number))).collect();
        stream.write_all(&chunk(&lines)).await.unwrap();
        // The last line breaks off.
        stream.write_all(&chunk(&create(1).to_string()[..40])).await.unwrap();
        let mut first = [0; 20];
        stream.read_exact(&mut first).await.unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200 OK"));
        drop(stream);
    }
    assert_eq!(shop.commands(&staff(), &[create(1)]).await[0]["status"], 201);
    let events = store::checked_events(&database, "products").await;
    assert!(events.len() <= 2_001, "{}", events.len());
    shop.stop().await;
}
