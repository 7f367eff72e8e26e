//! Why a worker starts over, or stops.

use crate::{
    application::{chunk::UnserialisableView, patience::Stopped},
    inbound::source::OffsetLost,
};

/// Why a worker stopped working on a chunk.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    #[error("the partition was given up")]
    Stopped,
    #[error("the slot has another revision than the one left there")]
    Fenced,
    #[error("the slot was filled from the event store")]
    Filled,
    #[error("{0}")]
    Broken(String),
    #[error("{0}")]
    Misfit(String),
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<OffsetLost> for Interrupted {
    fn from(lost: OffsetLost) -> Self {
        // Whoever began this worker assigns the partition anew; the next one looks whether the log has the checkpoint.
        tracing::warn!(%lost, "the partition has to be assigned anew");
        Self::Stopped
    }
}

impl From<UnserialisableView> for Interrupted {
    fn from(error: UnserialisableView) -> Self {
        Self::Broken(error.to_string())
    }
}
