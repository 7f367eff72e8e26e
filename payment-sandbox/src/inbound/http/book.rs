//! What the provider knows: for callers of one authorisation, for testers all of it.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::Method;
use serde::Deserialize;
use serde_json::json;
use service_kit::{
    auth::Role,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};

use super::{Api, caller::Caller};

/// Who looks into the book.
const TESTERS: &[Role] = &[Role::Staff, Role::Service];

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .public(Method::GET, "/v1/authorisations/{id}", authorisation)
        .route(Method::GET, "/v1/book", TESTERS, book)
        .route(Method::GET, "/v1/calls", TESTERS, calls)
}

async fn authorisation(_: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let found = api.0.desk.look(|book| book.authorisations().get(&id).cloned());
    let found = found.ok_or_else(|| Problem::not_found("There is no such authorisation."))?;
    Ok(Json(found).into_response())
}

/// Everything that was done, and how often it was asked for.
async fn book(State(api): State<Api>) -> Response {
    api.0.desk.look(|book| {
        let totals = book.totals().into_iter().map(|(currency, totals)| (currency.code().to_owned(), totals));
        let authorisations: Vec<_> = book.authorisations().values().collect();
        Json(json!({
            "calls": book.entries().len(),
            "totals": totals.collect::<BTreeMap<_, _>>(),
            "authorisations": authorisations,
            "keys": book.keys(),
        }))
        .into_response()
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallsQuery {
    key: Option<String>,
}

/// Every call, or those under one key, in their order.
async fn calls(State(api): State<Api>, Query(query): Query<CallsQuery>) -> Response {
    api.0.desk.look(|book| {
        let wanted = book.entries().iter().filter(|entry| query.key.as_ref().is_none_or(|key| entry.key == *key));
        Json(json!({"calls": wanted.collect::<Vec<_>>()})).into_response()
    })
}
