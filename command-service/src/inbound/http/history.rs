//! A stream's events and its state at any version or time, straight from the event store: audit and time travel.
//!
//! Personal data shows as it is stored: encrypted.

use std::sync::Arc;

use axum::{Json as JsonBody, extract::State};
use chrono::{DateTime, Utc};
use events::{Context, DomainEvent, RecordedEvent, StreamId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
};
use uuid::Uuid;

use super::problems;
use crate::{
    application::{commands::Commands, state::Versioned},
    domain::Aggregate,
    outbound::postgres::read::{self, StoredEvent},
};

/// Events on one page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 100;
/// Events on one page, at most, and in one read while folding.
const MAX_LIMIT: u32 = 1_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// The version of the last event that the caller has.
    #[serde(default)]
    after: u64,
    /// How many events at most: 100 unless given.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct EventsPage {
    events: Vec<RecordedEvent>,
    /// The `after` of the next page; null on the last.
    next: Option<u64>,
}

/// `GET /v1/orders/{id}/events?after=0&limit=100`
pub(super) async fn events<A: Aggregate>(
    State(commands): State<Arc<Commands>>,
    principal: Principal,
    Path(stream): Path<Uuid>,
    Query(query): Query<EventsQuery>,
) -> Result<JsonBody<EventsPage>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid_parameter("limit", format!("must be 1 to {MAX_LIMIT}")));
    }
    let context = context_of::<A>();
    let pool = problems::here(commands.stores.of(context), context)?.pool();
    authorise(&commands, &principal, context, stream).await?;
    let mut events = read::history(pool, stream, query.after, i64::from(limit) + 1).await.map_err(problems::read_failed)?;
    if events.is_empty() && query.after == 0 {
        return Err(missing(context));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = events.len() > limit;
    events.truncate(limit);
    let next = if more { events.last().map(|event| event.version) } else { None };
    Ok(JsonBody(EventsPage { events, next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateQuery {
    /// As it was at this version; not with `at`.
    version: Option<u64>,
    /// As it was known at this time.
    at: Option<DateTime<Utc>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StateAt")]
pub(super) struct StateAt<A> {
    id: StreamId,
    version: u64,
    /// As the service itself has it: for people who look into something. `status` says how it stands; the rest is no contract.
    state: A,
}

/// `GET /v1/orders/{id}/state?version=N` or `?at=TIME` (by the time of recording: what was known then), or as it is now.
pub(super) async fn state<A: Aggregate>(
    State(commands): State<Arc<Commands>>,
    principal: Principal,
    Path(stream): Path<Uuid>,
    Query(query): Query<StateQuery>,
) -> Result<JsonBody<StateAt<A>>, Problem> {
    if query.version.is_some() && query.at.is_some() {
        return Err(Problem::invalid_parameter("at", "give a version or a time, not both"));
    }
    let context = context_of::<A>();
    let pool = problems::here(commands.stores.of(context), context)?.pool();
    authorise(&commands, &principal, context, stream).await?;
    let mut folded = Versioned::<A>::default();
    loop {
        let page = read::history(pool, stream, folded.version, i64::from(MAX_LIMIT)).await.map_err(problems::read_failed)?;
        let full = page.len() == usize::try_from(MAX_LIMIT).unwrap_or(usize::MAX);
        for event in page {
            let within =
                query.version.is_none_or(|version| event.version <= version) && query.at.is_none_or(|at| event.recorded_at <= at);
            if !within {
                return found(stream, folded, context);
            }
            folded = folded.apply(&stored(event)).map_err(problems::read_failed)?;
        }
        if !full {
            break;
        }
    }
    if let Some(version) = query.version.filter(|version| *version > folded.version) {
        return Err(Problem::not_found(format!("There is no version {version}: the last one is {}.", folded.version)));
    }
    found(stream, folded, context)
}

fn found<A>(stream: StreamId, folded: Versioned<A>, context: Context) -> Result<JsonBody<StateAt<A>>, Problem> {
    if folded.version == 0 {
        return Err(missing(context));
    }
    Ok(JsonBody(StateAt { id: stream, version: folded.version, state: folded.state }))
}

fn stored(event: RecordedEvent) -> StoredEvent {
    StoredEvent {
        stream: event.stream_id,
        version: event.version,
        seq: event.seq,
        event_type: event.event_type,
        data: Box::<str>::from(event.data).into_string(),
    }
}

fn context_of<A: Aggregate>() -> Context {
    <A::Event as DomainEvent>::CONTEXT
}

fn missing(context: Context) -> Problem {
    let singular = context.singular();
    Problem::not_found(format!("There is no such {singular}, or not yet at that point."))
}

/// A customer sees their own account, orders and payments; others' are to them as if they did not exist.
async fn authorise(commands: &Commands, principal: &Principal, context: Context, stream: StreamId) -> Result<(), Problem> {
    if !principal.is_customer_only() {
        return Ok(());
    }
    let owner = match context {
        Context::Users => Some(stream),
        Context::Orders => {
            let owner = commands.owner_of_order(stream).await.map_err(problems::read_failed)?;
            owner.map(|user| user.0)
        }
        Context::Payments => {
            let owner = commands.owner_of_payment(stream).await.map_err(problems::read_failed)?;
            owner.map(|user| user.0)
        }
        Context::Products => None,
    };
    if owner.is_some_and(|owner| principal.may_act_for(owner)) { Ok(()) } else { Err(missing(context)) }
}
