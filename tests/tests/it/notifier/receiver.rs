//! An endpoint of a customer's own: it writes down what it is sent, and checks the signatures in code of its own.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde_json::Value;
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinHandle};

/// The key of every endpoint of these tests.
const KEY: [u8; 32] = [42; 32];

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) is_signed: bool,
    pub(crate) traceparent: String,
    pub(crate) body: Value,
}

#[derive(Clone)]
struct Shared {
    status: Arc<Mutex<u16>>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
    server: JoinHandle<()>,
}

/// The secret that all of them are registered with.
pub(crate) fn secret() -> String {
    format!("whsec_{}", BASE64.encode(KEY))
}

impl Receiver {
    /// Answers every delivery with this status.
    pub(crate) async fn start(status: u16) -> Self {
        let shared = Shared { status: Arc::new(Mutex::new(status)), deliveries: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, server }
    }

    pub(crate) fn answer(&self, status: u16) {
        *self.shared.status.lock().unwrap() = status;
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap().clone()
    }

    /// The ids that have come, each once.
    pub(crate) fn ids(&self) -> std::collections::BTreeSet<String> {
        self.deliveries().into_iter().map(|delivery| delivery.id).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp, signature) = (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&body);
    let given = signature.strip_prefix("v1,").and_then(|signature| BASE64.decode(signature).ok()).unwrap_or_default();
    let is_signed = mac.verify_slice(&given).is_ok();
    let body = serde_json::from_slice(&body).unwrap();
    let delivery = Delivery { id, is_signed, traceparent: text("traceparent"), body };
    shared.deliveries.lock().unwrap().push(delivery);
    let status = *shared.status.lock().unwrap();
    StatusCode::from_u16(status).unwrap()
}
