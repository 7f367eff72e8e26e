//! Which provider it is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use service_kit::{
    breaker,
    config::{ConfigError, Secret, secret_from},
};

use super::ProviderSettings;

/// The settings of the payment provider; flatten it into the service's own.
#[derive(Debug, Clone, clap::Args)]
pub struct ProviderConfig {
    /// Where the payment provider's API begins.
    #[arg(long, env)]
    pub payment_provider_url: String,

    /// The secret that the payment provider knows us by.
    #[arg(long, env)]
    pub payment_provider_key: Option<Secret>,

    /// A file with that secret.
    #[arg(long, env)]
    pub payment_provider_key_file: Option<PathBuf>,

    /// A file with the certificates (PEM) of authorities that may vouch for the provider, beside those that everybody trusts:
    /// for one in a network of your own.
    #[arg(long, env)]
    pub payment_provider_ca_file: Option<PathBuf>,

    /// Milliseconds that the payment provider has for an answer, each time that it is asked.
    #[arg(long, env, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=120_000))]
    pub payment_provider_timeout_ms: u64,

    /// How many times it is asked in a row, until the answer is definite; later it is asked again anyway.
    #[arg(long, env, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub payment_provider_attempts: u8,
}

impl ProviderConfig {
    /// How the provider is called, checked.
    pub fn settings(&self) -> Result<ProviderSettings, ConfigError> {
        let wrong = || ConfigError::new("PAYMENT_PROVIDER_URL", "must be an http:// or https:// URL");
        let url: Url = self.payment_provider_url.parse().map_err(|_| wrong())?;
        // A secret in the URL would be logged with it.
        if !matches!(url.scheme(), "http" | "https")
            || !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
        {
            return Err(wrong());
        }
        let (value, file) = (self.payment_provider_key.as_ref(), self.payment_provider_key_file.as_deref());
        Ok(ProviderSettings {
            url,
            key: secret_from(value, file, "PAYMENT_PROVIDER_KEY", 1)?,
            authorities: self.payment_provider_ca_file.as_deref().map_or_else(|| Ok(Vec::new()), authorities)?,
            timeout: Duration::from_millis(self.payment_provider_timeout_ms),
            attempts: usize::from(self.payment_provider_attempts),
            breaker: breaker::Settings::default(),
        })
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let wrong = |problem: String| ConfigError::new("PAYMENT_PROVIDER_CA_FILE", format!("{}: {problem}", path.display()));
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(found) }
}
