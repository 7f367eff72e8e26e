//! Which registry it is, and what an instance says of itself.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{FixedList, Instance, RedisRegistry, ServiceRegistry};
use crate::config::{ConfigError, Secret};

/// The settings of a service that registers or looks for others; flatten it into the service's own.
#[derive(Clone, Debug, clap::Args)]
pub struct RegistryConfig {
    /// Redis with the service registry; by default the `REDIS_URL` of a service that has one.
    #[arg(long, env)]
    pub registry_url: Option<Secret>,

    /// What the registry's keys begin with; by default the `REDIS_PREFIX` of a service that has one, else `orderflow`.
    #[arg(long, env)]
    pub registry_prefix: Option<String>,

    /// Seconds after which an instance that is not heard of is gone.
    #[arg(long, env, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub registry_ttl: u64,

    /// The instances, in place of a registry: `NAME=URL,NAME=URL`, such as `command-service=http://command-service:8080`; one
    /// that doesn't serve all contexts names its own: `command-service/orders+payments=http://orders:8080`. Empty: there is
    /// no registry.
    #[arg(long, env)]
    pub services: Option<String>,

    /// The name or address at which others reach this instance; by default the one that it listens on, or the machine's name
    /// when it listens on all.
    #[arg(long, env)]
    pub advertised_host: Option<String>,

    /// The port at which others reach this instance; by default the one that it listens on.
    #[arg(long, env)]
    pub advertised_port: Option<u16>,
}

/// Where a service's own Redis is, and what its keys begin with.
#[derive(Clone, Copy, Debug)]
pub struct OwnRedis<'a> {
    /// Its URL.
    pub url: &'a str,
    /// What keys begin with.
    pub prefix: &'a str,
}

impl RegistryConfig {
    /// Checks what parsing alone cannot; call it in the service's own `validate`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Some(services) = &self.services {
            if self.registry_url.is_some() {
                return Err(ConfigError::new("REGISTRY_URL", "give it or SERVICES, not both"));
            }
            FixedList::parse(services).map_err(|problem| ConfigError::new("SERVICES", problem))?;
        }
        if self.registry_url.as_ref().is_some_and(|url| redis::parse_redis_url(url.expose()).is_none()) {
            return Err(ConfigError::new("REGISTRY_URL", "must be a redis:// URL"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.registry_prefix.as_ref().is_some_and(|prefix| prefix.is_empty() || !prefix.chars().all(plain)) {
            return Err(ConfigError::new("REGISTRY_PREFIX", "has letters, digits, `-`, `_` and `.` only"));
        }
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if self.advertised_host.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(host)) {
            return Err(ConfigError::new("ADVERTISED_HOST", "must be a name or an address, without a port"));
        }
        Ok(())
    }

    /// The registry: a fixed list if one is given, else Redis, if any is known. Without either there is nobody. Has to be
    /// called in a runtime.
    pub fn open(&self, own: Option<OwnRedis<'_>>) -> Result<Arc<dyn ServiceRegistry>, ConfigError> {
        if let Some(services) = &self.services {
            let list = FixedList::parse(services).map_err(|problem| ConfigError::new("SERVICES", problem))?;
            return Ok(Arc::new(list));
        }
        let given = self.registry_url.as_ref().map(Secret::expose);
        let Some(url) = given.or(own.map(|redis| redis.url)) else {
            tracing::info!("there is no service registry: neither REGISTRY_URL nor SERVICES");
            return Ok(Arc::new(FixedList::default()));
        };
        let prefix = self.registry_prefix.as_deref().or(own.map(|redis| redis.prefix)).unwrap_or("orderflow");
        let registry = RedisRegistry::new(url, prefix, Duration::from_secs(self.registry_ttl));
        Ok(Arc::new(registry.map_err(|error| ConfigError::new("REGISTRY_URL", error.to_string()))?))
    }

    /// This process as others see it: `bound` is where it listens, `contexts` what it serves.
    pub fn instance(&self, name: &str, version: &str, contexts: Vec<String>, bound: SocketAddr) -> Instance {
        let host = self.advertised_host.clone().unwrap_or_else(|| host_of(bound));
        let port = self.advertised_port.unwrap_or(bound.port());
        let (name, version, health_url) = (name.to_owned(), version.to_owned(), String::new());
        let mut instance = Instance { id: Uuid::now_v7(), name, host, port, health_url, version, contexts };
        instance.health_url = format!("{}/ready", instance.base_url());
        instance
    }
}

/// The address itself, or the machine's name where that is no address at all: containers have names that others resolve.
fn host_of(bound: SocketAddr) -> String {
    if !bound.ip().is_unspecified() {
        return bound.ip().to_string();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}
