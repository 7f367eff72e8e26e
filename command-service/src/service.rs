//! Starting and stopping the parts.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::Utc;
use events::{Context, DomainEvent, OrderEvent, PaymentEvent, ProductEvent, UserEvent};
use service_kit::health::{Health, StateCheck};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    application::{
        commands::{Commands, Digests, Stores},
        directory::Directory,
        relay::{Relay, RelayHealth, RelaySignal, hear_others},
        writer::{OnCommit, Writers},
    },
    config::Config,
    domain::{Aggregate, order::Order, payment::Payment, product::Product, user::User},
    outbound::{
        kafka::topics,
        postgres::{PostgresStore, idempotency, keys::PostgresKeys, relay::RelayOwner},
    },
};

/// How often partitions of stored answers are made and dropped.
const MAINTENANCE: Duration = Duration::from_secs(3600);
/// Facts about other contexts' aggregates that are kept in memory, for each kind.
const FACTS: usize = 100_000;
/// Relay groups that are taken over at a time.
const TAKEOVERS: usize = 2;

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

/// Opens the stores, migrating them, and makes sure of the topics: all at once.
pub async fn open(config: &Config) -> anyhow::Result<Stores> {
    let (stores, ()) = tokio::try_join!(open_stores(config), ensure_topics(config))?;
    Ok(stores)
}

async fn ensure_topics(config: &Config) -> anyhow::Result<()> {
    if config.relay_delivery.delivery().is_none() {
        return Ok(());
    }
    topics::ensure(&config.kafka(), &Context::ALL, config.relay_groups).await.context("checking the topics")
}

async fn open_stores(config: &Config) -> anyhow::Result<Stores> {
    let settings = config.store_settings()?;
    let open = async |context: Context, types: &'static [&'static str]| {
        PostgresStore::open(context, config.database_url(context).expose(), settings, types).await
    };
    let (users, products, orders, payments) = tokio::try_join!(
        open(Context::Users, UserEvent::TYPES),
        open(Context::Products, ProductEvent::TYPES),
        open(Context::Orders, OrderEvent::TYPES),
        open(Context::Payments, PaymentEvent::TYPES),
    )?;
    Ok(Stores { users, products, orders, payments })
}

/// Adds a check of each database.
#[must_use]
pub fn check_stores(health: Health, config: &Config, stores: &Stores) -> Health {
    let databases = config.databases();
    let alone = databases.len() == 1;
    databases.into_iter().fold(health, |health, contexts| {
        let Some(first) = contexts.first() else { return health };
        let names: Vec<_> = contexts.iter().map(|context| context.name()).collect();
        let name = if alone { "postgres".to_owned() } else { format!("postgres-{}", names.join("-")) };
        // Not the pool of the requests: a crowd of them says nothing of Postgres.
        let pool = stores.of(*first).relay_pool().clone();
        health.check(Box::leak(name.into_boxed_str()), move || {
            // A connection that takes longer to make than the check may take is there for the next check. One that is there
            // already is tried out by the pool.
            let acquiring = tokio::spawn({
                let pool = pool.clone();
                async move { pool.acquire().await.map(drop).map_err(|error| error.to_string()) }
            });
            async move { acquiring.await.unwrap_or_else(|error| Err(error.to_string())) }
        })
    })
}

