//! The command service as a program, against a real Postgres and Kafka (`ORDERFLOW_TEST_POSTGRES`, `ORDERFLOW_TEST_KAFKA`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod answers;
mod apart;
mod bulk;
mod faults;
mod harness;
mod history;
mod idempotency;
mod instances;
mod openapi;
mod payments;
mod relay;
mod settings;
mod stored_states;
mod uniqueness;
