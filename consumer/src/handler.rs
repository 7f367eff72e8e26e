//! What a service does with what happened.

use events::DecodeError;

use crate::{Position, Received};

/// What a service does with what happened. Idempotent by contract: after a crash, a rebalance or an error the same records
/// come again, from the last commit on.
pub trait Handler: Send + Sync + 'static {
    /// Why something could not be handled now. It is asked again, with growing pauses.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Handles records of one partition, in their order. What is returned as done is not asked again, unless the process dies
    /// before that is committed.
    fn handle(&self, partition: &[Received]) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Keeps, or complains of, a record of a known type that can't be read; it is passed over afterwards. `key` is the
    /// record's, as a rule the stream's id.
    fn unreadable(
        &self,
        position: &Position,
        key: Option<&[u8]>,
        why: &DecodeError,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
