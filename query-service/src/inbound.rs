//! Where queries come from: HTTP.

pub mod http;
