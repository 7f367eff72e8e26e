//! How callers reach the service.

pub mod http;
