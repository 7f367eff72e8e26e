//! Lists page by page, the same for each.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::problem::Problem;

use super::{Api, respond};
use crate::application::lists::{self, Listing};

/// Views a page where nothing is said.
const DEFAULT: u16 = 50;

/// The largest page.
const MAX: u16 = 200;

/// The parameters of a list that takes no others.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// The `next` of the page before.
    pub(super) cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    pub(super) limit: Option<u16>,
}

/// Answers with a page of a list.
pub(super) async fn page(api: &Api, listing: &Listing, paging: Paging) -> Result<Response, Problem> {
    let limit = match paging.limit.unwrap_or(DEFAULT) {
        limit @ 1..=MAX => usize::from(limit),
        _ => return Err(Problem::invalid_parameter("limit", format!("is a number from 1 to {MAX}"))),
    };
    Ok(respond::page(&lists::page(&api.0.link, listing, paging.cursor.as_deref(), limit).await?))
}
