//! The relay groups of the contexts that run here.

use std::sync::Arc;

use events::Context;
use service_kit::{
    config::ConfigError,
    health::{Health, StateCheck},
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    application::{
        commands::Stores,
        relay::{Relay, RelayHealth, RelaySignal, hear_others},
    },
    config::Config,
    outbound::{
        kafka::{KafkaSettings, publisher::Delivery},
        postgres::{PostgresStore, relay::RelayOwner},
    },
};

/// Relay groups that are taken over at a time.
const TAKEOVERS: usize = 2;

/// The relay groups of every context, before they run.
pub(super) struct Relays {
    kafka: KafkaSettings,
    delivery: Option<Delivery>,
    contexts: Vec<OfContext>,
    databases: Vec<Vec<Context>>,
}

/// One context's.
struct OfContext {
    store: PostgresStore,
    signal: Arc<RelaySignal>,
    /// By group; none when this process publishes nothing.
    health: Vec<Arc<Reported>>,
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
    pub(super) fn prepare(config: &Config, stores: &Stores, health: &Health) -> Result<Self, ConfigError> {
        let delivery = config.relay_delivery.delivery();
        let prepare = |store: &PostgresStore| {
            let groups = store.relay_groups();
            let checks = (0..if delivery.is_some() { groups } else { 0 }).map(|group| {
                let name: &'static str = Box::leak(format!("relay-{}-{group}", store.context()).into_boxed_str());
                let check = health.state(name);
                check.set_degraded("starting");
                Arc::new(Reported(check))
            });
            OfContext { store: store.clone(), signal: Arc::new(RelaySignal::new(groups)), health: checks.collect() }
        };
        let contexts = stores.all().map(prepare).collect();
        Ok(Self { kafka: config.kafka(), delivery, contexts, databases: config.databases()? })
    }

    /// What wakes the relays of a context that runs here.
    pub(super) fn signal(&self, context: Context) -> Option<&Arc<RelaySignal>> {
        self.contexts.iter().find(|of| of.store.context() == context).map(|of| &of.signal)
    }

    pub(super) fn start(self, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        let turns = Arc::new(Semaphore::new(TAKEOVERS));
        for database in &self.databases {
            let sharing = || self.contexts.iter().filter(|of| database.contains(&of.store.context()));
            for OfContext { store, signal, .. } in sharing() {
                let (store, signal, stop) = (store.clone(), Arc::clone(signal), stop.clone());
                tasks.push(tokio::spawn(async move { signal.tell_others(&store, &stop).await }));
            }
            let signals: Vec<_> = sharing().map(|of| (of.store.clone(), Arc::clone(&of.signal))).collect();
            let stopped = stop.clone();
            tasks.push(tokio::spawn(async move { hear_others(&signals, &stopped).await }));
            let (Some(delivery), Some(first)) = (self.delivery, sharing().next()) else { continue };
            let owner = RelayOwner::start(first.store.clone());
            for of in sharing() {
                for (group, health) in (0..).zip(&of.health) {
                    let relay = Relay {
                        store: of.store.clone(),
                        kafka: self.kafka.clone(),
                        delivery,
                        group,
                        signal: Arc::clone(&of.signal),
                        health: Arc::clone(health) as Arc<dyn RelayHealth>,
                        owner: owner.clone(),
                        turns: Arc::clone(&turns),
                    };
                    tasks.push(tokio::spawn(relay.run(stop.clone())));
                }
            }
        }
        if self.delivery.is_none() {
            info!("this process publishes nothing: RELAY_DELIVERY=off");
        }
        tasks
    }
}
