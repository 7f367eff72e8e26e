//! Settings.

use std::time::Duration;

use chrono::{DateTime, Utc};
use events::Context;
use service_kit::{
    config::{CommonConfig, ConfigError, Secret, ServiceConfig},
    registry::RegistryConfig,
};

use crate::outbound::{postgres::Patience, provider::ProviderConfig};

/// What is left of a lease when an attempt has ended, for storing its outcome.
const SETTLING: Duration = Duration::from_secs(3);

/// Orders that one transaction takes in, at most.
const BATCH: usize = 100;

/// Carries placed orders out: reserves stock, has payments authorised, confirms, and undoes all that where it fails.
#[derive(Debug, clap::Parser)]
#[command(version, about)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// How it finds the command services, and others find it.
    #[command(flatten)]
    pub registry: RegistryConfig,

    /// The payment provider.
    #[command(flatten)]
    pub provider: ProviderConfig,

    /// Postgres: `postgres://user:password@host:port/database`. Its own schema there is `fulfilment`.
    #[arg(long, env)]
    pub database_url: Secret,

    /// Kafka brokers, `host:port,host:port`.
    #[arg(long, env)]
    pub kafka_brokers: String,

    /// What topic names begin with.
    #[arg(long, env, default_value = "orderflow")]
    pub topic_prefix: String,

    /// The consumer group. What it has committed is where it goes on; another name begins where the topic does.
    #[arg(long, env, default_value = "orderflow-fulfilment")]
    pub group_id: String,

    /// A name that stays with this instance: coming back under it within the session timeout moves no partition.
    #[arg(long, env)]
    pub group_instance_id: Option<String>,

    /// Seconds until the partitions of a silent instance go to others.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u64).range(6..=1800))]
    pub session_timeout: u64,

    /// Seconds from an order's placement until its payment has to be authorised.
    #[arg(long, env, default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub payment_timeout: u64,

    /// Seconds that one attempt at a step may take. A step that a killed instance had begun is taken again 3 s later.
    #[arg(long, env, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub step_timeout: u64,

    /// Attempts at a step without a definite answer, before it waits for a person: by default for about an hour.
    #[arg(long, env, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub step_attempts: u32,

    /// Steps, of as many orders, that this instance takes at a time.
    #[arg(long, env, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub steps_at_once: u16,

    /// Orders that were placed before this moment (such as 2026-01-31T12:00:00Z) are left alone: for the first start beside
    /// orders that were carried out otherwise.
    #[arg(long, env)]
    pub orders_since: Option<DateTime<Utc>>,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8083";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in
            [("KAFKA_BROKERS", &self.kafka_brokers), ("TOPIC_PREFIX", &self.topic_prefix), ("GROUP_ID", &self.group_id)]
        {
            if value.is_empty() {
                return Err(ConfigError::new(name, "must not be empty"));
            }
        }
        self.registry.validate()?;
        self.provider.settings()?;
        if self.registry.registry_url.is_none() && self.registry.services.is_none() {
            let problem = "give it, or SERVICES (command-service=http://HOST:PORT): the command services are found by it";
            return Err(ConfigError::new("REGISTRY_URL", problem));
        }
        Ok(())
    }
}

impl Config {
    /// How long things may take.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience {
            payment: Duration::from_secs(self.payment_timeout),
            lease: self.step_timeout() + SETTLING,
            attempts: self.step_attempts,
        }
    }

    /// See `step_timeout`.
    #[must_use]
    pub fn step_timeout(&self) -> Duration {
        Duration::from_secs(self.step_timeout)
    }

    /// How orders' events are read.
    #[must_use]
    pub fn consumer(&self) -> consumer::Settings {
        consumer::Settings {
            brokers: self.kafka_brokers.clone(),
            client_id: "orderflow-fulfilment".to_owned(),
            group_id: self.group_id.clone(),
            instance_id: self.group_instance_id.clone(),
            session_timeout: Duration::from_secs(self.session_timeout),
            topic_prefix: self.topic_prefix.clone(),
            contexts: vec![Context::Orders],
            batch: BATCH,
        }
    }
}
