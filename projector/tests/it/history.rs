//! A stand-in for the command service: histories of streams, the feed, and keys of personal data, which can be down.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use events::{DataKey, RecordedEvent};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::{
    auth::{Role, Verifier},
    config::Secret,
    problem::Problem,
};
use uuid::Uuid;

use super::{process::SECRET, world::World};

/// Lanes of the feed.
const LANES: u16 = 2;

#[derive(Clone, Default)]
pub(crate) struct CommandService(Arc<Inner>);

#[derive(Default)]
struct Inner {
    events: Mutex<Vec<RecordedEvent>>,
    keys: Mutex<HashMap<Uuid, DataKey>>,
    is_down: AtomicBool,
    asked: AtomicBool,
    pages: AtomicUsize,
}

impl CommandService {
    /// Serves until the test ends; the URL comes with it.
    pub(crate) fn start(world: &World) -> (Self, String) {
        let service = Self::default();
        let router = Router::new()
            .route("/health", get(async || "{}"))
            .route("/v1/{context}/{stream}/events", get(history))
            .route("/v1/lanes", get(lanes))
            .route("/v1/feed", get(feed))
            .route("/v1/personal-keys", post(personal_keys))
            .with_state(service.clone());
        let listener = world.runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        world.runtime().spawn(async move { axum::serve(listener, router).await });
        (service, url)
    }

    pub(crate) fn knows(&self, events: &[RecordedEvent]) {
        let mut known = self.0.events.lock().unwrap();
        for event in events {
            let lane = lane_of(event);
            let seq = known.iter().filter(|known| known.lane == lane).count() + 1;
            known.push(RecordedEvent { lane, seq: u64::try_from(seq).unwrap(), ..event.clone() });
        }
    }

    /// The store has these events instead of those of the same versions.
    pub(crate) fn knows_better(&self, events: &[RecordedEvent]) {
        let mut known = self.0.events.lock().unwrap();
        let is_same =
            |one: &RecordedEvent, other: &RecordedEvent| (one.stream_id, one.version) == (other.stream_id, other.version);
        for old in known.iter_mut() {
            if let Some(new) = events.iter().find(|new| is_same(old, new)) {
                *old = RecordedEvent { lane: old.lane, seq: old.seq, ..new.clone() };
            }
        }
    }

    pub(crate) fn keeps_key(&self, id: Uuid, key: DataKey) {
        self.0.keys.lock().unwrap().insert(id, key);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Whether anyone has asked for anything.
    pub(crate) fn was_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Pages of the feed that were read.
    pub(crate) fn pages(&self) -> usize {
        self.0.pages.load(Ordering::SeqCst)
    }

    fn admits(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        self.0.asked.store(true, Ordering::SeqCst);
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let caller = Verifier::new(&Secret::new(SECRET)).verify(token.ok_or(StatusCode::UNAUTHORIZED)?);
        let is_service = caller.is_ok_and(|caller| caller.has(Role::Service));
        if is_service { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
    }
}

async fn history(
    State(service): State<CommandService>,
    headers: HeaderMap,
    Path((_, stream)): Path<(String, Uuid)>,
    Query(query): Query<HashMap<String, u64>>,
) -> Result<Json<Value>, Response> {
    service.admits(&headers).map_err(StatusCode::into_response)?;
    let after = query["after"];
    let mut events: Vec<_> = service.0.events.lock().unwrap().clone();
    events.retain(|event| event.stream_id == stream);
    if events.is_empty() {
        return Err(Problem::not_found("There is no such stream.").into_response());
    }
    events.retain(|event| event.version > after);
    events.sort_by_key(|event| event.version);
    // Small pages, so that the projector has to turn them.
    let next = (events.len() > 1).then(|| events[0].version);
    events.truncate(1);
    Ok(Json(json!({ "events": events, "next": next })))
}

fn lane_of(event: &RecordedEvent) -> u16 {
    u16::from(event.stream_id.as_bytes()[15]) % LANES
}

async fn lanes(State(service): State<CommandService>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    service.admits(&headers)?;
    let events = service.0.events.lock().unwrap();
    let heads: Vec<_> = (0..LANES).map(|lane| events.iter().filter(|event| event.lane == lane).count()).collect();
    Ok(Json(json!({ "heads": heads })))
}

#[derive(Deserialize)]
struct FeedQuery {
    lane: u16,
    after: u64,
    limit: usize,
}

async fn feed(
    State(service): State<CommandService>,
    headers: HeaderMap,
    Query(query): Query<FeedQuery>,
) -> Result<String, StatusCode> {
    service.admits(&headers)?;
    service.0.pages.fetch_add(1, Ordering::SeqCst);
    let events = service.0.events.lock().unwrap();
    let page = events.iter().filter(|event| event.lane == query.lane && event.seq > query.after).take(query.limit);
    Ok(page.map(|event| serde_json::to_string(event).unwrap() + "\n").collect())
}

async fn personal_keys(
    State(service): State<CommandService>,
    headers: HeaderMap,
    Json(wanted): Json<HashMap<String, Vec<Uuid>>>,
) -> Result<Json<Value>, StatusCode> {
    service.admits(&headers)?;
    let keys = service.0.keys.lock().unwrap();
    let found: HashMap<_, _> = wanted["ids"].iter().filter_map(|id| Some((*id, keys.get(id)?.to_base64()))).collect();
    Ok(Json(json!({ "keys": found })))
}
