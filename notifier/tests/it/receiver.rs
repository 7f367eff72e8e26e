//! An endpoint: a real HTTP server that writes down what it is sent.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use http::HeaderMap;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// What it does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Answer(u16),
    /// Takes it and never answers.
    Hang,
}

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signature: String,
    pub(crate) content_type: String,
    pub(crate) raw: Vec<u8>,
}

impl Delivery {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap()
    }
}

#[derive(Clone)]
struct Shared {
    manner: Arc<Mutex<Manner>>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> Self {
        let shared = Shared { manner: Arc::new(Mutex::new(manner)), deliveries: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, server }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let delivery = Delivery {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp").parse().unwrap_or_default(),
        signature: text("webhook-signature"),
        content_type: text("content-type"),
        raw: body.to_vec(),
    };
    shared.deliveries.lock().unwrap().push(delivery);
    let manner = *shared.manner.lock().unwrap();
    match manner {
        Manner::Answer(status) => StatusCode::from_u16(status).unwrap(),
        Manner::Hang => std::future::pending().await,
    }
}
