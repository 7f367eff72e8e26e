//! What people ask: where an order's fulfilment is, and what operators do about those that need a person.

use std::sync::Arc;

use axum::{Json as JsonBody, extract::State};
use events::{
    OrderId,
    text::{ProviderReference, Reason},
};
use http::{Method, StatusCode};
use serde::Deserialize;
use service_kit::{
    auth::{Principal, Role},
    json::{Json, Path, Query},
    problem::Problem,
    routes::Routes,
};
use tokio::sync::Notify;

use crate::outbound::postgres::{Filter, Listing, OperateError, PostgresError, SagaView, Store, Verb};

/// What the handlers work with. Cloning shares it.
#[derive(Clone)]
pub struct Api {
    /// The sagas.
    pub store: Store,
    /// Hears that there may be new steps.
    pub due: Arc<Notify>,
}

/// Who may look at an order: its owner among others.
const READERS: &[Role] = &[Role::Customer, Role::Staff, Role::Service];
/// Operators, and the tools that work for them.
const OPERATORS: &[Role] = &[Role::Admin, Role::Service];
/// Who may see what is tried.
const INSIDERS: &[Role] = &[Role::Staff, Role::Service];

/// Entries of a list, where the caller does not say.
const LIMIT: i64 = 50;
/// Entries of a list, at most.
const MOST: i64 = 10_000;
/// What a list can be narrowed to.
const STAGES: [&str; 7] = ["running", "confirmed", "fulfilled", "ending", "cancelled", "stuck", "parked"];
/// Seconds after which to ask again about a step that is being taken.
const SOON: u64 = 2;

/// Every endpoint, with who may use it.
#[must_use]
pub fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/orders/{id}/fulfilment", READERS, of_order)
        .route(Method::GET, "/v1/sagas", OPERATORS, list)
        .route(Method::GET, "/v1/sagas/{id}", OPERATORS, show)
        .route(Method::POST, "/v1/sagas/{id}/retry", OPERATORS, retry)
        .route(Method::POST, "/v1/sagas/{id}/skip", OPERATORS, skip)
        .route(Method::POST, "/v1/sagas/{id}/abort", OPERATORS, abort)
}

async fn of_order(State(api): State<Api>, caller: Principal, Path(order): Path<OrderId>) -> Result<JsonBody<SagaView>, Problem> {
    let missing = || Problem::not_found("There is no such order, or nothing is known of its fulfilment yet.");
    let view = api.store.view(order).await?.ok_or_else(missing)?;
    if caller.has_any(INSIDERS) {
        return Ok(JsonBody(view));
    }
    let is_own = view.user_id().is_some_and(|user| caller.may_act_for(user.0));
    if is_own { Ok(JsonBody(view.for_its_owner())) } else { Err(missing()) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    stage: Option<String>,
    limit: Option<i64>,
}

async fn list(State(api): State<Api>, Query(query): Query<ListQuery>) -> Result<JsonBody<Listing>, Problem> {
    if query.stage.as_deref().is_some_and(|stage| !STAGES.contains(&stage)) {
        return Err(Problem::invalid_parameter("stage", format!("must be one of {}", STAGES.join(", "))));
    }
    let limit = query.limit.unwrap_or(LIMIT);
    if !(0..=MOST).contains(&limit) {
        return Err(Problem::invalid_parameter("limit", format!("must be between 0 and {MOST}")));
    }
    Ok(JsonBody(api.store.list(&Filter { stage: query.stage, limit }).await?))
}

async fn show(State(api): State<Api>, Path(order): Path<OrderId>) -> Result<JsonBody<SagaView>, Problem> {
    api.shown(order).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn retry(
    State(api): State<Api>,
    caller: Principal,
    Path(order): Path<OrderId>,
    Json(Nothing {}): Json<Nothing>,
) -> Result<JsonBody<SagaView>, Problem> {
    api.operate(order, &Verb::Retry, &caller).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipBody {
    reference: Option<ProviderReference>,
}

async fn skip(
    State(api): State<Api>,
    caller: Principal,
    Path(order): Path<OrderId>,
    Json(SkipBody { reference }): Json<SkipBody>,
) -> Result<JsonBody<SagaView>, Problem> {
    api.operate(order, &Verb::Skip(reference), &caller).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AbortBody {
    reason: Reason,
}

async fn abort(
    State(api): State<Api>,
    caller: Principal,
    Path(order): Path<OrderId>,
    Json(AbortBody { reason }): Json<AbortBody>,
) -> Result<JsonBody<SagaView>, Problem> {
    api.operate(order, &Verb::Abort(reason), &caller).await
}

impl Api {
    async fn operate(&self, order: OrderId, verb: &Verb, caller: &Principal) -> Result<JsonBody<SagaView>, Problem> {
        self.store.operate(order, verb, caller.subject()).await?;
        tracing::info!(order.id = %order, saga.verb = verb.name(), operator = caller.subject(), "an operator has decided");
        self.due.notify_one();
        self.shown(order).await
    }

    async fn shown(&self, order: OrderId) -> Result<JsonBody<SagaView>, Problem> {
        let view = self.store.view(order).await?;
        view.map(JsonBody).ok_or_else(|| OperateError::NotFound.into())
    }
}

impl From<PostgresError> for Problem {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Unavailable(_) | PostgresError::Conflict(_) => {
                Self::unavailable("The sagas can't be reached; nothing was changed.", error).with_retry_after(1)
            }
            PostgresError::Defect(_) => Self::internal(error),
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::NotFound => {
                Self::not_found("There is no saga of this order: it is unknown, or another system carries it out.")
            }
            OperateError::Nothing(verb) => Self::new(
                StatusCode::CONFLICT,
                "nothing-to-do",
                "There is nothing to do",
                format!("This saga has nothing to {verb}: look at its stage, and at its step if it has one."),
            ),
            OperateError::BeingTaken => Self::new(
                StatusCode::CONFLICT,
                "step-being-taken",
                "The step is being taken",
                "An attempt at the step has begun and not ended: its outcome may be known in a moment. Ask again then.",
            )
            .with_retry_after(SOON),
            OperateError::Postgres(error) => error.into(),
        }
    }
}
