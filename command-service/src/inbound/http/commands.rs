//! Commands over HTTP: one body type each, submitted one by one here and line by line in [`super::batch`].

mod body;
mod orders;
mod payments;
mod products;
mod users;

use std::{collections::HashMap, marker::PhantomData, sync::Arc};

use axum::{
    Json as JsonBody,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use chrono::{TimeDelta, Utc};
use events::{Context, DomainEvent};
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts};
use schemars::JsonSchema;
use serde::Serialize;
use service_kit::{
    auth::{Principal, Role},
    json::{Json, Path},
    problem::Problem,
    routes::Routes,
    trace::{Span, SpanKind, TraceContext},
};
use uuid::Uuid;

use self::body::{Body, body};
pub use self::{
    orders::{CancelOrder, ConfirmOrder, DeliverOrder, PlaceOrder, ReturnOrder, ShipOrder},
    payments::{
        AuthorisePayment, ConfirmCapture, ConfirmRefund, ConfirmVoid, DeclinePayment, ExpirePayment, FailCapture, FailRefund,
        FailVoid, RequestCapture, RequestPayment, RequestRefund, RequestVoid,
    },
    products::{AdjustStock, ChangeProduct, CommitStock, CreateProduct, DiscontinueProduct, ReleaseStock, ReserveStock},
    users::{ChangePaymentMethod, ChangeUser, DeactivateUser, RegisterUser},
};
use super::{openapi, problems};
use crate::{
    application::{
        command::{Receipt, Refusal, Request},
        commands::Commands,
        writer::{Admission, Answer, Writers},
    },
    domain::Aggregate,
};

/// The longest idempotency key, in characters.
pub(super) const MAX_KEY: usize = 128;
/// How far a caller's clock may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Set to `true` on an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A command as a caller sends it.
pub trait CommandBody: Body {
    /// Its name in `POST /v1/commands`.
    const NAME: &'static str;
    /// What it does, in a sentence for those who call.
    const SUMMARY: &'static str;
    /// Who may send it.
    const ROLES: &'static [Role];
    /// Its context, which also names the path.
    const CONTEXT: Context;
    /// The status of an answer when something happened.
    const STATUS: StatusCode = if Self::CREATES { StatusCode::CREATED } else { StatusCode::OK };

    /// Submits it to its writer.
    fn submit(self, commands: &Commands, call: &Call, target: Target) -> impl Future<Output = Result<Answer, Problem>> + Send;
}

/// What comes with a body.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub principal: Principal,
    /// The aggregate named in the path, or in the line.
    pub id: Option<Uuid>,
    /// The part of the aggregate named in the path: a reservation, a capture and the like.
    pub part: Option<Uuid>,
    /// The idempotency key.
    pub key: Option<String>,
    /// The version that the aggregate must have.
    pub if_match: Option<u64>,
    /// The trace that the call is part of.
    pub trace: TraceContext,
    /// What to do when too many commands wait.
    pub admission: Admission,
    /// Where the body is in what the caller sent (a JSON pointer): errors point there.
    pub body_at: &'static str,
}

impl Call {
    /// The JSON pointer of a field of the body.
    #[must_use]
    pub fn field(&self, pointer: &str) -> String {
        format!("{}{pointer}", self.body_at)
    }

    /// The part of the aggregate that the command is about: named by the path, or in a line of `/v1/commands` by the data.
    fn part(&self, pointer: &str, in_body: Option<Uuid>) -> Result<Uuid, Problem> {
        match (self.part, in_body) {
            (Some(path), Some(body)) if path != body => {
                Err(Problem::invalid_field(self.field(pointer), "is another one than the path's"))
            }
            (Some(id), _) | (None, Some(id)) => Ok(id),
            (None, None) => Err(Problem::invalid_field(self.field(pointer), "is missing")),
        }
    }
}

/// The aggregate that a command is for, and what its writer must know of the call.
#[derive(Debug)]
pub struct Target {
    /// The aggregate.
    pub id: Uuid,
    /// What its writer must know.
    pub request: Request,
    /// The command's execution, from here on.
    pub span: Span,
}

/// The body of an answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    /// The aggregate.
    pub id: Uuid,
    /// Its version.
    pub version: u64,
    /// Its lane.
    pub lane: u16,
    /// The seq of the last event; null when there was nothing to do.
    pub seq: Option<u64>,
}

impl From<&Receipt> for Accepted {
    fn from(receipt: &Receipt) -> Self {
        Self { id: receipt.stream, version: receipt.version, lane: receipt.lane.0, seq: receipt.seq }
    }
}

/// The endpoints.
pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new().merge(users::routes()).merge(products::routes()).merge(orders::routes()).merge(payments::routes())
}

/// The endpoint of a command, with its description.
fn endpoint<B: CommandBody>(method: Method, path: &'static str) -> Routes<Arc<Commands>> {
    Routes::new().route(method, path, B::ROLES, command::<B>).described(openapi::command::<B>)
}

