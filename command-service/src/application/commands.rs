//! The contexts of this process, as the inbound side uses them.

use std::sync::Arc;

use events::{Context, DataKey, StreamId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    command::Key,
    facts::Facts,
    state::{self, LoadError},
    writer::Writers,
};
use crate::{
    domain::{
        order::{Order, Payer, ProductQuote},
        payment::Payment,
        product::Product,
        user::{EmailClaim, User},
    },
    outbound::postgres::{PostgresStore, keys::PostgresKeys},
};

/// What orders may know of products: what it costs, none when it does not exist.
pub type Quotes = Arc<dyn Facts<Option<ProductQuote>>>;
/// What orders may know of users.
pub type Payers = Arc<dyn Facts<Payer>>;

/// Everything that commands need. What belongs to a context is none where that context runs elsewhere.
pub struct Commands {
    /// Executes commands on users.
    pub users: Option<Writers<User>>,
    /// Executes commands on products.
    pub products: Option<Writers<Product>>,
    /// Executes commands on orders.
    pub orders: Option<Writers<Order>>,
    /// Executes commands on payments.
    pub payments: Option<Writers<Payment>>,
    /// The keys of personal data, which are with the users.
    pub keys: Option<PostgresKeys>,
    /// Prices: where products run, and where orders do.
    pub quotes: Option<Quotes>,
    /// Accounts: where users run, and where orders do.
    pub payers: Option<Payers>,
    /// Hashes of what must not be kept in the clear.
    pub digests: Digests,
    /// The stores, for reading.
    pub stores: Stores,
    /// Cancelled when the process is about to end: long streams take no more commands then.
    pub stopping: CancellationToken,
}

impl Commands {
    /// Whether no writer of the context would take another command now.
    #[must_use]
    pub fn are_full(&self, context: Context) -> bool {
        match context {
            Context::Users => self.users.as_ref().is_some_and(Writers::are_full),
            Context::Products => self.products.as_ref().is_some_and(Writers::are_full),
            Context::Orders => self.orders.as_ref().is_some_and(Writers::are_full),
            Context::Payments => self.payments.as_ref().is_some_and(Writers::are_full),
        }
    }

    /// Whose an order is; none for a guest's, and for one that does not exist.
    pub async fn owner_of_order(&self, order: StreamId) -> Result<Option<UserId>, LoadError> {
        let Some(store) = self.stores.of(Context::Orders) else { return Ok(None) };
        let states = state::load::<Order>(store.pool(), &[order]).await?;
        Ok(states.get(&order).and_then(|found| found.state.owner()))
    }

    /// Whose a payment is; none for a guest's, and for one that does not exist.
    pub async fn owner_of_payment(&self, payment: StreamId) -> Result<Option<UserId>, LoadError> {
        let Some(store) = self.stores.of(Context::Payments) else { return Ok(None) };
        let states = state::load::<Payment>(store.pool(), &[payment]).await?;
        Ok(states.get(&payment).and_then(|found| found.state.owner()))
    }
}

/// The stores of the contexts that run here.
#[derive(Clone)]
pub struct Stores(Vec<PostgresStore>);

impl Stores {
    /// All of them.
    #[must_use]
    pub fn new(stores: Vec<PostgresStore>) -> Self {
        Self(stores)
    }

    /// By context; none when that runs elsewhere.
    #[must_use]
    pub fn of(&self, context: Context) -> Option<&PostgresStore> {
        self.0.iter().find(|store| store.context() == context)
    }

    /// Every one.
    pub fn all(&self) -> impl Iterator<Item = &PostgresStore> {
        self.0.iter()
    }
}

/// Keyed hashes (HMAC-SHA256): without the key nobody can test a guess against what is stored.
#[derive(Clone)]
pub struct Digests {
    key: Hmac<Sha256>,
}

impl Digests {
    /// Under a key derived from the master key.
    #[must_use]
    pub fn new(master: &DataKey) -> Self {
        let derived = keyed(master.as_bytes()).chain_update(b"orderflow digests").finalize().into_bytes();
        Self { key: keyed(&derived) }
    }

    /// Under which an e-mail address is claimed.
    #[must_use]
    pub fn email(&self, canonical: &str) -> EmailClaim {
        EmailClaim(self.key.clone().chain_update(b"email\0").chain_update(canonical).finalize().into_bytes().into())
    }

    /// An idempotency key, scoped by subject, with what is asked under it.
    #[must_use]
    pub fn key(&self, subject: &str, key: &str, request: &[&[u8]]) -> Key {
        let id = self.uuid(&[b"key", subject.as_bytes(), key.as_bytes()]);
        Key { id, request: self.uuid(request) }
    }

    /// The id of what is made under an idempotency key, so that duplicates meet in one stream.
    #[must_use]
    pub fn derived_id(&self, key: Uuid) -> Uuid {
        self.uuid(&[b"id", key.as_bytes()])
    }

    fn uuid(&self, parts: &[&[u8]]) -> Uuid {
        let mut mac = self.key.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// HMAC takes keys of any length.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}
