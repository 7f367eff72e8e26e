//! Who is there, and how they are.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::harness::{Shop, staff};

/// Answers every request so, on a port of its own.
async fn answering(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    port
}

#[tokio::test]
async fn each_instance_is_asked_how_it_is() {
    let well = answering("200 OK", "{}").await;
    let report = r#"{"status": "not-ready", "checks": {"kafka": {"status": "failed"}, "redis": {"status": "ok"}}}"#;
    let ill = answering("503 Service Unavailable", report).await;
    let mute = answering("500 Internal Server Error", "").await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let instance = |name: &str, port: u16| format!("{name}=http://127.0.0.1:{port}");
    let list = [instance("a", well), instance("b", ill), instance("c", mute), instance("d", gone)].join(",");
    let shop = Shop::open_with(&["--services", &list]).await;
    let answer = shop.get("/v1/services", &staff()).await.json();
    assert_eq!(answer["current"], true);
    let told = |service: &Value| json!([service["name"], service["health"]["status"], service["health"]["detail"]]);
    let told: Vec<_> = answer["services"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        told[..3],
        [
            json!(["a", "healthy", null]),
            json!(["b", "unhealthy", "failed: kafka"]),
            json!(["c", "unhealthy", "it answered 500 Internal Server Error"]),
        ]
    );
    assert_eq!((&told[3][0], &told[3][1]), (&json!("d"), &json!("unreachable")));
    assert!(told[3][2].as_str().is_some_and(|why| why.contains("refused")), "{answer}");
}

#[tokio::test]
async fn an_answer_without_the_registry_says_so() {
    let shop = Shop::open_with(&["--registry-url", "redis://127.0.0.1:1/0"]).await;
    let answer = shop.get("/v1/services", &staff()).await;
    assert_eq!(answer.json(), json!({"current": false, "services": []}));
}
