//! The contexts of this process, as the inbound side uses them.

use std::sync::Arc;

use events::{Context, DataKey, StreamId, UserId, text::PaymentMethod};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    command::Key,
    directory::Directory,
    state::{self, LoadError},
    writer::Writers,
};
use crate::{
    domain::{
        order::{Order, ProductQuote, Standing},
        payment::Payment,
        product::Product,
        user::{EmailClaim, User},
    },
    outbound::postgres::{PostgresStore, keys::PostgresKeys},
};

/// What orders may know of products: what it costs, none when it does not exist.
pub type Quotes = Directory<Product, Option<ProductQuote>>;
/// What orders may know of users: how they stand, and what they pay with.
pub type Customers = Directory<User, (Standing, Option<PaymentMethod>)>;

/// Everything that commands need.
pub struct Commands {
    /// Executes commands on users.
    pub users: Writers<User>,
    /// Executes commands on products.
    pub products: Writers<Product>,
    /// Executes commands on orders.
    pub orders: Writers<Order>,
    /// Executes commands on payments.
    pub payments: Writers<Payment>,
    /// The keys of personal data.
    pub keys: PostgresKeys,
    /// Prices.
    pub quotes: Arc<Quotes>,
    /// Accounts.
    pub customers: Arc<Customers>,
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
            Context::Users => self.users.are_full(),
            Context::Products => self.products.are_full(),
            Context::Orders => self.orders.are_full(),
            Context::Payments => self.payments.are_full(),
        }
    }

    /// Whose an order is; none for a guest's, and for one that does not exist.
    pub async fn owner_of_order(&self, order: StreamId) -> Result<Option<UserId>, LoadError> {
        let states = state::load::<Order>(self.stores.orders.pool(), &[order]).await?;
        Ok(states.get(&order).and_then(|found| found.state.owner()))
    }

    /// Whose a payment is; none for a guest's, and for one that does not exist.
    pub async fn owner_of_payment(&self, payment: StreamId) -> Result<Option<UserId>, LoadError> {
        let states = state::load::<Payment>(self.stores.payments.pool(), &[payment]).await?;
        Ok(states.get(&payment).and_then(|found| found.state.owner()))
    }
}

/// The store of each context.
#[derive(Clone)]
pub struct Stores {
    /// Of `users`.
    pub users: PostgresStore,
    /// Of `products`.
    pub products: PostgresStore,
    /// Of `orders`.
    pub orders: PostgresStore,
    /// Of `payments`.
    pub payments: PostgresStore,
}

impl Stores {
    /// By context.
    #[must_use]
    pub fn of(&self, context: Context) -> &PostgresStore {
        match context {
            Context::Users => &self.users,
            Context::Products => &self.products,
            Context::Orders => &self.orders,
            Context::Payments => &self.payments,
        }
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
