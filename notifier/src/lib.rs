//! The notifier: reads events from Kafka, writes down in its ledger what follows from them (webhooks, e-mails, text messages),
//! and sends that, each to its recipient's own mailbox.

pub mod application;
pub mod config;
pub mod domain;
pub mod failpoints;
pub mod inbound;
pub mod metrics;
pub mod outbound;
