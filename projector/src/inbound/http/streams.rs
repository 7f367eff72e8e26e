//! `/v1/rebuilds/{context}/streams/{stream}`: one view of the live generation.

use axum::{Json as JsonBody, extract::State};
use http::Method;
use serde::Deserialize;
use service_kit::{
    auth::Principal,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};

use super::{Api, Named, OPERATORS, answered};
use crate::application::{
    operating::Operating,
    redrive::{Action, Answer},
};

pub(super) fn routes() -> Routes<Api> {
    Routes::new().route(Method::POST, "/v1/rebuilds/{context}/streams/{stream}", OPERATORS, rebuild)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RebuildQuery {
    #[serde(default)]
    dry_run: bool,
}

async fn rebuild(
    State(operating): State<Operating>,
    caller: Principal,
    Path((context, stream)): Named,
    Query(RebuildQuery { dry_run }): Query<RebuildQuery>,
) -> Result<JsonBody<Answer>, Problem> {
    let action = if dry_run { Action::RebuildDryRun } else { Action::Rebuild };
    answered(operating.rebuild(context, stream, action, caller.subject()).await?)
}
