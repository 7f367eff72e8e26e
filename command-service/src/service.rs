//! Starting and stopping the parts.

mod facts;
mod relays;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::Utc;
use events::{Context, DomainEvent};
use futures::future::try_join_all;
use service_kit::health::Health;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{facts::Directories, relays::Relays};
use crate::{
    application::{
        commands::{Commands, Digests, Stores},
        writer::{Committed, OnCommit, Writers},
    },
    config::Config,
    domain::{Aggregate, order::Order, payment::Payment, product::Product, user::User},
    outbound::{
        kafka::topics,
        postgres::{PostgresStore, idempotency, keys::PostgresKeys},
    },
};

/// How often partitions of stored answers are made and dropped.
const MAINTENANCE: Duration = Duration::from_secs(3600);

/// Everything that runs, but for the HTTP server.
pub struct Service {
    /// What the HTTP handlers use. Dropping the last one ends the writers.
    pub commands: Arc<Commands>,
    writers: Vec<JoinHandle<()>>,
    relays: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
    stop_relays: CancellationToken,
    stop_background: CancellationToken,
}

/// Opens the stores, migrating them, and makes sure of the topics, some of which have a partition for each relay group.
pub async fn open(config: &Config) -> anyhow::Result<Stores> {
    let stores = open_stores(config).await?;
    if config.relay_delivery.delivery().is_some() {
        let contexts: Vec<_> = stores.all().map(|store| (store.context(), store.relay_groups())).collect();
        topics::ensure(&config.kafka(), &contexts).await.context("checking the topics")?;
    }
    Ok(stores)
}

async fn open_stores(config: &Config) -> anyhow::Result<Stores> {
    let settings = config.store_settings()?;
    let opening = config.contexts().map(|context| async move {
        let url = config.database_url(context)?;
        let store = PostgresStore::open(context, url.expose(), settings, context.types()).await?;
        anyhow::Ok(store)
    });
    Ok(Stores::new(try_join_all(opening).await?))
}

/// Adds a check of each database.
pub fn check_stores(health: Health, config: &Config, stores: &Stores) -> anyhow::Result<Health> {
    let databases = config.databases()?;
    let alone = databases.len() == 1;
    Ok(databases.into_iter().fold(health, |health, contexts| {
        let Some(store) = contexts.first().and_then(|first| stores.of(*first)) else { return health };
        let names: Vec<_> = contexts.iter().map(|context| context.name()).collect();
        let name = if alone { "postgres".to_owned() } else { format!("postgres-{}", names.join("-")) };
        // Not the pool of the requests: a crowd of them says nothing of Postgres.
        let pool = store.relay_pool().clone();
        health.check(Box::leak(name.into_boxed_str()), move || {
            // A connection that takes longer to make than the check may take is there for the next check. One that is there
            // already is tried out by the pool.
            let acquiring = tokio::spawn({
                let pool = pool.clone();
                async move { pool.acquire().await.map(drop).map_err(|error| error.to_string()) }
            });
            async move { acquiring.await.unwrap_or_else(|error| Err(error.to_string())) }
        })
    }))
}

impl Service {
    /// Starts writers, relays and what runs beside them.
    pub fn start(config: &Config, stores: Stores, health: &Health, stopping: CancellationToken) -> anyhow::Result<Self> {
        info!(contexts = %config.contexts().map(Context::name).collect::<Vec<_>>().join(","), "the contexts of this process");
        let relays = Relays::prepare(config, &stores, health)?;
        let master = config.master_key()?;
        let directories = Directories::new(&stores);
        let (quotes, payers) = directories.facts(config, health)?;

        let mut writers = WritersOf { config, stores: &stores, relays: &relays, tasks: Vec::new() };
        let (known_quotes, known_payers) = (directories.quotes.clone(), directories.payers.clone());
        let users = writers.start::<User>(move |committed| known_payers.iter().for_each(|known| known.committed(committed)));
        let products =
            writers.start::<Product>(move |committed| known_quotes.iter().for_each(|known| known.committed(committed)));
        let orders = writers.start::<Order>(|_| {});
        let payments = writers.start::<Payment>(|_| {});
        let writers = writers.tasks;

        let stop_background = CancellationToken::new();
        let mut background = directories.follow(&stop_background);
        background.push(tokio::spawn(maintain(stores.clone(), stop_background.clone())));

        let stop_relays = CancellationToken::new();
        let relays = relays.start(&stop_relays);
        let commands = Commands {
            users,
            products,
            orders,
            payments,
            keys: stores.of(Context::Users).map(|store| PostgresKeys::new(store.pool().clone(), master.clone())),
            quotes,
            payers,
            digests: Digests::new(&master),
            stores,
            stopping,
        };
        Ok(Self { commands: Arc::new(commands), writers, relays, background, stop_relays, stop_background })
    }

    /// Lets the relays publish what is stored, then ends everything.
    pub async fn finish(self) {
        drop(self.commands);
        for task in self.writers {
            let _ = task.await;
        }
        self.stop_relays.cancel();
        for task in self.relays {
            let _ = task.await;
        }
        self.stop_background.cancel();
        for task in self.background {
            let _ = task.await;
        }
    }
}

struct WritersOf<'a> {
    config: &'a Config,
    stores: &'a Stores,
    relays: &'a Relays,
    tasks: Vec<JoinHandle<()>>,
}

impl WritersOf<'_> {
    /// Those of a context; none when it runs elsewhere.
    fn start<A: Aggregate>(&mut self, observe: impl Fn(&mut Committed<'_, A>) + Send + Sync + 'static) -> Option<Writers<A>> {
        let context = <A::Event as DomainEvent>::CONTEXT;
        let (store, signal) = (self.stores.of(context)?, Arc::clone(self.relays.signal(context)?));
        let on_commit: OnCommit<A> = Arc::new(move |mut committed| {
            signal.appended(committed.heads);
            observe(&mut committed);
        });
        let (writers, tasks) = Writers::start(store, self.config.writer(), &on_commit);
        self.tasks.extend(tasks);
        Some(writers)
    }
}

async fn maintain(stores: Stores, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(MAINTENANCE)).await.is_some() {
        for store in stores.all() {
            let maintained = async {
                let mut connection = store.pool().acquire().await?;
                idempotency::maintain(&mut connection, Utc::now().date_naive()).await
            };
            if let Err(error) = maintained.await {
                warn!(%error, context = %store.context(), "the partitions of stored answers could not be kept up");
            }
        }
    }
}
