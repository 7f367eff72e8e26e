//! `/v1/users`.

use axum::{extract::State, response::Response};
use events::{Context, text::Email};
use http::Method;
use read_model::UserView;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{json::Query, problem::Problem, routes::Routes};

use super::{
    Api, SHOP, openapi, respond,
    view::{Resource, view_of},
};
use crate::application::lists;

pub(super) fn routes() -> Routes<Api> {
    view_of::<UserView>("/v1/users/{id}").route(Method::GET, "/v1/users", SHOP, users).described(openapi::users)
}

impl Resource for UserView {
    const CONTEXT: Context = Context::Users;
    const SUMMARY: &'static str = "A user as they are.";
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
