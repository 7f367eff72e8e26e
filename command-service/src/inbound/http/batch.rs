//! `POST /v1/commands`: thousands of commands on one connection, as newline-delimited JSON, answered line by line in order.
//!
//! Lines are admitted one after the other, so that those of one stream run in order; their answers are awaited apart, so
//! that lines of different streams share batches. What is in flight is bounded, and a caller that does not read its
//! answers is not read from.

use std::{pin::pin, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use service_kit::{
    auth::Principal,
    json::{MAX_BODY, parse_json, parse_json_at},
    problem::Problem,
    trace::{Span, SpanKind, TraceContext},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    commands::{self, Accepted, Call, CommandBody},
    problems,
};
use crate::application::{
    commands::Commands,
    writer::{Admission, Answer},
};

/// Commands of one connection that may be in flight.
const IN_FLIGHT: usize = 2_048;
/// Bytes of answers that are sent together while more are ready.
const CHUNK: usize = 16 << 10;

/// Where a line has what the command's own endpoint takes as its body (a JSON pointer).
const BODY_AT: &str = "/data";

/// A command in a line of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CommandLine")]
pub(super) struct Line {
    /// Its name: the `operationId` of its own endpoint.
    command: String,
    /// The aggregate that it is for.
    id: Option<Uuid>,
    /// As `Idempotency-Key`.
    key: Option<String>,
    /// As `If-Match`, without quotes.
    if_match: Option<u64>,
    /// What its own endpoint takes as body.
    #[schemars(with = "Option<Map<String, Value>>")]
    data: Option<Box<RawValue>>,
}

/// A line on its way to its answer.
enum Pending {
    Submitted(Answer, fn(&crate::application::command::Receipt) -> http::StatusCode),
    Refused(Problem),
}

/// The handler.
pub(super) async fn commands(
    State(commands): State<Arc<Commands>>,
    principal: Principal,
    trace: TraceContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-ndjson") {
        return Err(Problem::unsupported_media_type("application/x-ndjson"));
    }
    let (admitted, answers) = mpsc::channel(IN_FLIGHT);
    tokio::spawn(admit_all(commands, principal, trace, body, admitted));
    let body = Body::from_stream(answer_all(answers).map(Ok::<_, std::convert::Infallible>));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Reads lines and admits their commands, until the end of the body or until nobody reads the answers.
async fn admit_all(
    commands: Arc<Commands>,
    principal: Principal,
    trace: TraceContext,
    body: Body,
    admitted: mpsc::Sender<Pending>,
) {
    let mut lines = pin!(lines(body));
    // What was taken is answered; a caller whose stream ends early knows by its last answer where to go on.
    while let Some(Some(line)) = commands.stopping.run_until_cancelled(lines.next()).await {
        let pending = match line {
            Ok(line) if line.trim_ascii().is_empty() => continue,
            Ok(line) => admit(&commands, &principal, trace, &line).await.unwrap_or_else(|problem| refused(&trace, problem)),
            Err(problem) => refused(&trace, problem),
        };
        if admitted.send(pending).await.is_err() {
            return;
        }
    }
}

/// A line that no writer hears of. The request's own span tells of its beginning only: its status is 200 in any case.
fn refused(trace: &TraceContext, problem: Problem) -> Pending {
    let mut span = Span::child(trace, SpanKind::Internal, || "refused line");
    span.set("orderflow.outcome", problem.slug());
    if problem.status().is_server_error() {
        span.fail(problem.slug(), problem.cause().unwrap_or_default());
    }
    Pending::Refused(problem)
}

async fn admit(commands: &Commands, principal: &Principal, trace: TraceContext, line: &[u8]) -> Result<Pending, Problem> {
    let line: Line = parse_json(line)?;
    let key = line.key.as_deref().map(commands::checked_key).transpose();
    let call = Call {
        principal: principal.clone(),
        id: line.id,
        part: None,
        key: key.map_err(|detail| Problem::invalid_field("/key", detail))?,
        if_match: line.if_match,
        // What is recorded has a span for each line, below the request's.
        trace: if trace.is_recorded() { trace } else { trace.child() },
        admission: Admission::Wait,
        body_at: BODY_AT,
    };
    let data = line.data.as_deref().map_or("{}", RawValue::get).as_bytes();
    match line.command.as_str() {
        "register-user" => submit::<commands::RegisterUser>(commands, &call, data).await,
        "change-user" => submit::<commands::ChangeUser>(commands, &call, data).await,
        "change-payment-method" => submit::<commands::ChangePaymentMethod>(commands, &call, data).await,
        "deactivate-user" => submit::<commands::DeactivateUser>(commands, &call, data).await,
        "create-product" => submit::<commands::CreateProduct>(commands, &call, data).await,
        "change-product" => submit::<commands::ChangeProduct>(commands, &call, data).await,
        "adjust-stock" => submit::<commands::AdjustStock>(commands, &call, data).await,
        "discontinue-product" => submit::<commands::DiscontinueProduct>(commands, &call, data).await,
        "reserve-stock" => submit::<commands::ReserveStock>(commands, &call, data).await,
        "release-stock" => submit::<commands::ReleaseStock>(commands, &call, data).await,
        "commit-stock" => submit::<commands::CommitStock>(commands, &call, data).await,
        "place-order" => submit::<commands::PlaceOrder>(commands, &call, data).await,
        "confirm-order" => submit::<commands::ConfirmOrder>(commands, &call, data).await,
        "cancel-order" => submit::<commands::CancelOrder>(commands, &call, data).await,
        "ship-order" => submit::<commands::ShipOrder>(commands, &call, data).await,
        "deliver-order" => submit::<commands::DeliverOrder>(commands, &call, data).await,
        "return-order" => submit::<commands::ReturnOrder>(commands, &call, data).await,
        "request-payment" => submit::<commands::RequestPayment>(commands, &call, data).await,
        "authorise-payment" => submit::<commands::AuthorisePayment>(commands, &call, data).await,
        "decline-payment" => submit::<commands::DeclinePayment>(commands, &call, data).await,
        "expire-payment" => submit::<commands::ExpirePayment>(commands, &call, data).await,
        "request-capture" => submit::<commands::RequestCapture>(commands, &call, data).await,
        "confirm-capture" => submit::<commands::ConfirmCapture>(commands, &call, data).await,
        "fail-capture" => submit::<commands::FailCapture>(commands, &call, data).await,
        "request-void" => submit::<commands::RequestVoid>(commands, &call, data).await,
        "confirm-void" => submit::<commands::ConfirmVoid>(commands, &call, data).await,
        "fail-void" => submit::<commands::FailVoid>(commands, &call, data).await,
        "request-refund" => submit::<commands::RequestRefund>(commands, &call, data).await,
        "confirm-refund" => submit::<commands::ConfirmRefund>(commands, &call, data).await,
        "fail-refund" => submit::<commands::FailRefund>(commands, &call, data).await,
        unknown => Err(Problem::invalid_field("/command", format!("`{unknown}` is no command"))),
    }
}

async fn submit<B: CommandBody>(commands: &Commands, call: &Call, data: &[u8]) -> Result<Pending, Problem> {
    let body: B = parse_json_at(BODY_AT, data)?;
    let answer = commands::execute(commands, call, body).await?;
    Ok(Pending::Submitted(answer, commands::status::<B>))
}

/// The answers as chunks of lines, in order: what is ready goes out together, and nothing ready waits.
fn answer_all(answers: mpsc::Receiver<Pending>) -> impl Stream<Item = Bytes> {
    stream::unfold((answers, 0_u64), |(mut answers, mut line)| async move {
        let mut pending = answers.recv().await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            line += 1;
            write_answer(&mut chunk, line, pending).await;
            if chunk.len() >= CHUNK {
                break;
            }
            match answers.try_recv() {
                Ok(next) => pending = next,
                Err(_) => break,
            }
        }
        Some((Bytes::from(chunk), (answers, line)))
    })
}

