//! Two connections to Redis, and what is only true while they last: the cached views and the generation pointers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError, Value,
    aio::{MultiplexedConnection, SendError},
};
use arc_swap::ArcSwapOption;
use events::Context;
use read_model::{Generation, keys};
use tokio::sync::Notify;

use super::{RedisReadError, Settings, cache::ViewCache, listeners::Listeners, view_key::Invalidated};

/// Requests that one connection takes in before a sender has to wait for it.
const PIPELINE_BUFFER: usize = 1_024;

/// How old the generation pointers may get where no invalidation arrives; also how often a connection is proven alive.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// Which generation of each context is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Generations([Option<Generation>; Context::ALL.len()]);

impl Generations {
    pub(super) fn of(&self, context: Context) -> Result<Generation, RedisReadError> {
        self.0[context.index()].ok_or(RedisReadError::NotBuilt(context))
    }

    fn parse(pointers: &HashMap<String, String>) -> Result<Self, RedisReadError> {
        let mut generations = Self::default();
        for context in Context::ALL {
            if let Some(pointer) = pointers.get(context.name()) {
                let generation = serde_json::from_str(pointer)
                    .map_err(|error| RedisReadError::Malformed(format!("generation of {context}: {error}")))?;
                generations.0[context.index()] = Some(generation);
            }
        }
        Ok(generations)
    }
}

/// A connected pair: reads of single views on one connection, tracked by Redis; everything else on the other, so that
/// lists and statistics are not announced to us.
pub(super) struct Session {
    pub(super) tracked: MultiplexedConnection,
    pub(super) plain: MultiplexedConnection,
    pub(super) tracking: Arc<Tracking>,
}

/// What the pushes of the tracked connection act upon. They are handled while the connection reads, before any later
/// reply is given to anyone.
pub(super) struct Tracking {
    prefix: String,
    alive: AtomicBool,
    pub(super) cache: ViewCache,
    generations: ArcSwapOption<Generations>,
    /// How many times the pointers were announced to have changed, and how many of those the pointers at hand include.
    moves: AtomicU64,
    moves_seen: AtomicU64,
    refreshing: tokio::sync::Mutex<()>,
    attention: Notify,
    listeners: Arc<Listeners>,
    /// Views that were asked of Redis; a hit is not counted, it would cost as much as the look-up.
    pub(super) misses: metrics::Counter,
    invalidations: metrics::Counter,
}

