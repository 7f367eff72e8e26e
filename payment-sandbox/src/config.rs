//! Settings.

use std::{path::PathBuf, time::Duration};

use service_kit::config::{CommonConfig, ConfigError, Secret, ServiceConfig};

use crate::application::desk::Chances;

/// A payment provider to try things on. No money is moved.
#[derive(Debug, clap::Parser)]
#[command(name = "payment-sandbox", version, about)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// What callers are known by: `Authorization: Bearer` with this.
    #[arg(long, env, default_value = "sandbox")]
    pub sandbox_key: Secret,

    /// A file to keep the book in, so that it survives the process.
    #[arg(long, env)]
    pub book_file: Option<PathBuf>,

    /// Milliseconds until a slow answer.
    #[arg(long, env, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub slow_ms: u64,

    /// Authorisations in a hundred that are declined without being asked to.
    #[arg(long, env, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub decline_percent: u8,

    /// Calls in a hundred that fail at first without being asked to.
    #[arg(long, env, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub fail_percent: u8,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8090";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.sandbox_key.expose().is_empty() {
            return Err(ConfigError::new("SANDBOX_KEY", "must not be empty"));
        }
        Ok(())
    }
}

impl Config {
    /// See `slow_ms`.
    #[must_use]
    pub fn slow(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }

    /// How many are not approved.
    #[must_use]
    pub fn chances(&self) -> Chances {
        Chances { declined: self.decline_percent, failing: self.fail_percent }
    }
}
