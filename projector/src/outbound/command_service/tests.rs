use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::get};
use tokio::net::TcpListener;

use super::*;

/// A service that is busy for the first `busy` requests, and how often it was asked.
async fn service(busy: usize) -> (CommandService, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let answer = async move || {
        let is_busy = counting.fetch_add(1, Ordering::SeqCst) < busy;
        if is_busy { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok(Json(serde_json::json!({"heads": [7]}))) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/lanes", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let bases = Bases::new(|_| base.clone());
    (CommandService::new(bases, Secret::new("a secret of at least thirty-two bytes")).unwrap(), asked)
}

#[tokio::test]
async fn a_busy_service_is_asked_again_but_not_for_ever() {
    let (commands, asked) = service(3).await;
    assert_eq!(commands.lanes(Context::Orders).await.unwrap(), [7]);
    assert_eq!(asked.load(Ordering::SeqCst), 4);

    let (commands, asked) = service(usize::MAX).await;
    let error = commands.lanes(Context::Orders).await.unwrap_err();
    assert!(matches!(error, CommandServiceError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1 + BUSY_TIMES);
}