async fn write_answer(chunk: &mut Vec<u8>, line: u64, pending: Pending) {
    let outcome = match pending {
        Pending::Submitted(answer, status) => match answer.await {
            Ok(receipt) => Ok((status(&receipt), receipt)),
            Err(refusal) => Err(problems::refused(&refusal)),
        },
        Pending::Refused(problem) => Err(problem),
    };
    let answer = match outcome {
        Ok((status, receipt)) => {
            let Accepted { id, version, lane, seq } = Accepted::from(&receipt);
            let mut answer =
                json!({ "line": line, "status": status.as_u16(), "id": id, "version": version, "lane": lane, "seq": seq });
            if receipt.replayed {
                answer["replayed"] = true.into();
            }
            answer
        }
        Err(problem) => {
            if let Some(cause) = problem.cause() {
                tracing::warn!(line, cause, "a line of a command stream failed");
            }
            json!({ "line": line, "status": problem.status().as_u16(), "problem": problem.to_value() })
        }
    };
    chunk.extend_from_slice(answer.to_string().as_bytes());
    chunk.push(b'\n');
}

/// Splits a body into lines. A line over the limit becomes a problem, and the lines after it are read as ever.
fn lines(body: Body) -> impl Stream<Item = Result<Bytes, Problem>> {
    struct State {
        chunks: axum::body::BodyDataStream,
        buffer: BytesMut,
        /// How much of the buffer is known to hold no line end.
        scanned: usize,
        skipping: bool,
        ended: bool,
    }
    let state = State { chunks: body.into_data_stream(), buffer: BytesMut::new(), scanned: 0, skipping: false, ended: false };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(end) = state.buffer[state.scanned..].iter().position(|byte| *byte == b'\n') {
                let line = state.buffer.split_to(state.scanned + end).freeze();
                state.buffer.advance(1);
                state.scanned = 0;
                if std::mem::take(&mut state.skipping) {
                    continue;
                }
                if line.len() > MAX_BODY {
                    return Some((Err(Problem::body_too_large(MAX_BODY)), state));
                }
                return Some((Ok(line), state));
            }
            state.scanned = state.buffer.len();
            if state.scanned > MAX_BODY {
                state.buffer.clear();
                state.scanned = 0;
                if !std::mem::replace(&mut state.skipping, true) {
                    return Some((Err(Problem::body_too_large(MAX_BODY)), state));
                }
            }
            if state.ended {
                return None;
            }
            match state.chunks.next().await {
                Some(Ok(chunk)) => state.buffer.extend_from_slice(&chunk),
                Some(Err(_)) => return None,
                None => {
                    state.ended = true;
                    let rest = std::mem::take(&mut state.buffer);
                    state.scanned = 0;
                    if !rest.is_empty() && !state.skipping {
                        return Some((Ok(rest.freeze()), state));
                    }
                    return None;
                }
            }
        }
    })
}
