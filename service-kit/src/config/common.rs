//! The settings that every service has.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, OtlpConfig, Secret, secret_from};
use crate::telemetry;

/// HS256 is as strong as its key: RFC 7518 asks for as many bits as the hash has.
const MIN_JWT_SECRET: usize = 32;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// The settings that every service has; flatten it into the service's own.
#[derive(Clone, Debug, clap::Args)]
pub struct CommonConfig {
    /// File of KEY=VALUE lines; flags and the environment win over it.
    #[arg(long, env = "CONFIG_FILE", value_name = "CONFIG_FILE")]
    pub config: Option<PathBuf>,

    /// Ask the running service's /health and exit with 0 or 1 (for container health checks).
    #[arg(long)]
    pub check_health: bool,

    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env)]
    pub http_addr: SocketAddr,

    /// File to write the bound address into, for scripts that let a port be picked.
    #[arg(long, env)]
    pub addr_file: Option<PathBuf>,

    /// Seconds after which a connection that sends no complete request head is closed: by default
    /// longer than the keep-alive of usual proxies (60), so that they, who know better, close first.
    #[arg(long, env, default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub http_idle_timeout: u64,

    /// Seconds after which a connection is closed whose client takes nothing of what is sent to it.
    #[arg(long, env, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub http_write_timeout: u64,

    /// How log lines are written.
    #[arg(long, env, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged: a level, or `target=level` directives separated by commas. `PUT /admin/log-level` changes it.
    #[arg(long, env, default_value = "info")]
    pub log_level: String,

    /// Where traces and logs go.
    #[command(flatten)]
    pub otlp: OtlpConfig,

    /// Seconds for finishing what was begun after SIGTERM.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub shutdown_timeout: u64,

    /// Seconds for which requests are still taken after SIGTERM while /ready says no, so that load
    /// balancers notice first; they come out of `SHUTDOWN_TIMEOUT`.
    #[arg(long, env, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub shutdown_delay: u64,

    /// Secret that tokens are signed with, at least 32 bytes.
    #[arg(long, env)]
    pub jwt_secret: Option<Secret>,

    /// File with the secret that tokens are signed with.
    #[arg(long, env)]
    pub jwt_secret_file: Option<PathBuf>,
}

impl CommonConfig {
    /// The secret that tokens are signed with.
    pub fn jwt_secret(&self) -> Result<Secret, ConfigError> {
        secret_from(self.jwt_secret.as_ref(), self.jwt_secret_file.as_deref(), "JWT_SECRET", MIN_JWT_SECRET)
    }

    /// The bound on a graceful shutdown.
    pub fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.jwt_secret()?;
        if let Err(error) = telemetry::parse(&self.log_level) {
            return Err(ConfigError::new("LOG_LEVEL", error.to_string()));
        }
        self.otlp.settings()?;
        if self.shutdown_delay >= self.shutdown_timeout {
            return Err(ConfigError::new("SHUTDOWN_DELAY", "must be shorter than SHUTDOWN_TIMEOUT"));
        }
        Ok(())
    }
}
