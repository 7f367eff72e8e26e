//! A command service with a database and topics of its own.

pub(crate) mod database;
pub(crate) mod instance;
pub(crate) mod kafka;
pub(crate) mod proxy;
pub(crate) mod store;

use std::time::Duration;

use serde_json::{Value, json};
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};
use uuid::Uuid;

pub(crate) use self::{
    database::Database,
    instance::{Answer, Instance, Launch},
};

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";
pub(crate) const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Nothing that is waited for takes longer than this, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A token for `subject` with these roles.
pub(crate) fn token(subject: &str, roles: &[Role]) -> String {
    mint(&Secret::new(SECRET), subject, roles, Duration::from_secs(3600)).unwrap()
}

pub(crate) fn staff() -> String {
    token("staff-1", &[Role::Staff])
}

pub(crate) fn service() -> String {
    token("service-1", &[Role::Service])
}

pub(crate) fn customer(user: Uuid) -> String {
    token(&user.to_string(), &[Role::Customer])
}

/// A UUID that is the same in every run.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) fn money(minor: u64) -> Value {
    json!({ "minor": minor, "currency": "GBP" })
}

pub(crate) fn product_body(id: Uuid, sku: &str) -> Value {
    json!({ "id": id, "sku": sku, "name": "Lantern", "price": money(255) })
}

pub(crate) fn user_body(id: Uuid, email: &str) -> Value {
    json!({ "id": id, "name": "Ann", "email": email })
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
