//! The HTTP API. Handlers parse, authorise, submit and answer; they know no Kafka.

pub mod batch;
pub mod commands;
pub mod facts;
pub mod feed;
pub mod history;
pub mod personal_keys;
mod problems;

use std::sync::Arc;

use http::Method;
use service_kit::{
    auth::Role::{Customer, Service, Staff},
    routes::Routes,
};

use crate::{
    application::commands::Commands,
    domain::{order::Order, payment::Payment, product::Product, user::User},
};

/// Every endpoint with the roles that may use it. Whose data a customer may touch is checked in the handlers.
#[must_use]
pub fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(commands::routes())
        .route(Method::POST, "/v1/commands", &[Staff, Service], batch::commands)
        .route(Method::GET, "/v1/users/{id}/events", &[Customer, Staff, Service], history::events::<User>)
        .route(Method::GET, "/v1/users/{id}/state", &[Customer, Staff, Service], history::state::<User>)
        .route(Method::GET, "/v1/products/{id}/events", &[Staff, Service], history::events::<Product>)
        .route(Method::GET, "/v1/products/{id}/state", &[Staff, Service], history::state::<Product>)
        .route(Method::GET, "/v1/orders/{id}/events", &[Customer, Staff, Service], history::events::<Order>)
        .route(Method::GET, "/v1/orders/{id}/state", &[Customer, Staff, Service], history::state::<Order>)
        .route(Method::GET, "/v1/payments/{id}/events", &[Customer, Staff, Service], history::events::<Payment>)
        .route(Method::GET, "/v1/payments/{id}/state", &[Customer, Staff, Service], history::state::<Payment>)
        .route(Method::GET, "/v1/feed", &[Service], feed::feed)
        .route(Method::GET, "/v1/lanes", &[Service], feed::lanes)
        .route(Method::POST, "/v1/personal-keys", &[Service], personal_keys::personal_keys)
        .route(Method::POST, "/v1/quotes", &[Service], facts::quotes)
        .route(Method::POST, "/v1/payers", &[Service], facts::payers)
}
