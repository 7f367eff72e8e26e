//! The settings of the query service.

use std::{num::NonZeroUsize, time::Duration};

use service_kit::{
    config::{CommonConfig, ConfigError, Secret, ServiceConfig},
    registry::{OwnRedis, RegistryConfig},
};

use crate::{inbound::http::LiveSettings, outbound::redis::Settings};

const MEBIBYTE: u64 = 1 << 20;

/// The read side of orderflow: answers queries over HTTP from the read models in Redis.
#[derive(Debug, clap::Parser)]
#[command(name = "query-service", version, about)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// How others find it, and it finds others.
    #[command(flatten)]
    pub registry: RegistryConfig,

    /// The Redis server with the read models.
    #[arg(long, env)]
    pub redis_url: Secret,

    /// What all of orderflow's keys in Redis begin with.
    #[arg(long, env, default_value = "orderflow")]
    pub redis_prefix: String,

    /// Milliseconds after which Redis counts as unreachable.
    #[arg(long, env, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub redis_timeout_ms: u64,

    /// Mebibytes of hot views kept in process; 0 keeps none.
    #[arg(long, env, default_value_t = 32, value_parser = clap::value_parser!(u64).range(0..=65_536))]
    pub view_cache_mb: u64,

    /// Requests that may wait for a version at a time; each takes some kilobytes.
    #[arg(long, env, default_value_t = 10_000)]
    pub max_waiting: usize,

    /// Streams of live updates that may be open at a time; each takes a file and some ten kilobytes.
    #[arg(long, env, default_value_t = 10_000)]
    pub max_update_streams: usize,

    /// Seconds of silence after which a stream of live updates gets a heartbeat.
    #[arg(long, env, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub update_heartbeat: u64,

    /// Changes that a stream of live updates may be behind before it has to read them by itself.
    #[arg(long, env, default_value = "1024")]
    pub update_buffer: NonZeroUsize,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8081";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.registry.validate()?;
        if redis::parse_redis_url(self.redis_url.expose()).is_none() {
            return Err(ConfigError::new("REDIS_URL", "must be a redis:// URL"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.redis_prefix.is_empty() || !self.redis_prefix.chars().all(plain) {
            return Err(ConfigError::new("REDIS_PREFIX", "has letters, digits, `-`, `_` and `.` only"));
        }
        Ok(())
    }
}

impl Config {
    /// How Redis is reached.
    #[must_use]
    pub fn redis(&self) -> Settings {
        Settings {
            url: self.redis_url.expose().to_owned(),
            prefix: self.redis_prefix.clone(),
            timeout: Duration::from_millis(self.redis_timeout_ms),
            cache_bytes: self.view_cache_mb * MEBIBYTE,
            max_waiting: self.max_waiting,
        }
    }

    /// The Redis in which the registry is, unless it is somewhere else.
    #[must_use]
    pub fn own_redis(&self) -> OwnRedis<'_> {
        OwnRedis { url: self.redis_url.expose(), prefix: &self.redis_prefix }
    }

    /// How live updates are served.
    #[must_use]
    pub fn live(&self) -> LiveSettings {
        LiveSettings {
            max_streams: self.max_update_streams,
            heartbeat: Duration::from_secs(self.update_heartbeat),
            buffer: self.update_buffer.get(),
        }
    }
}
