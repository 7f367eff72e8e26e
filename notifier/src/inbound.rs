//! How callers reach the notifier over HTTP. Events come in through the crate `consumer`.

pub mod http;
