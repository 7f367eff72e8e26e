//! Who is there: instances of services make themselves known, and others find them.
//!
//! A registry that is away stops nobody: services start, are ready and answer without it, and who looks for instances gets
//! those that were known last. It says who is there, not who is well: that, callers find out (see [`crate::instances`]).

mod config;
mod fixed;
mod memory;
mod redis;
mod registration;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

pub use config::{OwnRedis, RegistryConfig};
pub use fixed::FixedList;
pub use registration::Registration;

pub use self::redis::RedisRegistry;

/// A running process of a service, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Another one at each start.
    pub id: Uuid,
    /// The service, such as `command-service`.
    pub name: String,
    /// A name or an address at which others reach it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What answers 200 as long as it can do its work.
    pub health_url: String,
    /// Of the program; empty where nobody knows.
    #[serde(default)]
    pub version: String,
    /// The bounded contexts that it serves, by name; none where it makes no difference.
    #[serde(default)]
    pub contexts: Vec<String>,
}

impl Instance {
    /// Where its HTTP API begins, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        // An IPv6 address has colons of its own.
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{open}{}{close}:{}", self.host, self.port)
    }

    /// Whether it serves this context: one that names none serves all.
    pub fn serves(&self, context: &str) -> bool {
        self.contexts.is_empty() || self.contexts.iter().any(|served| served == context)
    }
}

/// Everybody who is there.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// By id.
    pub instances: Vec<Instance>,
    /// Whether they were just read. Otherwise the registry is away, and they are those that were known last.
    pub is_current: bool,
}

/// Why a registry did not take what it was told. It is worth another attempt.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the service registry does not answer: {0}")]
pub struct RegistryError(String);

/// Where instances make themselves known. (Its methods give boxed futures, as which adapter it is is a setting.)
pub trait ServiceRegistry: Send + Sync {
    /// Makes an instance known, until its heartbeats stay away.
    fn register<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// Says that an instance is still there; one that was lost is known again.
    fn heartbeat<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// Takes an instance out at once.
    fn deregister<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// How often a heartbeat is due; none where nobody registers.
    fn heartbeat_every(&self) -> Option<Duration>;

    /// Everybody who is there; those known last when the registry is away.
    fn list(&self) -> BoxFuture<'_, Listing>;

    /// The instances of a service; those known last when the registry is away.
    fn discover<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<Instance>> {
        Box::pin(async move { self.list().await.instances.into_iter().filter(|instance| instance.name == name).collect() })
    }

    /// The instances of a service, as they come and go: none at first where they have to be asked for.
    fn watch(&self, name: &str) -> watch::Receiver<Arc<[Instance]>>;
}

#[cfg(test)]
mod tests;
