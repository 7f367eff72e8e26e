//! The registry in Redis: a key with a time to live for each instance, and a sorted set of their ids, all under one hash tag,
//! so that a cluster has them in one slot and lists them by two commands.
//!
//! Whoever watches asks once a second: some hundred bytes for a process. Redis could tell of changes, but says nothing of an
//! instance that was killed until its key is collected, and loses what it tells while a connection is down: the asking would
//! have to stay.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    Instance, Listing, RegistryError, ServiceRegistry,
    memory::{Found, Memory},
};

/// A connection that is not made by then has failed, and so has a command without an answer: whoever looks for an instance
/// waits for it.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The pause between two looks of those who watch.
const LOOK: Duration = Duration::from_secs(1);

/// Heartbeats in a time to live: two may get lost.
const HEARTBEATS: u32 = 3;

/// An id whose instance was silent for so many times to live is taken off the list. By the clocks of the instances, which may
/// differ by less than that.
const FORGOTTEN_AFTER: u32 = 20;

/// Registers in Redis. Cloning shares the connection and what is known.
#[derive(Clone)]
pub struct RedisRegistry(Arc<Inner>);

struct Inner {
    connection: ConnectionManager,
    /// What all keys begin with, up to the hash tag.
    base: String,
    ttl: Duration,
    memory: Mutex<Memory>,
    /// By name of the service. The task that fills them runs as soon as there is one.
    watched: Mutex<HashMap<String, watch::Sender<Arc<[Instance]>>>>,
}

impl RedisRegistry {
    /// Connects when first used. An instance that is silent for `ttl` is gone. Has to be called in a runtime.
    pub fn new(url: &str, prefix: &str, ttl: Duration) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            // Heartbeats and looks come again anyway; meanwhile what was known last is the quicker answer.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let connection = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        let memory = Mutex::new(Memory::new(ttl));
        Ok(Self(Arc::new(Inner { connection, base: format!("{prefix}:{{registry}}"), ttl, memory, watched: Mutex::default() })))
    }
}

impl Inner {
    fn epoch_key(&self) -> String {
        format!("{}:epoch", self.base)
    }

    fn ids_key(&self) -> String {
        format!("{}:ids", self.base)
    }

    fn instance_key(&self, id: &str) -> String {
        format!("{}:instance:{id}", self.base)
    }

    /// Writes all there is to know of an instance, whether or not it is there: so heartbeats repair what was lost.
    async fn put(&self, instance: &Instance) -> Result<(), RedisError> {
        let id = instance.id.to_string();
        // It can't fail: there is nothing in it that JSON has no form for.
        let json = serde_json::to_string(instance).unwrap_or_default();
        let forgotten = millis_ago(self.ttl * FORGOTTEN_AFTER);
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(self.epoch_key()).arg(Uuid::new_v4().to_string()).arg("NX").ignore();
        pipe.cmd("SET").arg(self.instance_key(&id)).arg(json).arg("PX").arg(millis(self.ttl)).ignore();
        pipe.cmd("ZADD").arg(self.ids_key()).arg(millis_ago(Duration::ZERO)).arg(&id).ignore();
        pipe.cmd("ZREMRANGEBYSCORE").arg(self.ids_key()).arg("-inf").arg(forgotten).ignore();
        pipe.exec_async(&mut self.connection.clone()).await
    }

    async fn remove(&self, instance: &Instance) -> Result<(), RedisError> {
        let id = instance.id.to_string();
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("DEL").arg(self.instance_key(&id)).ignore();
        pipe.cmd("ZREM").arg(self.ids_key()).arg(&id).ignore();
        pipe.exec_async(&mut self.connection.clone()).await
    }

    async fn read(&self) -> Result<Found, RedisError> {
        let mut connection = self.connection.clone();
        let mut pipe = redis::pipe();
        pipe.cmd("GET").arg(self.epoch_key());
        pipe.cmd("ZRANGE").arg(self.ids_key()).arg(0).arg(-1);
        let (epoch, ids): (Option<String>, Vec<String>) = pipe.query_async(&mut connection).await?;
        if ids.is_empty() {
            return Ok(Found { epoch, instances: Vec::new() });
        }
        let mut get = redis::cmd("MGET");
        for id in &ids {
            get.arg(self.instance_key(id));
        }
        let values: Vec<Option<String>> = get.query_async(&mut connection).await?;
        // One that can't be read is of a later version of this program, and no reason to find nobody.
        let instances = values.into_iter().flatten().filter_map(|json| serde_json::from_str(&json).ok()).collect();
        Ok(Found { epoch, instances })
    }

    /// Reads, and gives what is known then.
    async fn look(&self) -> Listing {
        let found = self.read().await;
        let mut memory = lock(&self.memory);
        let is_current = match found {
            Ok(found) => {
                memory.learn(found, Instant::now());
                true
            }
            Err(error) => {
                if memory.lost() {
                    tracing::warn!(%error, "the service registry is away: those known last are there");
                }
                false
            }
        };
        Listing { instances: memory.known().cloned().collect(), is_current }
    }

    fn tell(&self, listing: &Listing) {
        for (name, watched) in lock(&self.watched).iter() {
            let now: Arc<[Instance]> = of(name, listing);
            watched.send_if_modified(|known| {
                let is_news = *known != now;
                if is_news {
                    metrics::gauge!("orderflow_registry_instances", "service" => name.clone()).set(count(now.len()));
                    *known = now;
                }
                is_news
            });
        }
    }
}

/// Looks as long as there is somebody who could watch.
async fn keep_looking(registry: Weak<Inner>) {
    while let Some(inner) = registry.upgrade() {
        let listing = inner.look().await;
        inner.tell(&listing);
        drop(inner);
        tokio::time::sleep(LOOK).await;
    }
}

impl ServiceRegistry for RedisRegistry {
    fn register<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move { self.0.put(instance).await.map_err(|error| RegistryError(error.to_string())) })
    }

    fn heartbeat<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>> {
        self.register(instance)
    }

    fn deregister<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move { self.0.remove(instance).await.map_err(|error| RegistryError(error.to_string())) })
    }

    fn heartbeat_every(&self) -> Option<Duration> {
        Some(self.0.ttl / HEARTBEATS)
    }

    fn list(&self) -> BoxFuture<'_, Listing> {
        Box::pin(self.0.look())
    }

    fn watch(&self, name: &str) -> watch::Receiver<Arc<[Instance]>> {
        let mut watched = lock(&self.0.watched);
        if watched.is_empty() {
            tokio::spawn(keep_looking(Arc::downgrade(&self.0)));
        }
        let known = || of(name, &Listing { instances: lock(&self.0.memory).known().cloned().collect(), is_current: false });
        watched.entry(name.to_owned()).or_insert_with(|| watch::Sender::new(known())).subscribe()
    }
}

fn of(name: &str, listing: &Listing) -> Arc<[Instance]> {
    listing.instances.iter().filter(|instance| instance.name == name).cloned().collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The moment so long ago, in milliseconds since 1970.
fn millis_ago(ago: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    millis(now.saturating_sub(ago))
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
fn count(number: usize) -> f64 {
    number as f64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
