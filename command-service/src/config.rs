//! Settings.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use events::{Context, DataKey};
use service_kit::{
    config::{CommonConfig, ConfigError, Secret, ServiceConfig, secret_from},
    registry::RegistryConfig,
};

use crate::{
    application::{lane::Lanes, writer::WriterConfig},
    outbound::{
        kafka::{KafkaSettings, publisher::Delivery},
        postgres::StoreSettings,
    },
};

/// More relay groups than this only make more producers.
const MAX_RELAY_GROUPS: u16 = 64;

/// Takes commands over HTTP, stores events in Postgres and publishes them to Kafka.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,
    /// How others find it.
    #[command(flatten)]
    pub registry: RegistryConfig,
    /// Postgres: `postgres://user:password@host:port/database`.
    #[arg(long, env)]
    pub database_url: Secret,
    /// Another database for the context `users`.
    #[arg(long, env)]
    pub database_url_users: Option<Secret>,
    /// Another database for the context `products`.
    #[arg(long, env)]
    pub database_url_products: Option<Secret>,
    /// Another database for the context `orders`.
    #[arg(long, env)]
    pub database_url_orders: Option<Secret>,
    /// Another database for the context `payments`.
    #[arg(long, env)]
    pub database_url_payments: Option<Secret>,
    /// Kafka's bootstrap servers, comma-separated.
    #[arg(long, env)]
    pub kafka_brokers: String,
    /// The first part of every topic's name.
    #[arg(long, env, default_value = "orderflow")]
    pub topic_prefix: String,
    /// Partitions of an events topic.
    #[arg(long, env, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub topic_partitions: i32,
    /// Copies of each partition.
    #[arg(long, env, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=9))]
    pub topic_replication: i32,
    /// The master key of personal data: base64 of 32 bytes.
    #[arg(long, env)]
    pub personal_data_key: Option<Secret>,
    /// A file with the master key of personal data.
    #[arg(long, env)]
    pub personal_data_key_file: Option<PathBuf>,
    /// Lanes of each store, fixed when it is made.
    #[arg(long, env, default_value_t = 16)]
    pub lanes: u16,
    /// Groups of lanes, each with a producer of its own; fixed when the store is made.
    #[arg(long, env, default_value_t = 2)]
    pub relay_groups: u16,
    /// How events are published.
    #[arg(long, env, value_enum, default_value_t = RelayDelivery::ExactlyOnce)]
    pub relay_delivery: RelayDelivery,
    /// Writers of each context.
    #[arg(long, env, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub writers: u16,
    /// Commands that may wait for each writer.
    #[arg(long, env, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub mailbox: u32,
    /// Aggregates that each writer keeps in memory.
    #[arg(long, env, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub cache_aggregates: u32,
    /// Commands in one batch, at most.
    #[arg(long, env, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch_commands: u32,
    /// A snapshot is kept each time a stream's version passes a multiple of this; 0 for none.
    #[arg(long, env, default_value_t = 100)]
    pub snapshot_every: u64,
}

/// How events are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RelayDelivery {
    /// Each event exactly once for a `read_committed` consumer.
    ExactlyOnce,
    /// Quicker; after a crash the last events come again.
    AtLeastOnce,
    /// Not by this process.
    Off,
}

impl RelayDelivery {
    /// None when this process does not publish.
    #[must_use]
    pub fn delivery(self) -> Option<Delivery> {
        match self {
            Self::ExactlyOnce => Some(Delivery::ExactlyOnce),
            Self::AtLeastOnce => Some(Delivery::AtLeastOnce),
            Self::Off => None,
        }
    }
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8080";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.registry.validate()?;
        self.master_key()?;
        self.store_settings()?;
        if !self.topic_prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            || !(1..=100).contains(&self.topic_prefix.len())
        {
            return Err(ConfigError::new("TOPIC_PREFIX", "must be 1 to 100 letters, digits, dots, dashes or underscores"));
        }
        Ok(())
    }
}

impl Config {
    /// The master key of personal data.
    pub fn master_key(&self) -> Result<DataKey, ConfigError> {
        let (value, file) = (self.personal_data_key.as_ref(), self.personal_data_key_file.as_deref());
        let secret = secret_from(value, file, "PERSONAL_DATA_KEY", 44)?;
        DataKey::from_base64(secret.expose())
            .map_err(|_| ConfigError::new("PERSONAL_DATA_KEY", "must be base64 of 32 bytes: openssl rand -base64 32"))
    }

    /// What is fixed for a store's life.
    pub fn store_settings(&self) -> Result<StoreSettings, ConfigError> {
        let lanes = Lanes::new(self.lanes).ok_or_else(|| ConfigError::new("LANES", format!("must be 1 to {}", Lanes::MAX)))?;
        if !(1..=MAX_RELAY_GROUPS.min(self.lanes)).contains(&self.relay_groups) {
            let problem = format!("must be 1 to {MAX_RELAY_GROUPS}, and not more than LANES");
            return Err(ConfigError::new("RELAY_GROUPS", problem));
        }
        Ok(StoreSettings { lanes, relay_groups: self.relay_groups })
    }

    /// The database of a context.
    #[must_use]
    pub fn database_url(&self, context: Context) -> &Secret {
        let own = match context {
            Context::Users => &self.database_url_users,
            Context::Products => &self.database_url_products,
            Context::Orders => &self.database_url_orders,
            Context::Payments => &self.database_url_payments,
        };
        own.as_ref().unwrap_or(&self.database_url)
    }

    /// All contexts, those that share a database together: what they can share, they have once.
    #[must_use]
    pub fn databases(&self) -> Vec<Vec<Context>> {
        let mut databases: Vec<Vec<Context>> = Vec::new();
        for context in Context::ALL {
            let url = self.database_url(context);
            match databases.iter_mut().find(|others| others.iter().any(|other| self.database_url(*other) == url)) {
                Some(others) => others.push(context),
                None => databases.push(vec![context]),
            }
        }
        databases
    }

    /// How the writers run.
    #[must_use]
    pub fn writer(&self) -> WriterConfig {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        WriterConfig {
            writers: usize::from(self.writers),
            mailbox: size(self.mailbox),
            cache: size(self.cache_aggregates),
            batch_commands: size(self.batch_commands),
            batch_bytes: 4 << 20,
            snapshot_every: self.snapshot_every,
        }
    }

    /// Where Kafka is.
    #[must_use]
    pub fn kafka(&self) -> KafkaSettings {
        KafkaSettings {
            brokers: self.kafka_brokers.clone(),
            prefix: self.topic_prefix.clone(),
            partitions: self.topic_partitions,
            replication: self.topic_replication,
        }
    }
}