/// Authorises and submits a command. When this returns, the command has its place in the order of its stream.
pub(super) async fn execute<B: CommandBody>(commands: &Commands, call: &Call, body: B) -> Result<Answer, Problem> {
    call.principal.require(B::ROLES)?;
    problems::here(commands.stores.of(B::CONTEXT), B::CONTEXT)?;
    let occurred_at = body.occurred_at();
    if let Some(at) = occurred_at {
        call.principal.require(&[Role::Staff, Role::Service])?;
        if at > Utc::now() + CLOCK_SKEW {
            return Err(Problem::invalid_field(call.field("/occurred_at"), "is in the future"));
        }
    }
    let key = call.key.as_deref().map(|key| {
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let target = call.id.unwrap_or_default();
        let if_match = call.if_match.unwrap_or_default().to_be_bytes();
        let part = call.part.unwrap_or_default();
        let parts: [&[u8]; 5] = [B::NAME.as_bytes(), target.as_bytes(), part.as_bytes(), &if_match, &json];
        commands.digests.key(call.principal.subject(), key, &parts)
    });
    let id = match (B::CREATES, call.id.or_else(|| body.given_id())) {
        (_, Some(id)) if id.is_nil() => return Err(Problem::invalid_field("/id", "must not be the nil UUID")),
        (_, Some(id)) => id,
        (true, None) => key.map_or_else(Uuid::now_v7, |key| commands.digests.derived_id(key.id)),
        (false, None) => return Err(Problem::invalid_field("/id", "is missing: the aggregate that the command is for")),
    };
    let mut span = Span::child(&call.trace, SpanKind::Internal, || B::NAME);
    span.set("orderflow.context", B::CONTEXT.name());
    let request = Request {
        creates: B::CREATES,
        expected: call.if_match,
        key,
        occurred_at,
        correlation_id: trace_uuid(&call.trace),
        causation_id: None,
        traceparent: Some(span.context().unwrap_or(call.trace).to_string()),
    };
    body.submit(commands, call, Target { id, request, span }).await
}

/// Hands a command to its writer.
async fn send<A: Aggregate>(
    writers: &Option<Writers<A>>,
    call: &Call,
    target: Target,
    command: A::Command,
) -> Result<Answer, Problem> {
    let writers = problems::here(writers.as_ref(), <A::Event as DomainEvent>::CONTEXT)?;
    let submitted = writers.submit(target.id, command, target.request, target.span, call.admission).await;
    submitted.map_err(|refusal| problems::refused(&refusal))
}

/// What one request sets in motion shares its trace id, which is a UUID's worth of bits.
fn trace_uuid(trace: &TraceContext) -> Uuid {
    Uuid::try_parse(&trace.trace_id()).unwrap_or_else(|_| Uuid::now_v7())
}

/// Room for a command where its context runs. Without it a request is turned away before its body is read: what is offered beyond what can be done
/// must cost as little as it can.
pub(super) struct Room<B>(PhantomData<B>);

impl<B: CommandBody> FromRequestParts<Arc<Commands>> for Room<B> {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, commands: &Arc<Commands>) -> Result<Self, Problem> {
        problems::here(commands.stores.of(B::CONTEXT), B::CONTEXT)?;
        if commands.are_full(B::CONTEXT) { Err(problems::refused(&Refusal::Overloaded)) } else { Ok(Self(PhantomData)) }
    }
}

/// The handler of a command's endpoint.
async fn command<B: CommandBody>(
    State(commands): State<Arc<Commands>>,
    principal: Principal,
    _: Room<B>,
    trace: TraceContext,
    headers: HeaderMap,
    Path(path): Path<HashMap<String, Uuid>>,
    Json(body): Json<B>,
) -> Result<Response, Problem> {
    let call = Call {
        principal,
        id: path.get("id").copied(),
        part: path.iter().find(|(name, _)| *name != "id").map(|(_, part)| *part),
        key: idempotency_key(&headers)?,
        if_match: if_match(&headers)?,
        trace,
        admission: Admission::Refuse,
        body_at: "",
    };
    let answer = execute(&commands, &call, body).await?;
    let receipt = answer.await.map_err(|refusal| problems::refused(&refusal))?;
    Ok(accepted::<B>(&receipt))
}

fn accepted<B: CommandBody>(receipt: &Receipt) -> Response {
    let status = status::<B>(receipt);
    let headers = [
        (header::LOCATION, format!("/v1/{}/{}", B::CONTEXT, receipt.stream)),
        (header::ETAG, format!("\"{}\"", receipt.version)),
    ];
    let mut response = (status, headers, JsonBody(Accepted::from(receipt))).into_response();
    if receipt.replayed {
        response.headers_mut().insert(REPLAYED, http::HeaderValue::from_static("true"));
    }
    response
}

/// A command that found nothing to do has made nothing.
pub(super) fn status<B: CommandBody>(receipt: &Receipt) -> StatusCode {
    if receipt.seq.is_some() { B::STATUS } else { StatusCode::OK }
}

/// Checks an idempotency key; the error says how one looks.
pub(super) fn checked_key(key: &str) -> Result<String, String> {
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("must be 1 to {MAX_KEY} visible ASCII characters without spaces"));
    }
    Ok(key.to_owned())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let key = headers.get("idempotency-key").map(|value| checked_key(value.to_str().unwrap_or_default())).transpose();
    key.map_err(|detail| Problem::invalid_parameter("Idempotency-Key", detail))
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    version.map(Some).ok_or_else(|| Problem::invalid_parameter("If-Match", "must be one version in quotes, such as \"3\""))
}
