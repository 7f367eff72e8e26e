use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Router, response::Redirect, routing::post};
use tokio::net::TcpListener;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A server on this machine, with its port and how often it was asked.
async fn server() -> (u16, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let router = Router::new()
        .route("/large", post(async || "x".repeat(1 << 20)))
        .route("/elsewhere", post(async || Redirect::temporary("/large")))
        .layer(axum::middleware::map_request(move |request: axum::extract::Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(request)
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, asked)
}

fn client(allowed: &[&str]) -> HttpClient {
    let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
    HttpClient::new(Reachable::public_and(allowed), TIMEOUT)
}

async fn ask(client: &HttpClient, url: &str) -> Result<Answer, HttpError> {
    client.post(&url.parse().unwrap(), HeaderMap::new(), Bytes::from_static(b"{}")).await
}

#[tokio::test]
async fn neighbours_are_not_asked_whatever_they_are_called() {
    let (port, asked) = server().await;
    let client = client(&[]);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"] {
        let answer = ask(&client, &format!("http://{host}:{port}/large")).await;
        assert!(answer.is_err(), "{host} answered: {answer:?}");
    }
    for host in ["127.0.0.1", "localhost"] {
        assert!(matches!(ask(&client, &format!("http://{host}:{port}/large")).await, Err(HttpError::Refused)), "{host}");
        assert!(matches!(client.check(host).await, Err(HttpError::Refused)), "{host}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_allowed_is_asked_and_only_the_beginning_is_read() {
    let (port, asked) = server().await;
    let client = client(&["127.0.0.0/8", "::1/128"]);
    client.check("localhost").await.unwrap();
    let answer = ask(&client, &format!("http://localhost:{port}/large")).await.unwrap();
    assert_eq!((answer.status, answer.body.len(), asked.load(Ordering::SeqCst)), (StatusCode::OK, MOST_READ, 1));
    assert_eq!(answer.excerpt().unwrap().len(), 200);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (port, asked) = server().await;
    let answer = ask(&client(&["127.0.0.0/8"]), &format!("http://127.0.0.1:{port}/elsewhere")).await.unwrap();
    assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (StatusCode::TEMPORARY_REDIRECT, 1));
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = HttpClient::new(Reachable::everything(), Duration::from_millis(100));
    assert!(matches!(ask(&client, &url).await, Err(HttpError::Timeout(_))));
}
