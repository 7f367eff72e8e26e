//! `/v1/services`.

use axum::{extract::State, response::Response};
use http::Method;
use service_kit::{problem::Problem, routes::Routes};

use super::{Api, SHOP, openapi, respond};

pub(super) fn routes() -> Routes<Api> {
    Routes::new().route(Method::GET, "/v1/services", SHOP, services).described(openapi::services)
}

/// Every instance that is known, with its health as it is now.
async fn services(State(api): State<Api>) -> Result<Response, Problem> {
    let services = api.0.services.list().await;
    Ok(respond::json(serde_json::to_vec(&services).map_err(Problem::internal)?))
}
