//! Settings: flag over environment over file, all checked before anything binds or connects.
//!
//! A service's settings are a [`clap::Parser`] with `#[arg(long, env)]` on each field and
//! [`CommonConfig`] flattened into it. A file (`--config FILE` or `CONFIG_FILE`) holds
//! `KEY=VALUE` lines with the names of the environment; a key that means nothing is an error.

mod common;
mod health_check;
mod load;
mod otlp;
mod secret;

pub use common::{CommonConfig, LogFormat};
pub use load::{load, try_load};
pub use otlp::{Otlp, OtlpConfig};
pub use secret::{Secret, secret_from};

/// A setting that cannot be used, by the name that it has in the environment.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    setting: String,
    problem: String,
}

impl ConfigError {
    /// `problem` continues the sentence that begins with the setting's name.
    pub fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into() }
    }

    /// The setting's name.
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

/// What a service's settings must offer to be loaded.
pub trait ServiceConfig: clap::Parser {
    /// Where it listens unless `HTTP_ADDR` says otherwise.
    const DEFAULT_HTTP_ADDR: &'static str;

    /// The settings that all services share.
    fn common(&self) -> &CommonConfig;

    /// Checks what parsing alone cannot: files of secrets, settings that contradict each other.
    fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
