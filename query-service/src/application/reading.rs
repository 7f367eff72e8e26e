//! Reading one view, as fresh as the caller wants it.

use std::{pin::pin, time::Duration};

use events::{Context, StreamId};
use tokio::time::Instant;
use uuid::Uuid;

use super::QueryError;
use crate::outbound::redis::{Link, RedisReadError, View};

/// How long a wait trusts in being woken before it looks by itself.
const POLL: Duration = Duration::from_millis(200);

/// The version that a caller insists on, and for how long it waits for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The least version.
    pub min_version: u64,
    /// How long to wait for it.
    pub wait: Duration,
}

/// What the caller may see: given a view's owner, or what is known of it where there is no view.
pub trait Sight: Fn(Option<Uuid>) -> bool + Send + Sync {}

impl<F: Fn(Option<Uuid>) -> bool + Send + Sync> Sight for F {}

/// The view as it is. A view out of sight is as good as missing.
pub async fn view(link: &Link, context: Context, stream: StreamId, sight: impl Sight) -> Result<View, QueryError> {
    match link.view(context, stream).await? {
        Some(view) if sight(view.header.owner) => Ok(view),
        Some(_) => {
            // While views are missing for another reason, this one is too.
            link.check_complete(context, stream).await?;
            Err(QueryError::Missing)
        }
        None => Err(QueryError::Missing),
    }
}

/// The view at `min_version` or later, waited for.
///
/// A view out of sight is treated like one that does not exist yet: nobody learns that it does.
pub async fn view_at_least(
    link: &Link,
    context: Context,
    stream: StreamId,
    sight: impl Sight,
    freshness: Freshness,
) -> Result<View, QueryError> {
    let Freshness { min_version, wait } = freshness;
    let fits = |view: &View| view.header.version >= min_version;
    let deadline = Instant::now() + wait;
    let found = match link.view(context, stream).await {
        // It may come while it is waited for.
        Err(RedisReadError::Incomplete(_)) if !wait.is_zero() => None,
        found => found?,
    };
    if let Some(view) = found.filter(|view| sight(view.header.owner)).filter(fits) {
        return Ok(view);
    }
    let waiting = link.wait(context, stream).await?;
    loop {
        // Enabled before the read: a change after the read is not missed.
        let mut changed = pin!(waiting.changed());
        changed.as_mut().enable();
        let fresh = link.fresh(context, stream).await?;
        let view = fresh.view.filter(|view| sight(view.header.owner));
        let version = match view {
            Some(view) if fits(&view) => return Ok(view),
            Some(view) => view.header.version,
            None => 0,
        };
        // Without a view the owner is unknown, except that an account belongs to itself. So a customer whose order is
        // parked at its first event waits in vain: a refusal would tell every other customer that the order exists.
        let may_know = version > 0 || sight((context == Context::Users).then_some(stream));
        match fresh.parked {
            Some(parked) if may_know && parked.version <= min_version => {
                return Err(QueryError::Parked { version, min_version, parked: Box::new(parked) });
            }
            _ => {}
        }
        if Instant::now() >= deadline || link.stopping().is_cancelled() {
            if version == 0 {
                // Says so when the view is not there because the read model is not complete.
                link.view(context, stream).await?;
            }
            return Err(QueryError::Behind { version, min_version });
        }
        let next_look = deadline.min(Instant::now() + POLL);
        drop(tokio::time::timeout_at(next_look, link.stopping().run_until_cancelled(changed)).await);
    }
}
