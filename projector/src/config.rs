//! Settings.

use std::{num::NonZeroUsize, time::Duration};

use events::Context;
use service_kit::{
    config::{CommonConfig, ConfigError, Secret, ServiceConfig},
    registry::RegistryConfig,
};

use crate::{
    application::{audit::AuditSettings, worker::Limits},
    outbound::command_service::Bases,
};

/// Keeps the read models in Redis up to date with the events on Kafka.
#[derive(Debug, clap::Parser)]
#[command(version, about)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// How others find it.
    #[command(flatten)]
    pub registry: RegistryConfig,

    /// Kafka brokers, `host:port,host:port`.
    #[arg(long, env)]
    pub kafka_brokers: String,

    /// What topic names begin with.
    #[arg(long, env, default_value = "orderflow")]
    pub topic_prefix: String,

    /// Replicas of the dead-letter topic, should it have to be created.
    #[arg(long, env, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=32))]
    pub topic_replication: i32,

    /// Redis, `redis://user:password@host:port/index`.
    #[arg(long, env)]
    pub redis_url: Secret,

    /// What Redis keys begin with.
    #[arg(long, env, default_value = "orderflow")]
    pub redis_prefix: String,

    /// The command service, for missing events and keys of personal data.
    #[arg(long, env, default_value = "http://127.0.0.1:8080")]
    pub command_service_url: String,

    /// Another one that runs the context `users`.
    #[arg(long, env)]
    pub command_service_url_users: Option<String>,

    /// Another one that runs the context `products`.
    #[arg(long, env)]
    pub command_service_url_products: Option<String>,

    /// Another one that runs the context `orders`.
    #[arg(long, env)]
    pub command_service_url_orders: Option<String>,

    /// Another one that runs the context `payments`.
    #[arg(long, env)]
    pub command_service_url_payments: Option<String>,

    /// The consumer group. Checkpoints are in Redis: another name changes nothing of where reading begins.
    #[arg(long, env, default_value = "orderflow-projector")]
    pub group_id: String,

    /// A name that stays with this instance: coming back under it within the session timeout moves no partition.
    #[arg(long, env)]
    pub group_instance_id: Option<String>,

    /// Seconds until the partitions of a silent instance go to others.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u64).range(6..=1800))]
    pub session_timeout: u64,

    /// Events that are written to Redis in one transaction, at most.
    #[arg(long, env, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub chunk_events: u16,

    /// Views kept in memory, for each partition.
    #[arg(long, env, default_value = "512")]
    pub cached_views: NonZeroUsize,

    /// Hours that a generation stays, and is kept up to date, after another has taken its place.
    #[arg(long, env, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=8760))]
    pub keep_previous_hours: u32,

    /// Streams of a partition that may be parked (and not discarded): past that the partition stands still, and says so.
    #[arg(long, env, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub max_parked_streams: u32,

    /// Changes that each partition's change log keeps, about.
    #[arg(long, env, default_value = "4096")]
    pub log_changes: NonZeroUsize,

    /// Streams a second that the auditor compares with the event store, at most; 0: no audit.
    #[arg(long, env, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub audit_streams_per_second: u16,

    /// Seconds that a view may lack events, with nothing left to be read, before the auditor calls it behind.
    #[arg(long, env, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub audit_behind_seconds: u64,

    /// Seconds between two recounts of an idle partition's counters, as part of the audit; 0: only after repairs.
    #[arg(long, env, default_value_t = 3600)]
    pub audit_recount_seconds: u64,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8082";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.registry.validate()?;
        if !self.redis_url.expose().starts_with("redis://") {
            return Err(ConfigError::new("REDIS_URL", "must be a redis:// URL"));
        }
        for context in Context::ALL {
            let (own, url) = self.command_service_of(context);
            if !url.starts_with("http://") {
                let own = if own { format!("_{}", context.name().to_uppercase()) } else { String::new() };
                return Err(ConfigError::new(format!("COMMAND_SERVICE_URL{own}"), "must be an http:// URL"));
            }
        }
        for (name, value) in [
            ("KAFKA_BROKERS", &self.kafka_brokers),
            ("TOPIC_PREFIX", &self.topic_prefix),
            ("REDIS_PREFIX", &self.redis_prefix),
            ("GROUP_ID", &self.group_id),
        ] {
            if value.is_empty() {
                return Err(ConfigError::new(name, "must not be empty"));
            }
        }
        if self.redis_prefix.contains(['{', '}']) {
            return Err(ConfigError::new("REDIS_PREFIX", "must not contain braces: they mark Redis Cluster's hash tag"));
        }
        Ok(())
    }
}

impl Config {
    /// Where the command services are.
    #[must_use]
    pub fn command_services(&self) -> Bases {
        Bases::new(|context| self.command_service_of(context).1.to_owned())
    }

    /// Where the command service of a context is, and whether that is a setting of its own.
    fn command_service_of(&self, context: Context) -> (bool, &str) {
        let own = match context {
            Context::Users => &self.command_service_url_users,
            Context::Products => &self.command_service_url_products,
            Context::Orders => &self.command_service_url_orders,
            Context::Payments => &self.command_service_url_payments,
        };
        (own.is_some(), own.as_ref().unwrap_or(&self.command_service_url))
    }

    /// The bounds of a worker.
    #[must_use]
    pub fn limits(&self) -> Limits {
        /// A chunk of large orders stays one command of a size that Redis handles in milliseconds.
        const CHUNK_BYTES: usize = 1 << 20;
        /// For 36 partitions 36 MB.
        const CACHED_BYTES: usize = 1 << 20;
        Limits {
            chunk_events: usize::from(self.chunk_events),
            chunk_bytes: CHUNK_BYTES,
            cached_views: self.cached_views,
            cached_bytes: CACHED_BYTES,
            recount: (self.audit_streams_per_second > 0 && self.audit_recount_seconds > 0)
                .then(|| Duration::from_secs(self.audit_recount_seconds)),
            parked_streams: usize::try_from(self.max_parked_streams).unwrap_or(usize::MAX),
        }
    }

    /// See `keep_previous_hours`.
    #[must_use]
    pub fn keep_previous(&self) -> Duration {
        Duration::from_secs(3_600 * u64::from(self.keep_previous_hours))
    }

    /// How the auditor works, if it does.
    #[must_use]
    pub fn audit(&self) -> Option<AuditSettings> {
        (self.audit_streams_per_second > 0).then(|| AuditSettings {
            pause: Duration::from_secs(1) / u32::from(self.audit_streams_per_second),
            behind: Duration::from_secs(self.audit_behind_seconds),
        })
    }

    /// See `session_timeout`.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        Duration::from_secs(self.session_timeout)
    }
}
