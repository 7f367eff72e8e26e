//! What is looked up on demand: one order's journey, and the verification of everything.

use std::sync::Arc;

use axum::{Json, response::Response};
use events::StreamId;
use http::Method;
use serde::Deserialize;
use service_kit::{
    auth::Role,
    json::{Path, Query},
    problem::Problem,
    routes::Routes,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::http::lines::{MESSAGES, lines};
use crate::application::{
    journey::{Journey, JourneyError, Journeys},
    verify::{Message, Verification},
};

/// Seconds after which to ask again while a verification goes on.
const LATER: u64 = 30;

/// What the endpoints need.
pub struct Inspecting {
    /// For journeys.
    pub journeys: Journeys,
    /// For verifications.
    pub verification: Verification,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyQuery {
    sample: Option<usize>,
}

/// `GET /v1/orders/{id}/journey` and `POST /v1/verify?sample=`, whatever the state of the other routes.
#[must_use]
pub fn routes<S: Clone + Send + Sync + 'static>(inspecting: Inspecting) -> Routes<S> {
    let Inspecting { journeys, verification } = inspecting;
    let one_at_a_time = Arc::new(Semaphore::new(1));
    let journey = async move |Path(order): Path<StreamId>| journey(journeys.clone(), order).await;
    let verify = async move |Query(query): Query<VerifyQuery>| {
        let Ok(turn) = Arc::clone(&one_at_a_time).try_acquire_owned() else {
            return Err(Problem::overloaded("Another verification is going on in this process.", LATER));
        };
        Ok(verify(verification.clone(), query, turn))
    };
    Routes::new().route(Method::GET, "/v1/orders/{id}/journey", &[Role::Staff, Role::Service, Role::Admin], journey).route(
        Method::POST,
        "/v1/verify",
        &[Role::Service, Role::Admin],
        verify,
    )
}

async fn journey(journeys: Journeys, order: StreamId) -> Result<Json<Journey>, Problem> {
    journeys.of(order).await.map(Json).map_err(|error| match error {
        JourneyError::Unknown => Problem::not_found("There is no such order, or its read model is not there yet."),
        other => Problem::unavailable("Something that the journey is gathered from does not answer.", other),
    })
}

/// Newline-delimited JSON: progress, a report for each context, and how it ended.
fn verify(verification: Verification, query: VerifyQuery, turn: OwnedSemaphorePermit) -> Response {
    let (told, messages) = mpsc::channel::<Message>(MESSAGES);
    tokio::spawn(async move {
        verification.run(query.sample, told).await;
        drop(turn);
    });
    lines(messages)
}
