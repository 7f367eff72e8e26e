//! `/v1/webhooks`.

use axum::{
    Json as JsonBody,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::{
    auth::{Principal, Role},
    json::{Json, Path, Query},
    problem::Problem,
};
use uuid::Uuid;

use super::Api;
use crate::{
    application::webhooks::{Asker, Details, MOST_TYPES, Wanted},
    domain::{secret::SigningKey, subscription::EventTypes},
    outbound::http_client::HttpError,
};

/// Bytes of a URL, at most.
const URL: usize = 2_048;
/// Entries of a list, where the caller does not say, and at most.
const DELIVERIES: u16 = 50;
const MOST_DELIVERIES: u16 = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    id: Option<Uuid>,
    url: String,
    event_types: Vec<EventTypes>,
    secret: Option<String>,
}

pub(super) async fn make(State(api): State<Api>, caller: Principal, Json(new): Json<NewWebhook>) -> Result<Response, Problem> {
    if new.event_types.is_empty() || new.event_types.len() > MOST_TYPES {
        let detail = format!("must have 1 to {MOST_TYPES} types or patterns, such as order.shipped.v1, order.* or *");
        return Err(Problem::invalid_field("/event_types", detail));
    }
    let key = new.secret.as_deref().map(SigningKey::parse).transpose();
    let key = key.map_err(|error| Problem::invalid_field("/secret", error.to_string()))?;
    let url = checked(&api, &new.url).await?;
    let wanted = Wanted { id: new.id, url, event_types: new.event_types, key };
    let made = api.webhooks.make(asker(&caller), wanted).await?;
    let location = format!("/v1/webhooks/{}", made.endpoint.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], JsonBody(made)).into_response())
}

/// The URL in its normal form, if deliveries may go there.
async fn checked(api: &Api, text: &str) -> Result<String, Problem> {
    let refused = |detail: &str| Problem::invalid_field("/url", detail);
    let url = text.parse::<Url>().ok().filter(|_| text.len() <= URL);
    let url = url.ok_or_else(|| refused("must be a URL of at most 2048 bytes"))?;
    match url.scheme() {
        "https" => {}
        "http" if api.allow_http => {}
        _ => return Err(refused("must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(refused("must have neither a user nor a fragment: deliveries are signed"));
    }
    let host = url.host_str().ok_or_else(|| refused("must name a host"))?;
    match api.client.check(host).await {
        Ok(()) => Ok(url.into()),
        Err(HttpError::Refused) => Err(refused("its host has an address that is not public")),
        Err(_) => Err(refused("its host can't be resolved")),
    }
}

pub(super) async fn list(State(api): State<Api>, caller: Principal) -> Result<JsonBody<Value>, Problem> {
    let webhooks = api.webhooks.list(asker(&caller)).await?;
    Ok(JsonBody(json!({ "webhooks": webhooks })))
}

pub(super) async fn show(State(api): State<Api>, caller: Principal, Path(id): Path<Uuid>) -> Result<JsonBody<Details>, Problem> {
    Ok(JsonBody(api.webhooks.show(asker(&caller), id).await?))
}

pub(super) async fn delete(State(api): State<Api>, caller: Principal, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    api.webhooks.delete(asker(&caller), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn enable(
    State(api): State<Api>,
    caller: Principal,
    Path(id): Path<Uuid>,
) -> Result<JsonBody<Details>, Problem> {
    Ok(JsonBody(api.webhooks.enable(asker(&caller), id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveriesQuery {
    limit: Option<u16>,
    before: Option<DateTime<Utc>>,
}

pub(super) async fn deliveries(
    State(api): State<Api>,
    caller: Principal,
    Path(id): Path<Uuid>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<JsonBody<Value>, Problem> {
    let limit = query.limit.unwrap_or(DELIVERIES);
    if !(1..=MOST_DELIVERIES).contains(&limit) {
        return Err(Problem::invalid_parameter("limit", format!("must be between 1 and {MOST_DELIVERIES}")));
    }
    let deliveries = api.webhooks.deliveries(asker(&caller), id, query.before, limit).await?;
    Ok(JsonBody(json!({ "deliveries": deliveries })))
}

pub(super) async fn redeliver(
    State(api): State<Api>,
    caller: Principal,
    Path((id, message)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    api.webhooks.redeliver(asker(&caller), id, message).await?;
    Ok(StatusCode::ACCEPTED)
}

fn asker(caller: &Principal) -> Asker<'_> {
    if caller.has(Role::Admin) { Asker::Admin(caller.subject()) } else { Asker::Owner(caller.subject()) }
}
