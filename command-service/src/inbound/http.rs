//! The HTTP API. Handlers parse, authorise, submit and answer; they know no Kafka.

pub mod batch;
pub mod commands;
pub mod facts;
pub mod feed;
pub mod history;
mod openapi;
pub mod personal_keys;
mod problems;

use std::sync::Arc;

use http::Method;
use service_kit::{
    auth::Role::{self, Customer, Service, Staff},
    routes::Routes,
};

pub use openapi::ABOUT;

use crate::{
    application::commands::Commands,
    domain::{Aggregate, order::Order, payment::Payment, product::Product, user::User},
};

/// Every endpoint with the roles that may use it. Whose data a customer may touch is checked in the handlers.
#[must_use]
pub fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(commands::routes())
        .route(Method::POST, "/v1/commands", &[Staff, Service], batch::commands)
        .described(openapi::commands)
        .merge(history_of::<User>("/v1/users/{id}/events", "/v1/users/{id}/state", &[Customer, Staff, Service]))
        .merge(history_of::<Product>("/v1/products/{id}/events", "/v1/products/{id}/state", &[Staff, Service]))
        .merge(history_of::<Order>("/v1/orders/{id}/events", "/v1/orders/{id}/state", &[Customer, Staff, Service]))
        .merge(history_of::<Payment>("/v1/payments/{id}/events", "/v1/payments/{id}/state", &[Customer, Staff, Service]))
        .route(Method::GET, "/v1/feed", &[Service], feed::feed)
        .described(openapi::feed)
        .route(Method::GET, "/v1/lanes", &[Service], feed::lanes)
        .described(openapi::lanes)
        .route(Method::POST, "/v1/personal-keys", &[Service], personal_keys::personal_keys)
        .described(openapi::personal_keys)
        .route(Method::POST, "/v1/quotes", &[Service], facts::quotes)
        .described(openapi::quotes)
        .route(Method::POST, "/v1/payers", &[Service], facts::payers)
        .described(openapi::payers)
}

fn history_of<A: Aggregate>(events: &'static str, state: &'static str, roles: &'static [Role]) -> Routes<Arc<Commands>> {
    Routes::new()
        .route(Method::GET, events, roles, history::events::<A>)
        .described(openapi::events::<A>)
        .route(Method::GET, state, roles, history::state::<A>)
        .described(openapi::state::<A>)
}
