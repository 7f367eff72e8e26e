//! `/v1/users`.

use axum::{extract::State, response::Response};
use events::{Context, text::Email};
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{ALL, Api, SHOP, freshness::Wanted, openapi, owned_by_or_shop, respond};
use crate::application::{lists, reading};

pub(super) fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::GET, "/v1/users/{id}", ALL, user)
        .described(openapi::user)
        .route(Method::GET, "/v1/users", SHOP, users)
        .described(openapi::users)
}

async fn user(State(api): State<Api>, caller: Principal, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let sight = owned_by_or_shop(&caller);
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, Context::Users, id, sight, freshness).await,
        None => reading::view(&api.0.link, Context::Users, id, sight).await,
    };
    respond::view(outcome, wanted)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    /// The address, in any case of letters. Users are not listed without it.
    #[schemars(required, length(max = 254))]
    email: Option<String>,
}

/// The user with an e-mail address, as a list of at most one.
async fn users(State(api): State<Api>, Query(query): Query<UsersQuery>) -> Result<Response, Problem> {
    let Some(email) = query.email else {
        return Err(Problem::invalid_parameter("email", "is required: users are not listed without it"));
    };
    let email = Email::parse(&email).map_err(|error| Problem::invalid_parameter("email", error.to_string()))?;
    Ok(respond::page(&lists::users_by_email(&api.0.link, &email.canonical()).await?))
}
