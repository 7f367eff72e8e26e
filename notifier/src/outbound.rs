//! Adapters, named after their technology.

pub mod email;
pub mod http_client;
pub mod personal_keys;
pub mod postgres;
pub mod sms;
pub mod templates;
pub mod topic_reader;
pub mod webhook;
