//! Where calls come from: HTTP.

pub mod http;
