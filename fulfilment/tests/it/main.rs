//! Fulfilment against what it works with: real servers.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod provider;
