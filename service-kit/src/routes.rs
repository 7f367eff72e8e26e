//! The routes of a service, closed unless opened: every route names the roles that may use it, and
//! a request without a good token (401) or such a role (403) is turned away before its body is read.
//!
//! Services get no axum router to add to, so nothing can be reached past this table, and a test
//! that walks [`Routes::table`] covers all there is.

mod deprecation;
mod endpoint;
mod exchange;
mod operations;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::Bytes;
use http::{Method, header};
use serde_json::Value;

use crate::auth::{Role, Verifier};
use crate::openapi::{self, About, Describe};
use crate::problem::Problem;

pub use deprecation::Deprecation;

use endpoint::{Guard, Surrounded, Surroundings};
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

/// An endpoint and what is said of it.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) endpoint: Endpoint,
    pub(crate) describe: Option<Describe>,
    pub(crate) deprecation: Option<Deprecation>,
}

/// Makes a handler's route of what is to surround it.
type Surround<S> = Box<dyn FnOnce(Arc<Surroundings>) -> MethodRouter<S> + Send>;

/// Builds a router with state `S`.
pub struct Routes<S> {
    rows: Vec<(Row, Surround<S>)>,
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

    /// Describes the route that was added last.
    #[must_use]
    pub fn described(mut self, describe: Describe) -> Self {
        if let Some((row, _)) = self.rows.last_mut() {
            row.describe = Some(describe);
        }
        self
    }

    /// Marks the route that was added last: each of its answers says that it is deprecated, and so does the description.
    #[must_use]
    pub fn deprecated(mut self, deprecation: Deprecation) -> Self {
        if let Some((row, _)) = self.rows.last_mut() {
            row.deprecation = Some(deprecation);
        }
        self
    }

    /// Adds the routes of another part of the service.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// Every endpoint, in the order in which they were added.
    pub fn table(&self) -> impl Iterator<Item = &Endpoint> {
        self.rows.iter().map(|(row, _)| &row.endpoint)
    }

    /// The description of the service by OpenAPI 3.1: of the rows that are described.
    ///
    /// Panics when two types of different shape have one name.
    pub fn document(&self, about: &About) -> Value {
        openapi::document(about, self.rows.iter().map(|(row, _)| row))
    }

    /// Adds `GET /openapi.json` and `GET /docs`, a page that shows it: for everyone, and about all rows that there are now and
    /// these two.
    #[must_use]
    pub fn documented(self, about: &'static About) -> Self {
        let rows = Arc::new(OnceLock::<Vec<Row>>::new());
        let shared = (Arc::clone(&rows), Arc::new(OnceLock::<Bytes>::new()));
        let document = async move || {
            // Made when it is first asked for: most processes never are.
            let (rows, document) = &shared;
            let rows = rows.get().into_iter().flatten();
            let document = document.get_or_init(|| openapi::pretty(&openapi::document(about, rows)).into());
            ([(header::CONTENT_TYPE, "application/json")], document.clone())
        };
        let page = async || {
            let headers =
                [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, openapi::PAGE_POLICY)];
            (headers, openapi::PAGE)
        };
        let routes = self
            .public(Method::GET, "/openapi.json", document)
            .described(operations::describe_document)
            .public(Method::GET, "/docs", page)
            .described(operations::describe_page);
        // Set here, once, so that the document has these two as well.
        let _ = rows.set(routes.rows.iter().map(|(row, _)| row.clone()).collect());
        routes
    }

    /// The finished router. Panics when two routes collide or a path is malformed, at start-up.
    pub fn into_router(self, state: S, verifier: Arc<Verifier>) -> Router {
        let mut router = Router::new();
        for (Row { endpoint, deprecation, .. }, surround) in self.rows {
            let recorder = Recorder::new(endpoint.method.as_str(), endpoint.path);
            let guard = endpoint.roles.map(|roles| Guard::new(roles, Arc::clone(&verifier)));
            let handler = surround(Surroundings::new(guard, recorder));
            let handler = match deprecation {
                Some(deprecation) => handler.route_layer(map_response(move |mut response: Response| {
                    deprecation.tell(&mut response);
                    std::future::ready(response)
                })),
                None => handler,
            };
            router = router.route(endpoint.path, handler);
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
        let surround = Box::new(move |surroundings| on(filter, Surrounded::new(surroundings, handler)));
        self.rows.push((Row { endpoint, describe: None, deprecation: None }, surround));
        self
    }
}

#[cfg(test)]
mod tests;
