//! A command service that keeps its streams in memory, and makes trouble on demand.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Every 50th command is answered 503, until it has been tried once.
    Overload,
    /// The first streams break off in the middle.
    BreakOff,
    /// One order is refused.
    RefuseOneOrder,
}

#[derive(Default)]
struct Store {
    /// Names of the commands that each stream took.
    streams: HashMap<String, Vec<String>>,
    keys: HashSet<String>,
    tried: HashSet<String>,
    commands: usize,
    broken: usize,
    /// The order that is refused: the first.
    unlucky: Option<String>,
}

/// The service.
pub(crate) struct Fake {
    url: String,
    store: Arc<Mutex<Store>>,
}

type Shared = (Arc<Mutex<Store>>, Trouble);

impl Fake {
    /// Starts it on a free port.
    pub(crate) async fn start(trouble: Trouble) -> Self {
        let store = Arc::new(Mutex::new(Store::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/health", get(|| async { "{}" }))
            .route("/v1/commands", post(commands))
            .with_state((Arc::clone(&store), trouble));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, store }
    }

    /// An address where nobody listens.
    pub(crate) async fn gone() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { url: format!("http://{}", listener.local_addr().unwrap()), store: Arc::default() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Events written.
    pub(crate) fn events(&self) -> usize {
        self.store.lock().unwrap().streams.values().map(Vec::len).sum()
    }

    /// Orders that did not live as they should.
    pub(crate) fn out_of_order(&self) -> Vec<String> {
        let life = ["place-order", "confirm-order", "ship-order", "deliver-order"];
        let store = self.store.lock().unwrap();
        let orders = store.streams.iter().filter(|(_, events)| events[0] == "place-order");
        orders.filter(|(_, events)| events[..4] != life).map(|(id, _)| id.clone()).collect()
    }

    /// As after 24 hours.
    pub(crate) fn forget_keys(&self) {
        self.store.lock().unwrap().keys.clear();
    }
}

async fn commands(State(shared): State<Shared>, body: Body) -> Response {
    let lines = stream::unfold((body.into_data_stream(), Vec::new()), |(mut chunks, mut buffer): (_, Vec<u8>)| async {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                return Some((line, (chunks, buffer)));
            }
            buffer.extend_from_slice(&chunks.next().await?.ok()?);
        }
    });
    let answers = lines.enumerate().map(move |(index, line)| answer(&shared, index, &line));
    // A broken answer ends the chunked body without its end.
    let bytes = answers.map(|answer| answer.ok_or_else(|| std::io::Error::other("broken off")));
    Body::from_stream(bytes).into_response()
}

fn answer((store, trouble): &Shared, index: usize, line: &[u8]) -> Option<Bytes> {
    let line: Value = serde_json::from_slice(line).unwrap();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    let (id, key, command) = (text("id"), text("key"), text("command"));
    let mut store = store.lock().unwrap();
    store.commands += 1;
    if *trouble == Trouble::BreakOff && index == 30 && store.broken < 6 {
        store.broken += 1;
        return None;
    }
    let first_try = store.tried.insert(key.clone());
    let problem = |status: u16, name: &str| json!({ "line": index + 1, "status": status, "problem": { "type": "https://orderflow.dev/problems/x", "rule": name, "detail": "no", "retry_after": 0 } });
    let count = store.commands;
    let taken = store.streams.get(&id).cloned().unwrap_or_default();
    let value = if *trouble == Trouble::Overload && first_try && count % 50 == 0 {
        problem(503, "Overloaded")
    } else if *trouble == Trouble::RefuseOneOrder
        && command == "place-order"
        && *store.unlucky.get_or_insert_with(|| id.clone()) == id
    {
        problem(422, "TooExpensive")
    } else if store.keys.contains(&key) {
        json!({ "line": index + 1, "status": 200, "id": id, "version": taken.len(), "lane": 0, "seq": 1, "replayed": true })
    } else if let Some(refused) = refusal(&command, &taken) {
        problem(409, refused)
    } else {
        let is_known_return = command == "return-order" && taken.contains(&key);
        if !is_known_return {
            let name = if command == "return-order" { key.clone() } else { command };
            store.streams.entry(id.clone()).or_default().push(name);
        }
        store.keys.insert(key);
        json!({ "line": index + 1, "status": 200, "id": id, "version": taken.len() + 1, "lane": 0, "seq": 1 })
    };
    Some(Bytes::from(format!("{value}\n")))
}

fn refusal(command: &str, taken: &[String]) -> Option<&'static str> {
    let has = |name: &str| taken.iter().any(|event| event == name);
    match command {
        "register-user" if has(command) => Some("AlreadyRegistered"),
        "create-product" if has(command) => Some("AlreadyCreated"),
        "place-order" if has(command) => Some("AlreadyPlaced"),
        "register-user" | "create-product" | "place-order" => None,
        _ if taken.is_empty() => Some("OrderNotFound"),
        "confirm-order" if has("confirm-order") => Some("AlreadyConfirmed"),
        "ship-order" if has("ship-order") => Some("AlreadyShipped"),
        "deliver-order" if has("deliver-order") => Some("AlreadyDelivered"),
        "ship-order" if !has("confirm-order") => Some("NotConfirmed"),
        "deliver-order" if !has("ship-order") => Some("NotShipped"),
        "return-order" if !has("deliver-order") => Some("NotDelivered"),
        _ => None,
    }
}
