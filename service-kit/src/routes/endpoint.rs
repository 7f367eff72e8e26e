//! What surrounds each handler: authentication, role, panic, and the exchange's bookkeeping.
//! A handler around a handler, because each layer of a router costs boxes and clones a request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, header};

use super::exchange::{Exchange, Recorder};
use crate::auth::{Principal, Role, Verifier};
use crate::problem::Problem;
use crate::trace;

/// Who may pass.
pub(super) struct Guard {
    roles: &'static [Role],
    verifier: Arc<Verifier>,
}

impl Guard {
    pub(super) fn new(roles: &'static [Role], verifier: Arc<Verifier>) -> Self {
        Self { roles, verifier }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let principal = self.verifier.verify(bearer(headers)?).map_err(|error| Problem::unauthenticated(error.to_string()))?;
        principal.require(self.roles)?;
        Ok(principal)
    }
}

/// The token of `Authorization: Bearer TOKEN`; the scheme is case-insensitive.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::unauthenticated("Send Authorization: Bearer TOKEN.");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(missing());
    };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    Ok(token.trim())
}

/// What surrounds the handler of one endpoint.
pub(super) struct Surroundings {
    guard: Option<Guard>,
    recorder: Recorder,
}

impl Surroundings {
    pub(super) fn new(guard: Option<Guard>, recorder: Recorder) -> Arc<Self> {
        Arc::new(Self { guard, recorder })
    }
}

/// A handler with its surroundings.
#[derive(Clone)]
pub(super) struct Surrounded<H> {
    surroundings: Arc<Surroundings>,
    handler: H,
}

impl<H> Surrounded<H> {
    pub(super) fn new(surroundings: Arc<Surroundings>, handler: H) -> Self {
        Self { surroundings, handler }
    }
}

impl<H, T, S> Handler<T, S> for Surrounded<H>
where
    H: Handler<T, S>,
{
    type Future = BoxFuture<'static, Response>;

    fn call(self, mut request: Request, state: S) -> Self::Future {
        let Self { surroundings, handler } = self;
        let exchange = Exchange::begin(&request, &surroundings.recorder);
        match surroundings.guard.as_ref().map(|guard| guard.admit(request.headers())).transpose() {
            Ok(Some(principal)) => {
                request.extensions_mut().insert(principal);
            }
            Ok(None) => {}
            Err(problem) => {
                return std::future::ready(exchange.end(&surroundings.recorder, problem.into_response())).boxed();
            }
        }
        let context = exchange.trace();
        let waiting = Waiting { surroundings, exchange: Some(exchange) };
        request.extensions_mut().insert(context);
        // The state a handler shares with others is theirs to keep consistent across a panic, as it
        // is with any task that panics; without this the connection would break instead.
        let answer = AssertUnwindSafe(handler.call(request, state)).catch_unwind();
        Box::pin(async move {
            let answer = if trace::is_on() { trace::scope(context, answer).await } else { answer.await };
            waiting.end(answer.unwrap_or_else(|panic| Problem::internal(message_of(&*panic)).into_response()))
        })
    }
}

/// A request that waits for its answer. Dropped before that comes, it counts as one whose client has gone: then the server
/// drops the handler where it stands.
struct Waiting {
    surroundings: Arc<Surroundings>,
    exchange: Option<Exchange>,
}

impl Waiting {
    fn end(mut self, response: Response) -> Response {
        match self.exchange.take() {
            Some(exchange) => exchange.end(&self.surroundings.recorder, response),
            None => response,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abandon(&self.surroundings.recorder);
        }
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}