impl Service {
    /// Starts writers, relays and what runs beside them.
    pub fn start(config: &Config, stores: Stores, health: &Health, stopping: CancellationToken) -> anyhow::Result<Self> {
        let relays = Relays::prepare(config, health);
        let master = config.master_key()?;
        let quotes = Arc::new(Directory::new(stores.products.clone(), FACTS, Product::quote));
        let customer = |user: &User, _| (user.standing(), user.payment_method().cloned());
        let customers = Arc::new(Directory::new(stores.users.clone(), FACTS, customer));

        let (known_quotes, known_customers) = (Arc::clone(&quotes), Arc::clone(&customers));
        let writers = WritersOf { config, relays: &relays };
        let (users, users_tasks) = writers.start::<User>(&stores.users, move |committed| known_customers.committed(committed));
        let (products, products_tasks) =
            writers.start::<Product>(&stores.products, move |committed| known_quotes.committed(committed));
        let (orders, orders_tasks) = writers.start::<Order>(&stores.orders, |_| {});
        let (payments, payments_tasks) = writers.start::<Payment>(&stores.payments, |_| {});

        let stop_background = CancellationToken::new();
        let mut background = Vec::new();
        let (stop, following) = (stop_background.clone(), Arc::clone(&quotes));
        background.push(tokio::spawn(async move { following.follow(&stop).await }));
        let (stop, following) = (stop_background.clone(), Arc::clone(&customers));
        background.push(tokio::spawn(async move { following.follow(&stop).await }));
        background.push(tokio::spawn(maintain(stores.clone(), stop_background.clone())));

        let stop_relays = CancellationToken::new();
        let relays = relays.start(config, &stores, &stop_relays);
        let commands = Commands {
            users,
            products,
            orders,
            payments,
            keys: PostgresKeys::new(stores.users.pool().clone(), master.clone()),
            quotes,
            customers,
            digests: Digests::new(&master),
            stores,
            stopping,
        };
        let writers = [users_tasks, products_tasks, orders_tasks, payments_tasks].into_iter().flatten().collect();
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
    relays: &'a Relays,
}

impl WritersOf<'_> {
    fn start<A: Aggregate>(
        &self,
        store: &PostgresStore,
        observe: impl Fn(&mut crate::application::writer::Committed<'_, A>) + Send + Sync + 'static,
    ) -> (Writers<A>, Vec<JoinHandle<()>>) {
        let signal = Arc::clone(self.relays.signal(store.context()));
        let on_commit: OnCommit<A> = Arc::new(move |mut committed| {
            signal.appended(committed.heads);
            observe(&mut committed);
        });
        Writers::start(store, self.config.writer(), &on_commit)
    }
}

/// The relay groups of every context.
struct Relays {
    config: RelaysConfig,
    signals: Vec<(Context, Arc<RelaySignal>)>,
    health: Vec<(Context, u16, Arc<Reported>)>,
}

struct RelaysConfig {
    kafka: crate::outbound::kafka::KafkaSettings,
    delivery: Option<crate::outbound::kafka::publisher::Delivery>,
}

struct Reported(StateCheck);

impl RelayHealth for Reported {
    fn ok(&self) {
        self.0.set_ok();
    }

    fn late(&self, detail: String) {
        self.0.set_degraded(detail);
    }

    fn refused(&self, detail: String) {
        self.0.set_failed(detail);
    }
}

impl Relays {
    fn prepare(config: &Config, health: &Health) -> Self {
        let (delivery, groups) = (config.relay_delivery.delivery(), config.relay_groups);
        let signals = Context::ALL.map(|context| (context, Arc::new(RelaySignal::new(groups))));
        let mut checks = Vec::new();
        if delivery.is_some() {
            for context in Context::ALL {
                for group in 0..groups {
                    let name: &'static str = Box::leak(format!("relay-{context}-{group}").into_boxed_str());
                    let check = health.state(name);
                    check.set_degraded("starting");
                    checks.push((context, group, Arc::new(Reported(check))));
                }
            }
        }
        Self { config: RelaysConfig { kafka: config.kafka(), delivery }, signals: signals.into(), health: checks }
    }

    fn signal(&self, context: Context) -> &Arc<RelaySignal> {
        let found = self.signals.iter().find(|(of, _)| *of == context);
        &found.unwrap_or(&self.signals[0]).1
    }

    fn start(self, config: &Config, stores: &Stores, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        let turns = Arc::new(Semaphore::new(TAKEOVERS));
        for contexts in config.databases() {
            let shared: Vec<_> = contexts.iter().map(|of| (stores.of(*of).clone(), Arc::clone(self.signal(*of)))).collect();
            for (store, signal) in shared.clone() {
                let stop = stop.clone();
                tasks.push(tokio::spawn(async move { signal.tell_others(&store, &stop).await }));
            }
            let Some((first, _)) = shared.first().cloned() else { continue };
            let stopped = stop.clone();
            tasks.push(tokio::spawn(async move { hear_others(&shared, &stopped).await }));
            let Some(delivery) = self.config.delivery else { continue };
            let owner = RelayOwner::start(first);
            for (context, group, health) in self.health.iter().filter(|(context, ..)| contexts.contains(context)) {
                let relay = Relay {
                    store: stores.of(*context).clone(),
                    kafka: self.config.kafka.clone(),
                    delivery,
                    group: *group,
                    signal: Arc::clone(self.signal(*context)),
                    health: Arc::clone(health) as Arc<dyn RelayHealth>,
                    owner: owner.clone(),
                    turns: Arc::clone(&turns),
                };
                tasks.push(tokio::spawn(relay.run(stop.clone())));
            }
        }
        if self.config.delivery.is_none() {
            info!("this process publishes nothing: RELAY_DELIVERY=off");
        }
        tasks
    }
}

async fn maintain(stores: Stores, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(MAINTENANCE) => {}
        }
        for context in Context::ALL {
            let maintained = async {
                let mut connection = stores.of(context).pool().acquire().await?;
                idempotency::maintain(&mut connection, Utc::now().date_naive()).await
            };
            if let Err(error) = maintained.await {
                warn!(%error, %context, "the partitions of stored answers could not be kept up");
            }
        }
    }
}
