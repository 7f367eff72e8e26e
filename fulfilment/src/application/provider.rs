//! What a payment provider does for us, whichever it is.

use events::{
    Money,
    text::{PaymentMethod, ProviderReference, Reason},
};

/// A definite answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done; the provider calls it so.
    Done(ProviderReference),
    /// It is not done, and never will be under this key.
    Refused(Reason),
}

/// No answer: ask again with the same key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Nobody knows whether it was done.
    #[error("the payment provider's answer is not known: {0}")]
    Unknown(String),
    /// The provider was not asked.
    #[error("the payment provider is not available: {0}")]
    Unavailable(String),
}

/// A payment provider. `key` names what is asked for: asked again with the same one, the provider does nothing new.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Sets money aside.
    fn authorise(
        &self,
        key: &str,
        amount: Money,
        method: &PaymentMethod,
    ) -> impl Future<Output = Result<Answer, ProviderError>> + Send;

    /// Takes money that was set aside.
    fn capture(
        &self,
        key: &str,
        authorisation: &ProviderReference,
        amount: Money,
    ) -> impl Future<Output = Result<Answer, ProviderError>> + Send;

    /// Gives back what was set aside.
    fn void(&self, key: &str, authorisation: &ProviderReference) -> impl Future<Output = Result<Answer, ProviderError>> + Send;

    /// Pays back what was taken.
    fn refund(
        &self,
        key: &str,
        capture: &ProviderReference,
        amount: Money,
    ) -> impl Future<Output = Result<Answer, ProviderError>> + Send;
}
