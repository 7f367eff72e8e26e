//! The one layer around each handler: authentication, role, panic, and the exchange's bookkeeping.
//! One layer, because each boxed one would cost an allocation and a clone a request.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, header};
use tower::{Layer, Service};

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

struct Shared {
    guard: Option<Guard>,
    recorder: Recorder,
}

/// Wraps the handler of one endpoint.
#[derive(Clone)]
pub(super) struct EndpointLayer(Arc<Shared>);

impl EndpointLayer {
    pub(super) fn new(guard: Option<Guard>, recorder: Recorder) -> Self {
        Self(Arc::new(Shared { guard, recorder }))
    }
}

impl Layer<Route> for EndpointLayer {
    type Service = EndpointService;

    fn layer(&self, inner: Route) -> EndpointService {
        EndpointService { shared: Arc::clone(&self.0), inner }
    }
}

/// The wrapped handler.
#[derive(Clone)]
pub(super) struct EndpointService {
    shared: Arc<Shared>,
    inner: Route,
}

impl Service<Request> for EndpointService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Route as Service<Request>>::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let shared = &self.shared;
        let exchange = Exchange::begin(&request, &shared.recorder);
        match shared.guard.as_ref().map(|guard| guard.admit(request.headers())).transpose() {
            Ok(Some(principal)) => {
                request.extensions_mut().insert(principal);
            }
            Ok(None) => {}
            Err(problem) => {
                return std::future::ready(Ok(exchange.end(&shared.recorder, problem.into_response()))).boxed();
            }
        }
        let context = exchange.trace();
        let waiting = Waiting { shared: Arc::clone(shared), exchange: Some(exchange) };
        request.extensions_mut().insert(context);
        // The state a handler shares with others is theirs to keep consistent across a panic, as it
        // is with any task that panics; without this the connection would break instead.
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            let answer = if trace::is_on() { trace::scope(context, answer).await } else { answer.await };
            let response = match answer {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(panic) => Problem::internal(message_of(&*panic)).into_response(),
            };
            Ok(waiting.end(response))
        })
    }
}

/// A request that waits for its answer. Dropped before that comes, it counts as one whose client has gone: then the server
/// drops the handler where it stands.
struct Waiting {
    shared: Arc<Shared>,
    exchange: Option<Exchange>,
}

impl Waiting {
    fn end(mut self, response: Response) -> Response {
        match self.exchange.take() {
            Some(exchange) => exchange.end(&self.shared.recorder, response),
            None => response,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abandon(&self.shared.recorder);
        }
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}
