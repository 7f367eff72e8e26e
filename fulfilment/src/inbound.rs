//! How orders' events and people reach it.

pub mod events;
pub mod http;
