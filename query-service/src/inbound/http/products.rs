//! `/v1/products`.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use read_model::ProductView;
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{json::Query, problem::Problem, routes::Routes};

use super::{
    ALL, Api, openapi,
    paging::{self, Paging},
    view::{Resource, view_of},
};
use crate::application::lists::Listing;

pub(super) fn routes() -> Routes<Api> {
    view_of::<ProductView>("/v1/products/{id}").route(Method::GET, "/v1/products", ALL, products).described(openapi::products)
}

impl Resource for ProductView {
    const CONTEXT: Context = Context::Products;
    const SUMMARY: &'static str = "A product as it is, with its stock.";
    const PUBLIC: bool = true;
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductsQuery {
    /// What their names begin with, in any case of letters.
    prefix: Option<String>,
    /// Only those that can be ordered and of which no more pieces are available, the scarcest first; not with `prefix`.
    low_stock: Option<i64>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many at most: 50 unless given.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u16>,
}

async fn products(State(api): State<Api>, Query(query): Query<ProductsQuery>) -> Result<Response, Problem> {
    let listing = match (query.prefix, query.low_stock) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_parameter("low_stock", "cannot be combined with `prefix`"));
        }
        (prefix, None) => Listing::ProductsNamed(prefix.unwrap_or_default()),
        (None, Some(available)) => Listing::ProductsBelow(available),
    };
    paging::page(&api, &listing, Paging { cursor: query.cursor, limit: query.limit }).await
}
