//! What orders know of other contexts: of the directories of this process, or of the processes that run those contexts.

use std::sync::Arc;

use events::Context;
use service_kit::health::Health;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    application::{
        commands::{Payers, Quotes, Stores},
        directory::Directory,
    },
    config::Config,
    domain::{
        order::{Payer, ProductQuote, Standing},
        product::Product,
        user::User,
    },
    outbound::peers::{Caller, Question, RemoteFacts},
};

/// Facts about other contexts' aggregates that are kept in memory, for each kind.
const FACTS: usize = 100_000;

/// The directories of the contexts that run here.
pub(super) struct Directories {
    pub(super) quotes: Option<Arc<Directory<Product, Option<ProductQuote>>>>,
    pub(super) payers: Option<Arc<Directory<User, Payer>>>,
}

impl Directories {
    pub(super) fn new(stores: &Stores) -> Self {
        let (users, products) = (stores.of(Context::Users), stores.of(Context::Products));
        let payer = |user: &User, _| user.payer();
        Self {
            quotes: products.map(|store| Arc::new(Directory::new(store.clone(), FACTS, Product::quote))),
            payers: users.map(|store| Arc::new(Directory::new(store.clone(), FACTS, payer))),
        }
    }

    /// What is here is asked here; what orders need and is not, where it is.
    pub(super) fn facts(&self, config: &Config, health: &Health) -> anyhow::Result<(Option<Quotes>, Option<Payers>)> {
        let mut quotes = self.quotes.clone().map(|here| here as Quotes);
        let mut payers = self.payers.clone().map(|here| here as Payers);
        if config.asked().next().is_none() {
            return Ok((quotes, payers));
        }
        let caller = Arc::new(Caller::new(config.common.jwt_secret()?)?);
        for context in config.asked() {
            let (caller, base) = (Arc::clone(&caller), config.peer(context)?);
            match context {
                Context::Users => {
                    let keep = |payer: &Payer| payer.standing != Standing::Unknown;
                    let question = Question::<Payer> { context, path: "/v1/payers", keep };
                    payers = Some(Arc::new(RemoteFacts::new(caller, base, question, health.state("context-users"))));
                }
                Context::Products => {
                    let question = Question::<Option<ProductQuote>> { context, path: "/v1/quotes", keep: Option::is_some };
                    quotes = Some(Arc::new(RemoteFacts::new(caller, base, question, health.state("context-products"))));
                }
                Context::Orders | Context::Payments => {}
            }
        }
        Ok((quotes, payers))
    }

    /// Notices changes of other processes until `stop`.
    pub(super) fn follow(self, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let (quotes, payers) = (self.quotes, self.payers);
        let (stop_quotes, stop_payers) = (stop.clone(), stop.clone());
        let quotes = quotes.map(|here| tokio::spawn(async move { here.follow(&stop_quotes).await }));
        let payers = payers.map(|here| tokio::spawn(async move { here.follow(&stop_payers).await }));
        quotes.into_iter().chain(payers).collect()
    }
}