impl Session {
    /// Connects, turns tracking on and reads the generation pointers.
    pub(super) async fn open(settings: &Settings, listeners: Arc<Listeners>) -> Result<Self, RedisReadError> {
        let tracking = Arc::new(Tracking {
            prefix: settings.prefix.clone(),
            alive: AtomicBool::new(true),
            cache: ViewCache::new(settings.cache_bytes),
            generations: ArcSwapOption::empty(),
            moves: AtomicU64::new(0),
            moves_seen: AtomicU64::new(0),
            refreshing: tokio::sync::Mutex::new(()),
            attention: Notify::new(),
            listeners,
            misses: metrics::counter!("orderflow_view_cache_misses_total"),
            invalidations: metrics::counter!("orderflow_view_cache_invalidations_total"),
        });
        let info = settings.url.as_str().into_connection_info()?;
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(resp3))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.timeout))
            .set_response_timeout(Some(settings.timeout))
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        let plain = client.get_multiplexed_async_connection_with_config(&config).await?;
        let pushes = Arc::clone(&tracking);
        let config = config.set_push_sender(move |push| {
            pushes.on_push(&push);
            Ok::<_, SendError>(())
        });
        let mut tracked = client.get_multiplexed_async_connection_with_config(&config).await?;
        ::redis::pipe()
            .cmd("CLIENT")
            .arg("SETNAME")
            .arg(tracked_name(&settings.prefix))
            .ignore()
            // Default mode, not BCAST: Redis remembers what we have read and announces only that. Broadcasting by
            // prefix would send every write of a projector that catches up to every query service.
            .cmd("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .ignore()
            .exec_async(&mut tracked)
            .await?;
        let session = Self { tracked, plain, tracking };
        session.refresh().await?;
        Ok(session)
    }

    /// The pointers as of now, without asking Redis.
    pub(super) fn generations(&self) -> Result<Arc<Generations>, RedisReadError> {
        self.tracking.generations.load_full().ok_or_else(|| RedisReadError::Unavailable("just connected".to_owned()))
    }

    /// The generation of one context as of now, without sharing all pointers.
    pub(super) fn generation_of(&self, context: Context) -> Option<Generation> {
        self.tracking.generations.load().as_ref()?.of(context).ok()
    }

    /// The pointers with every change that was announced until now.
    pub(super) async fn settled_generations(&self) -> Result<Arc<Generations>, RedisReadError> {
        if self.tracking.moves.load(Ordering::Acquire) != self.tracking.moves_seen.load(Ordering::Acquire) {
            self.refresh().await?;
        }
        self.generations()
    }

    /// Reads the pointers, on the tracked connection, so that their next change is announced.
    async fn refresh(&self) -> Result<(), RedisReadError> {
        let tracking = &*self.tracking;
        // One at a time, or an older reply could be stored over a newer one.
        let _refreshing = tracking.refreshing.lock().await;
        let moves = tracking.moves.load(Ordering::Acquire);
        let mut connection = self.tracked.clone();
        let pointers: HashMap<String, String> =
            ::redis::cmd("HGETALL").arg(keys::generations(&tracking.prefix)).query_async(&mut connection).await?;
        let generations = Generations::parse(&pointers)?;
        let before = tracking.generations.swap(Some(Arc::new(generations)));
        tracking.moves_seen.store(moves, Ordering::Release);
        if before.is_some_and(|before| *before != generations) {
            tracking.listeners.wake_all();
        }
        Ok(())
    }

    /// Keeps the pointers fresh until a connection is lost or does not answer in time; says why.
    pub(super) async fn tend(&self) -> RedisReadError {
        loop {
            drop(tokio::time::timeout(REFRESH_EVERY, self.tracking.attention.notified()).await);
            if !self.is_alive() {
                return RedisReadError::Unavailable("connection lost".to_owned());
            }
            if let Err(error) = futures::future::try_join(self.refresh(), self.ping()).await
                && let RedisReadError::Unavailable(_) = error
            {
                self.tracking.end();
                return error;
            }
            metrics::gauge!("orderflow_view_cache_bytes").set(lossy(self.tracking.cache.bytes()));
            metrics::gauge!("orderflow_waiting_requests").set(lossy(self.tracking.listeners.waiters.count() as u64));
        }
    }

    /// Proves that Redis answers on the plain connection.
    pub(super) async fn ping(&self) -> Result<(), RedisReadError> {
        let mut connection = self.plain.clone();
        ::redis::cmd("PING").exec_async(&mut connection).await.map_err(RedisReadError::from)
    }

    /// Whether invalidations arrive, so that what is cached is true.
    pub(super) fn is_alive(&self) -> bool {
        self.tracking.alive.load(Ordering::Acquire)
    }
}

/// The name of the tracked connection in `CLIENT LIST`.
fn tracked_name(prefix: &str) -> String {
    // Redis takes no spaces or control characters in names.
    let prefix: String = prefix.chars().filter(char::is_ascii_graphic).collect();
    format!("query-service:{prefix}")
}

impl Tracking {
    fn on_push(&self, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Disconnection, _) => self.end(),
            (PushKind::Invalidate, Some(Value::Array(keys))) => keys.iter().for_each(|key| self.invalidate(key)),
            // Redis announces FLUSHALL and FLUSHDB with a null in place of keys.
            (PushKind::Invalidate, _) => {
                self.listeners.emptied();
                self.invalidate_all();
            }
            _ => {}
        }
    }

    fn invalidate(&self, key: &Value) {
        let Value::BulkString(key) = key else { return self.invalidate_all() };
        self.invalidations.increment(1);
        match Invalidated::parse(&self.prefix, key) {
            Invalidated::View(view) => {
                self.cache.remove(&view);
                self.listeners.waiters.wake(&(view.context, view.stream));
            }
            Invalidated::Log(log) => self.listeners.logs.ring(log),
            Invalidated::Parked => self.listeners.waiters.wake_all(),
            Invalidated::Generations => self.generations_moved(),
            Invalidated::Unknown => self.invalidate_all(),
        }
    }

    fn invalidate_all(&self) {
        self.cache.clear();
        self.generations_moved();
        self.listeners.wake_all();
    }

    fn generations_moved(&self) {
        self.moves.fetch_add(1, Ordering::AcqRel);
        self.attention.notify_one();
    }

    /// From here on nothing is served from the cache.
    fn end(&self) {
        self.alive.store(false, Ordering::Release);
        self.cache.clear();
        self.attention.notify_one();
        self.listeners.wake_all();
    }
}

/// Whether asking again on another connection may help: the request got lost with its connection.
pub(super) fn is_lost_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() && !error.is_timeout()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
fn lossy(number: u64) -> f64 {
    number as f64
}
