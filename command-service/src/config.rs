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
    /// The contexts that this process runs, comma-separated.
    #[arg(long, env, value_delimiter = ',', default_values_t = Context::ALL)]
    pub command_contexts: Vec<Context>,
    /// The command service that runs what orders have to know of and this process does not run.
    #[arg(long, env)]
    pub command_service_url: Option<String>,
    /// Another one that runs the context `users`.
    #[arg(long, env)]
    pub command_service_url_users: Option<String>,
    /// Another one that runs the context `products`.
    #[arg(long, env)]
    pub command_service_url_products: Option<String>,
    /// Postgres: `postgres://user:password@host:port/database`.
    #[arg(long, env)]
    pub database_url: Option<Secret>,
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
    /// Groups of lanes, each with a relay of its own, fixed when a store is made: without it a store keeps what it has, and a
    /// new one gets 1.
    #[arg(long, env)]
    pub relay_groups: Option<u16>,
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
        for context in self.contexts() {
            self.database_url(context)?;
        }
        for context in self.asked() {
            self.peer(context)?;
        }
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
        if self.relay_groups.is_some_and(|groups| !(1..=MAX_RELAY_GROUPS.min(self.lanes)).contains(&groups)) {
            let problem = format!("must be 1 to {MAX_RELAY_GROUPS}, and not more than LANES");
            return Err(ConfigError::new("RELAY_GROUPS", problem));
        }
        Ok(StoreSettings { lanes, relay_groups: self.relay_groups })
    }

    /// Whether this process runs a context.
    #[must_use]
    pub fn runs(&self, context: Context) -> bool {
        self.command_contexts.contains(&context)
    }

    /// The contexts that this process runs, each once.
    pub fn contexts(&self) -> impl Iterator<Item = Context> {
        Context::ALL.into_iter().filter(|context| self.runs(*context))
    }

    /// The contexts that this process does not run and has to ask: orders have to know of users and products.
    pub fn asked(&self) -> impl Iterator<Item = Context> {
        let needed = self.runs(Context::Orders).then_some([Context::Users, Context::Products]);
        needed.into_iter().flatten().filter(|context| !self.runs(*context))
    }

    /// The database of a context.
    pub fn database_url(&self, context: Context) -> Result<&Secret, ConfigError> {
        let own = match context {
            Context::Users => &self.database_url_users,
            Context::Products => &self.database_url_products,
            Context::Orders => &self.database_url_orders,
            Context::Payments => &self.database_url_payments,
        };
        own.as_ref().or(self.database_url.as_ref()).ok_or_else(|| {
            let own = context.name().to_uppercase();
            ConfigError::new("DATABASE_URL", format!("is required (or DATABASE_URL_{own}, for the context {context})"))
        })
    }

    /// Where the command service is that runs a context of [`Self::asked`].
    pub fn peer(&self, context: Context) -> Result<&str, ConfigError> {
        let own = match context {
            Context::Users => &self.command_service_url_users,
            Context::Products => &self.command_service_url_products,
            Context::Orders | Context::Payments => &None,
        };
        let name = format!("COMMAND_SERVICE_URL_{}", context.name().to_uppercase());
        let Some(url) = own.as_ref().or(self.command_service_url.as_ref()) else {
            let problem = format!("is required (or COMMAND_SERVICE_URL): orders run here, and {context} don't");
            return Err(ConfigError::new(name, problem));
        };
        if !url.starts_with("http://") {
            let name = if own.is_some() { name } else { "COMMAND_SERVICE_URL".to_owned() };
            return Err(ConfigError::new(name, "must be an http:// URL"));
        }
        Ok(url.trim_end_matches('/'))
    }

    /// The contexts that this process runs, those that share a database together: what they can share, they have once.
    pub fn databases(&self) -> Result<Vec<Vec<Context>>, ConfigError> {
        let mut databases: Vec<(&Secret, Vec<Context>)> = Vec::new();
        for context in self.contexts() {
            let url = self.database_url(context)?;
            match databases.iter_mut().find(|(other, _)| *other == url) {
                Some((_, contexts)) => contexts.push(context),
                None => databases.push((url, vec![context])),
            }
        }
        Ok(databases.into_iter().map(|(_, contexts)| contexts).collect())
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
