//! `POST /v1/quotes` and `POST /v1/payers`: what orders have to know of products and users, for command services that run orders
//! without them. They answer as the process that has the context would tell itself.

use std::sync::Arc;

use axum::{Json as JsonBody, extract::State};
use events::{Context, StreamId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{json::Json, problem::Problem};

use super::problems;
use crate::{
    application::{commands::Commands, facts::Facts},
    domain::order::{Payer, ProductQuote},
};

/// Aggregates that one request may ask about.
const MAX_IDS: usize = 1_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WantedFacts")]
pub(super) struct Wanted {
    #[schemars(length(max = MAX_IDS))]
    ids: Vec<StreamId>,
}

/// One for each id, in their order.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Known{F}")]
pub(super) struct Known<F> {
    facts: Vec<F>,
}

/// Null for a product that does not exist.
pub(super) async fn quotes(
    State(commands): State<Arc<Commands>>,
    Json(wanted): Json<Wanted>,
) -> Result<JsonBody<Known<Option<ProductQuote>>>, Problem> {
    problems::here(commands.stores.of(Context::Products), Context::Products)?;
    answer(&**problems::here(commands.quotes.as_ref(), Context::Products)?, &wanted).await
}

/// A user who does not exist has the standing `unknown`.
pub(super) async fn payers(
    State(commands): State<Arc<Commands>>,
    Json(wanted): Json<Wanted>,
) -> Result<JsonBody<Known<Payer>>, Problem> {
    problems::here(commands.stores.of(Context::Users), Context::Users)?;
    answer(&**problems::here(commands.payers.as_ref(), Context::Users)?, &wanted).await
}

async fn answer<F>(facts: &dyn Facts<F>, wanted: &Wanted) -> Result<JsonBody<Known<F>>, Problem> {
    if wanted.ids.len() > MAX_IDS {
        return Err(Problem::invalid_field("/ids", format!("has more than {MAX_IDS} ids")));
    }
    Ok(JsonBody(Known { facts: facts.get(&wanted.ids).await.map_err(problems::unknown)? }))
}
