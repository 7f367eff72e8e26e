//! What the provider can be asked to do.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use events::{Money, text::PaymentMethod};
use futures::stream;
use http::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use service_kit::{
    json::{Json, Path},
    problem::Problem,
    routes::Routes,
};

use super::{
    Api,
    caller::{Caller, Terms},
};
use crate::{
    application::desk::{Answer, Call, Reply},
    domain::{behaviour::Telling, book::Refusal, operation::Operation},
};

/// Seconds after which a busy provider wants to be asked again.
const RETRY_AFTER: u64 = 1;

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .public(Method::POST, "/v1/authorisations", authorise)
        .public(Method::POST, "/v1/authorisations/{id}/captures", capture)
        .public(Method::POST, "/v1/authorisations/{id}/voids", void)
        .public(Method::POST, "/v1/captures/{id}/refunds", refund)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthoriseBody {
    amount: Money,
    method: PaymentMethod,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountBody {
    amount: Money,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoidBody {}

async fn authorise(
    _: Caller,
    State(api): State<Api>,
    terms: Terms,
    Json(AuthoriseBody { amount, method }): Json<AuthoriseBody>,
) -> Result<Response, Problem> {
    take(&api, terms, Operation::Authorise { amount, method }).await
}

async fn capture(
    _: Caller,
    State(api): State<Api>,
    Path(authorisation): Path<String>,
    terms: Terms,
    Json(AmountBody { amount }): Json<AmountBody>,
) -> Result<Response, Problem> {
    take(&api, terms, Operation::Capture { authorisation, amount }).await
}

async fn void(
    _: Caller,
    State(api): State<Api>,
    Path(authorisation): Path<String>,
    terms: Terms,
    Json(VoidBody {}): Json<VoidBody>,
) -> Result<Response, Problem> {
    take(&api, terms, Operation::Void { authorisation }).await
}

async fn refund(
    _: Caller,
    State(api): State<Api>,
    Path(capture): Path<String>,
    terms: Terms,
    Json(AmountBody { amount }): Json<AmountBody>,
) -> Result<Response, Problem> {
    take(&api, terms, Operation::Refund { capture, amount }).await
}

async fn take(api: &Api, Terms { key, behaviour }: Terms, operation: Operation) -> Result<Response, Problem> {
    let (done, call) = (operation.done(), Call { key, operation, behaviour });
    let reply = api.0.desk.take(call, Utc::now()).map_err(Problem::internal)?;
    tell(api, reply, done).await
}

async fn tell(api: &Api, reply: Reply, done: &'static str) -> Result<Response, Problem> {
    match reply.telling {
        Telling::Truly => {}
        Telling::Late => {
            // At the end of the process it is late enough.
            api.0.stopping.run_until_cancelled(tokio::time::sleep(api.0.slow)).await;
        }
        Telling::Falsely => return Err(failed()),
        Telling::Halfway => return Ok(half_an_answer()),
        Telling::Never => {
            // The client gives up, or this process ends.
            api.0.stopping.cancelled().await;
            return Err(failed());
        }
    }
    match reply.answer {
        Answer::Done(id) => Ok((StatusCode::CREATED, axum::Json(json!({"id": id, "status": done}))).into_response()),
        Answer::Refused(refusal) => Err(problem(refusal)),
        Answer::Failed => Err(failed()),
        Answer::Later(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Err(Problem::new(status, "busy", "Not now", "Ask again later.").with_retry_after(RETRY_AFTER))
        }
    }
}

fn failed() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "It failed", "Nobody knows whether it was done.")
}

fn problem(refusal: Refusal) -> Problem {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    Problem::new(status, "refused", "The provider refuses", refusal.detail).with_member("code", refusal.code)
}

/// An answer whose body breaks off.
fn half_an_answer() -> Response {
    let chunks = [Ok("{\"id\": \"au"), Err(std::io::Error::other("broken off on request"))];
    let body = Body::from_stream(stream::iter(chunks));
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
