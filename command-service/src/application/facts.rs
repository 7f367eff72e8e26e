//! The port through which a context knows of another's aggregates: in this process, or where the other context runs.

use events::{Context, StreamId};
use futures::future::BoxFuture;

use super::state::LoadError;

/// Facts `F` about the aggregates of one context.
pub trait Facts<F>: Send + Sync {
    /// The facts about these aggregates, in their order.
    fn get<'a>(&'a self, streams: &'a [StreamId]) -> BoxFuture<'a, Result<Vec<F>, FactsError>>;
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The context is here, and its store failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The context runs elsewhere and gave no answer.
    #[error("the command service of the context {context} gave no answer: {cause}")]
    Away {
        /// The context.
        context: Context,
        /// What went wrong.
        cause: String,
    },
}
