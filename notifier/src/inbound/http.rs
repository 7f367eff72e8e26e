//! The HTTP API: webhooks, contacts, and what was and would be sent.

mod contacts;
mod notifications;
mod problems;
mod webhooks;

use http::Method;
use service_kit::{
    auth::Role::{self, Admin, Customer, Service, Staff},
    routes::Routes,
};

use crate::{
    application::{explaining::Explaining, webhooks::Webhooks},
    outbound::{http_client::HttpClient, personal_keys::PersonalKeys, postgres::PostgresStore},
};

/// What the handlers work with. Cloning shares it.
#[derive(Clone)]
pub struct Api {
    /// Endpoints.
    pub webhooks: Webhooks,
    /// The ledger and contacts.
    pub store: PostgresStore,
    /// Keys of personal data.
    pub keys: PersonalKeys,
    /// What would be sent.
    pub explaining: Explaining,
    /// Whether endpoints may be where they are said to be.
    pub client: HttpClient,
    /// Whether endpoints may be reached without TLS.
    pub allow_http: bool,
}

/// Who may have webhooks: they tell everything that happens, so customers may not. Each sees their own, admins see all.
const INTEGRATORS: &[Role] = &[Staff, Service, Admin];

/// Every endpoint, with who may use it.
#[must_use]
pub fn routes() -> Routes<Api> {
    Routes::new()
        .route(Method::POST, "/v1/webhooks", INTEGRATORS, webhooks::make)
        .route(Method::GET, "/v1/webhooks", INTEGRATORS, webhooks::list)
        .route(Method::GET, "/v1/webhooks/{id}", INTEGRATORS, webhooks::show)
        .route(Method::DELETE, "/v1/webhooks/{id}", INTEGRATORS, webhooks::delete)
        .route(Method::POST, "/v1/webhooks/{id}/enable", INTEGRATORS, webhooks::enable)
        .route(Method::GET, "/v1/webhooks/{id}/deliveries", INTEGRATORS, webhooks::deliveries)
        .route(Method::POST, "/v1/webhooks/{id}/deliveries/{message}/redeliver", INTEGRATORS, webhooks::redeliver)
        .route(Method::PUT, "/v1/contacts/{user}", &[Customer, Staff, Service], contacts::put)
        .route(Method::DELETE, "/v1/contacts/{user}", &[Customer, Staff, Service], contacts::delete)
        .route(Method::GET, "/v1/notifications", INTEGRATORS, notifications::summary)
        .route(Method::GET, "/v1/notifications/receipts", INTEGRATORS, notifications::receipts)
        .route(Method::GET, "/v1/notifications/explain", INTEGRATORS, notifications::explain)
}
