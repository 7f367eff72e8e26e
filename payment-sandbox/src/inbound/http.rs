//! The provider's HTTP API, and the view of its book.

mod book;
mod caller;
mod calls;

use std::{sync::Arc, time::Duration};

use service_kit::{config::Secret, routes::Routes};
use tokio_util::sync::CancellationToken;

use crate::application::desk::Desk;

/// What the handlers work with. Cloning shares it.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

struct Parts {
    desk: Desk,
    key: Secret,
    slow: Duration,
    /// Answers that would never come end then.
    stopping: CancellationToken,
}

impl Api {
    /// An API over this provider: callers are known by `key`, slow answers take `slow`.
    #[must_use]
    pub fn new(desk: Desk, key: Secret, slow: Duration, stopping: CancellationToken) -> Self {
        Self(Arc::new(Parts { desk, key, slow, stopping }))
    }
}

/// Every endpoint. Those of the provider are public in this table, as none of our tokens is good there: each of their handlers
/// asks for the provider's own key.
#[must_use]
pub fn routes() -> Routes<Api> {
    calls::routes().merge(book::routes())
}
