//! `POST /v1/personal-keys`: the keys of personal data, for services that make views of it.

use std::{collections::HashMap, sync::Arc};

use axum::{Json as JsonBody, extract::State};
use events::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{json::Json, problem::Problem};
use uuid::Uuid;

use super::problems;
use crate::application::commands::Commands;

/// Keys that one request may ask for.
const MAX_KEYS: usize = 1_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WantedKeys")]
pub(super) struct Wanted {
    #[schemars(length(max = MAX_KEYS))]
    ids: Vec<Uuid>,
}

/// Base64 of each key; those that were destroyed or never made are absent.
#[derive(Serialize, JsonSchema)]
pub(super) struct Keys {
    keys: HashMap<Uuid, String>,
}

pub(super) async fn personal_keys(
    State(commands): State<Arc<Commands>>,
    Json(wanted): Json<Wanted>,
) -> Result<JsonBody<Keys>, Problem> {
    if wanted.ids.len() > MAX_KEYS {
        return Err(Problem::invalid_field("/ids", format!("has more than {MAX_KEYS} ids")));
    }
    let keys = problems::here(commands.keys.as_ref(), Context::Users)?;
    let keys = keys.get(&wanted.ids).await.map_err(problems::read_failed)?;
    Ok(JsonBody(Keys { keys: keys.into_iter().map(|(id, key)| (id, key.to_base64())).collect() }))
}
