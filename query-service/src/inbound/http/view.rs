//! `GET /v1/RESOURCE/{id}`: one view.

use axum::{extract::State, response::Response};
use events::Context;
use http::Method;
use schemars::JsonSchema;
use service_kit::{auth::Principal, json::Path, routes::Routes};
use uuid::Uuid;

use super::{ALL, Api, freshness::Wanted, openapi, owned_by_or_shop, respond};
use crate::application::reading;

/// A view that is read one by one.
pub(super) trait Resource: JsonSchema + 'static {
    /// Its context, which also names the path.
    const CONTEXT: Context;
    /// What is read, in a sentence for those who call.
    const SUMMARY: &'static str;
    /// Whether everyone sees it, and not only its owner and the shop.
    const PUBLIC: bool = false;
}

/// The endpoint that reads it.
pub(super) fn view_of<V: Resource>(path: &'static str) -> Routes<Api> {
    Routes::new().route(Method::GET, path, ALL, read::<V>).described(openapi::view_of::<V>)
}

async fn read<V: Resource>(State(api): State<Api>, caller: Principal, Path(id): Path<Uuid>, wanted: Wanted) -> Response {
    let owned = owned_by_or_shop(&caller);
    let sight = |owner| V::PUBLIC || owned(owner);
    let outcome = match wanted.freshness {
        Some(freshness) => reading::view_at_least(&api.0.link, V::CONTEXT, id, sight, freshness).await,
        None => reading::view(&api.0.link, V::CONTEXT, id, sight).await,
    };
    respond::view(outcome, wanted)
}
