//! A text message provider that sends nothing: it takes messages as the notifier posts them, and shows what it has taken.
//!
//! `POST /messages` with `{"to", "text"}` answers 202 with `{"id"}`. The same `Idempotency-Key` gets the same answer and no
//! second message; numbers that end in `00` are refused (422), and those in `99` fail (500). `GET /messages` shows all.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use axum::{Json, Router, extract::State, routing::post};
use clap::Parser;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

/// A text message provider that sends nothing.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Config {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env, default_value = "127.0.0.1:8089")]
    http_addr: SocketAddr,
    /// File to write the bound address into.
    #[arg(long, env)]
    addr_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
struct Asked {
    to: String,
    text: String,
}

#[derive(Debug, Clone, Serialize)]
struct Message {
    id: Uuid,
    key: Option<String>,
    to: String,
    text: String,
    /// How often it was posted.
    posted: u32,
}

type Messages = Arc<Mutex<Vec<Message>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let listener = TcpListener::bind(config.http_addr).await.context("HTTP_ADDR")?;
    if let Some(path) = &config.addr_file {
        // By rename, so that whoever waits for the file never reads half an address.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, listener.local_addr()?.to_string()).context("ADDR_FILE")?;
        std::fs::rename(&partial, path).context("ADDR_FILE")?;
    }
    let router = Router::new().route("/messages", post(take).get(show)).with_state(Messages::default());
    Ok(axum::serve(listener, router).await?)
}

async fn take(State(messages): State<Messages>, headers: HeaderMap, Json(asked): Json<Asked>) -> (StatusCode, Json<Value>) {
    if asked.to.ends_with("00") {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": "there is no such number" })));
    }
    if asked.to.ends_with("99") {
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": "as you wish" })));
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = messages.iter_mut().find(|known| key.is_some() && known.key == key) {
        known.posted += 1;
        return (StatusCode::ACCEPTED, Json(json!({ "id": known.id })));
    }
    let id = Uuid::new_v4();
    messages.push(Message { id, key, to: asked.to, text: asked.text, posted: 1 });
    (StatusCode::ACCEPTED, Json(json!({ "id": id })))
}

async fn show(State(messages): State<Messages>) -> Json<Value> {
    let messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "messages": *messages }))
}
