//! The routes of a service, closed unless opened: every route names the roles that may use it, and
//! a request without a good token (401) or such a role (403) is turned away before its body is read.
//!
//! Services get no axum router to add to, so nothing can be reached past this table, and a test
//! that walks [`Routes::table`] covers all there is.

mod endpoint;
mod exchange;
mod operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use crate::auth::{Role, Verifier};
use crate::problem::Problem;

use endpoint::{EndpointLayer, Guard};
use exchange::{Exchange, Recorder};

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with `{name}` for parameters.
    pub path: &'static str,
    /// Who may call it (an admin also where staff may); `None` is everyone, without a token.
    pub roles: Option<&'static [Role]>,
}

/// Builds a router with state `S`.
pub struct Routes<S> {
    rows: Vec<(Endpoint, MethodRouter<S>)>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    pub fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// A route for callers with at least one of these roles.
    #[must_use]
    pub fn route<H, T>(self, method: Method, path: &'static str, roles: &'static [Role], handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(Endpoint { method, path, roles: Some(roles) }, handler)
    }

    /// A route for everyone, without a token: health and the like, never data.
    #[must_use]
    pub fn public<H, T>(self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(Endpoint { method, path, roles: None }, handler)
    }

    /// Adds the routes of another part of the service.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// Every endpoint, in the order in which they were added.
    pub fn table(&self) -> impl Iterator<Item = &Endpoint> {
        self.rows.iter().map(|(endpoint, _)| endpoint)
    }

    /// The finished router. Panics when two routes collide or a path is malformed, at start-up.
    pub fn into_router(self, state: S, verifier: Arc<Verifier>) -> Router {
        let mut router = Router::new();
        for (endpoint, handler) in self.rows {
            let recorder = Recorder::new(endpoint.method.as_str(), endpoint.path);
            let guard = endpoint.roles.map(|roles| Guard::new(roles, Arc::clone(&verifier)));
            let layer = EndpointLayer::new(guard, recorder);
            router = router.route(endpoint.path, handler.route_layer(layer));
        }
        let unmatched = Arc::new(Recorder::new("other", exchange::UNMATCHED));
        let missing = Arc::clone(&unmatched);
        router
            .fallback(async move |request: Request| {
                let exchange = Exchange::begin(&request, &missing);
                let problem = Problem::not_found("There is nothing at this path.");
                exchange.end(&missing, problem.into_response())
            })
            .method_not_allowed_fallback(async move |request: Request| {
                let exchange = Exchange::begin(&request, &unmatched);
                let problem = Problem::method_not_allowed("This path takes the methods in the Allow header.");
                exchange.end(&unmatched, problem.into_response())
            })
            .with_state(state)
    }

    fn add<H, T>(mut self, endpoint: Endpoint, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(endpoint.method.clone()).expect("one of the methods of RFC 9110");
        self.rows.push((endpoint, on(filter, handler)));
        self
    }
}

#[cfg(test)]
mod tests;
