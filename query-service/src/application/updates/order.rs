//! The stream of one order's views.

use std::{pin::pin, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use events::{Context, StreamId};

use super::{Cause, Update, Updates, What};
use crate::{
    application::{QueryError, reading::Sight},
    outbound::redis::{Link, Present, RedisReadError, Waiting},
};

/// How long a stream trusts in being woken before it looks by itself.
const POLL: Duration = Duration::from_secs(5);

/// The first byte of a position's text, before base64.
const KIND: u8 = 2;

/// How far a stream of one order's views has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderPosition {
    generation: u32,
    /// The version that was told last; 0 for none.
    version: u64,
}

impl OrderPosition {
    /// The text that clients get.
    #[must_use]
    pub fn encode(&self) -> String {
        // It can't fail: the buffer grows, and every type is one that the format knows.
        URL_SAFE_NO_PAD.encode(postcard::to_allocvec(&(KIND, self.generation, self.version)).unwrap_or_default())
    }

    /// Reads what a client sent.
    pub fn decode(text: &str) -> Result<Self, QueryError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| QueryError::BadEventId)?;
        match postcard::take_from_bytes(&bytes) {
            Ok(((KIND, generation, version), [])) => Ok(Self { generation, version }),
            _ => Err(QueryError::BadEventId),
        }
    }
}

/// One order's views as they become newer: the present one first, then each that is found after a write.
pub struct OrderUpdates<S> {
    link: Link,
    order: StreamId,
    sight: S,
    following: Waiting,
    told: Told,
}

/// What the client has, and what becomes of the next look.
struct Told {
    position: OrderPosition,
    /// The client was told to start anew, so a view of the same version is news.
    anew: bool,
    /// How many times Redis had been flushed.
    emptied: u64,
}

impl<S: Sight + 'static> OrderUpdates<S> {
    /// A stream of what is newer than `from`, or of everything. An order out of sight is as good as missing.
    pub async fn open(link: Link, order: StreamId, sight: S, from: Option<OrderPosition>) -> Result<Self, QueryError> {
        let following = link.follow(Context::Orders, order);
        let emptied = link.times_emptied();
        let Present { generation, view } = link.present(Context::Orders, order).await?;
        match view {
            Some(view) if sight(view.header.owner) => {}
            Some(_) => {
                // As for one read: while views are missing for another reason, this one is too.
                link.check_complete(Context::Orders, order).await?;
                return Err(QueryError::Missing);
            }
            None => return Err(QueryError::Missing),
        }
        let position = from.unwrap_or(OrderPosition { generation, version: 0 });
        Ok(Self { link, order, sight, following, told: Told { position, anew: false, emptied } })
    }
}

impl<S: Sight + 'static> Updates for OrderUpdates<S> {
    async fn next(&mut self) -> Option<Update> {
        loop {
            // Enabled before the read: a change after the read is not missed.
            let mut changed = pin!(self.following.changed());
            changed.as_mut().enable();
            let emptied = self.link.times_emptied();
            match self.link.present(Context::Orders, self.order).await {
                Ok(Present { view: Some(view), .. }) if !(self.sight)(view.header.owner) => return None,
                Ok(present) => {
                    if let Some(update) = self.told.tell(present, emptied) {
                        return Some(update);
                    }
                }
                Err(RedisReadError::NotBuilt(_) | RedisReadError::Incomplete(_)) if !self.told.anew => {
                    self.told.emptied = emptied;
                    return Some(self.told.reset(Cause::Lost));
                }
                Err(error) => tracing::debug!(%error, order.id = %self.order, "cannot read the order that is followed"),
            }
            drop(tokio::time::timeout(POLL, changed).await);
        }
    }
}

impl Told {
    /// What is news of the view as it is.
    fn tell(&mut self, present: Present, emptied: u64) -> Option<Update> {
        let Present { generation, view } = present;
        let version = view.as_ref().map_or(0, |view| view.header.version);
        let is_rebuilt = std::mem::replace(&mut self.position.generation, generation) != generation;
        let is_emptied = std::mem::replace(&mut self.emptied, emptied) != emptied;
        let is_lost = is_emptied || (version < self.position.version && !self.anew);
        if self.position.version > 0 && (is_rebuilt || is_lost) {
            return Some(self.reset(if is_rebuilt { Cause::Rebuilt } else { Cause::Lost }));
        }
        // While a read model is refilled its views pass through versions that the client has seen.
        let is_news = version > self.position.version || (self.anew && version == self.position.version);
        let view = view.filter(|_| is_news)?;
        self.anew = false;
        self.position.version = version;
        Some(Update { id: self.position.encode().into(), what: What::View(view.json) })
    }

    fn reset(&mut self, cause: Cause) -> Update {
        self.anew = true;
        Update { id: self.position.encode().into(), what: What::Reset(cause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_short_text() {
        let position = OrderPosition { generation: 3, version: 5 };
        let text = position.encode();
        assert_eq!(text.len(), 4);
        assert_eq!(OrderPosition::decode(&text).unwrap(), position);
        for other in ["", "AAAA", "AQMF", "AgMFAA", "?"] {
            assert!(matches!(OrderPosition::decode(other), Err(QueryError::BadEventId)), "{other}");
        }
    }
}
