//! A webhook of our own: a small HTTP server that the notifier delivers to.

use std::collections::HashSet;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, extract::State, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, Url};
use serde_json::json;
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::api::{Api, Service};

/// What it wants to hear: how each order ended.
const TYPES: [&str; 2] = ["order.confirmed.v1", "order.cancelled.v1"];
/// How long deliveries may take after the last event.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a secret begins with.
const SECRET: &str = "whsec_";

/// An endpoint that is registered, and listens.
pub(super) struct Webhook {
    id: String,
    heard: Arc<Heard>,
    server: JoinHandle<()>,
}

struct Heard {
    key: Vec<u8>,
    messages: Mutex<HashSet<String>>,
}

impl Webhook {
    /// Listens, and asks the notifier to deliver.
    pub(super) async fn open(api: &Api) -> Result<Self> {
        let host = local_address(&api.url(Service::Notifier, ""))?;
        let listener = TcpListener::bind((host, 0)).await?;
        let hook = json!({ "url": format!("http://{}/", listener.local_addr()?), "event_types": TYPES });
        let made = api.post(Service::Notifier, "/v1/webhooks", &hook).await?;
        let id = made["id"].as_str().context("the notifier gave no id")?.to_owned();
        let secret =
            made["secret"].as_str().and_then(|secret| secret.strip_prefix(SECRET)).context("the notifier gave no secret")?;
        let heard = Arc::new(Heard { key: STANDARD.decode(secret)?, messages: Mutex::default() });
        let router = Router::new().route("/", post(hear)).with_state(Arc::clone(&heard));
        let server = tokio::spawn(async move {
            // It ends when it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { id, heard, server })
    }

    /// Waits until it was told so often, and takes itself off the notifier's list; gives how often it was told.
    pub(super) async fn close(self, api: &Api, expected: usize) -> Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        while self.told() < expected && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let path = format!("/v1/webhooks/{}", self.id);
        let response = api.request(Method::DELETE, Service::Notifier, &path).send().await;
        response.map_err(|error| api.unreachable(Service::Notifier, error))?;
        self.server.abort();
        let told = self.told();
        if told < expected {
            bail!("the webhook was told of {told} of {expected} orders within {} s", PATIENCE.as_secs());
        }
        Ok(u64::try_from(told)?)
    }

    fn told(&self) -> usize {
        self.heard.messages.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A delivery: counted once, however often it comes, and only with a good signature.
async fn hear(State(heard): State<Arc<Heard>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match signed(&heard.key, &headers, &body) {
        Some(id) => {
            heard.messages.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
            StatusCode::NO_CONTENT
        }
        None => StatusCode::UNAUTHORIZED,
    }
}

/// The message's id, if it is signed with our key (<https://www.standardwebhooks.com>).
fn signed<'a>(key: &[u8], headers: &'a HeaderMap, body: &[u8]) -> Option<&'a str> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (id, at, signatures) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let ours = signatures.split(' ').filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
    ours.into_iter().any(|signature| mac.clone().verify_slice(&signature).is_ok()).then_some(id)
}

/// The address of this machine that the notifier can reach: the one that it is reached from.
fn local_address(notifier: &str) -> Result<IpAddr> {
    let url: Url = notifier.parse()?;
    let addresses = url.socket_addrs(|| None)?;
    let address = addresses.first().context("the notifier's URL names no host")?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_signed_with_our_key_is_a_delivery() {
        // The example of the specification's libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap());
            headers.insert("webhook-timestamp", "1614265330".parse().unwrap());
            headers.insert("webhook-signature", signature.parse().unwrap());
            headers
        };
        let good = headers("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signed(&key, &good, br#"{"test": 2432232314}"#), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        assert_eq!(signed(&key, &good, br#"{"test": 2432232315}"#), None);
        assert_eq!(signed(&key, &headers("v1,AAAA"), br#"{"test": 2432232314}"#), None);
    }
}
