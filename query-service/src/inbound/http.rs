//! The HTTP API of the read side: one file a resource.

mod freshness;
mod openapi;
mod orders;
mod paging;
mod payments;
mod prefer;
mod problems;
mod products;
mod respond;
mod services;
mod sse;
mod stats;
mod updates;
mod users;
mod view;

use std::{sync::Arc, time::Duration};

use service_kit::{
    auth::{Principal, Role},
    routes::Routes,
};
use uuid::Uuid;

pub use openapi::ABOUT;

use crate::{
    application::{reading::Sight, services::Services, stats::Statistics, updates::Feed},
    outbound::redis::Link,
};

/// Everyone; what customers see is narrowed to what is theirs, except products.
const ALL: &[Role] = &[Role::Customer, Role::Staff, Role::Service];

/// The shop's own people and services (an admin may do all that staff may).
const SHOP: &[Role] = &[Role::Staff, Role::Service];

/// What the handlers work with. Cloning shares it, by one counter: axum clones it for every request.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

struct Parts {
    link: Link,
    statistics: Statistics,
    feed: Feed,
    streams: sse::Streams,
    services: Services,
}

/// How live updates are served.
#[derive(Debug, Clone, Copy)]
pub struct LiveSettings {
    /// Streams that may be open at a time.
    pub max_streams: usize,
    /// The silence after which a stream gets a heartbeat.
    pub heartbeat: Duration,
    /// Changes that a stream may be behind before it has to read by itself.
    pub buffer: usize,
}

impl Api {
    /// An API over these read models, and over what is known of the services. Starts the reader of the change logs.
    #[must_use]
    pub fn new(link: Link, live: LiveSettings, services: Services) -> Self {
        let streams = sse::Streams::new(live.max_streams, live.heartbeat, link.stopping().clone());
        let feed = Feed::start(link.clone(), live.buffer);
        Self(Arc::new(Parts { statistics: Statistics::new(link.clone()), link, feed, streams, services }))
    }
}

/// Every endpoint, with who may use it.
#[must_use]
pub fn routes() -> Routes<Api> {
    orders::routes()
        .merge(payments::routes())
        .merge(users::routes())
        .merge(products::routes())
        .merge(stats::routes())
        .merge(updates::routes())
        .merge(services::routes())
}

/// The rule of ownership: the shop sees everything, a customer what is theirs. What has no owner, a guest's order, is
/// the shop's.
fn owned_by_or_shop(caller: &Principal) -> impl Sight {
    move |owner: Option<Uuid>| match owner {
        Some(owner) => caller.may_act_for(owner),
        None => is_shop(caller),
    }
}

fn is_shop(caller: &Principal) -> bool {
    caller.has_any(SHOP)
}
