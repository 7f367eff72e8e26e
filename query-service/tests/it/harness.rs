//! A query service with read models of its own.

pub(crate) mod redis_server;
pub(crate) mod samples;
pub(crate) mod streams;

use std::{collections::HashMap, sync::Arc, time::Duration};

use events::{Context, StreamId};
use query_service::{
    application::services::Services,
    config::Config,
    inbound::http,
    outbound::redis::{Link, Settings},
};
use read_model::{Flags, Generation, Header, Slot, keys};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use serde::Serialize;
use service_kit::{
    auth::{Role, Verifier, mint},
    config::{Secret, try_load},
    health::Health,
    server::Server,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use uuid::Uuid;

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";

/// Nothing that is waited for takes longer than this, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A running query service, its Redis connection, and its keys, which go when it is dropped.
pub(crate) struct Shop {
    pub(crate) redis: MultiplexedConnection,
    pub(crate) link: Link,
    pub(crate) shutdown: Shutdown,
    pub(crate) prefix: String,
    url: String,
    pub(crate) address: String,
    pub(crate) http: reqwest::Client,
    generations: HashMap<Context, Generation>,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn version(&self) -> u64 {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["version"].as_u64().unwrap()
    }
}

pub(crate) fn test_redis() -> String {
    std::env::var("ORDERFLOW_TEST_REDIS").expect("ORDERFLOW_TEST_REDIS: run `make test`, or `deploy/backends up`")
}

impl Shop {
    /// A service over the shared test Redis, with a generation 1 of seven partitions of every context.
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub(crate) async fn build_all(&mut self) {
        for context in Context::ALL {
            self.build(context, 1).await;
        }
    }

    /// A service without read models.
    pub(crate) async fn unbuilt(url: &str, adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::with(url, &[], adjust).await
    }

    /// A service with read models, and these flags.
    pub(crate) async fn open_with(flags: &[&str]) -> Self {
        let mut shop = Self::with(&test_redis(), flags, |_| ()).await;
        shop.build_all().await;
        shop
    }

    async fn with(url: &str, flags: &[&str], adjust: impl FnOnce(&mut Settings)) -> Self {
        let args = ["query-service", "--http-addr=127.0.0.1:0", "--jwt-secret", SECRET, "--redis-url", url];
        let args = args.iter().chain(flags).map(Into::into);
        let config = try_load::<Config>(args, |_| None).unwrap_or_else(|error| panic!("{error}"));
        let prefix = format!("test-{}", Uuid::new_v4().simple());
        // On a machine that is busy with other tests, slow is not down.
        let mut settings = Settings { prefix: prefix.clone(), timeout: PATIENCE, ..config.redis() };
        adjust(&mut settings);
        let shutdown = Shutdown::manual(Duration::from_secs(5));
        let link = Link::start(settings, shutdown.token());
        let probe = link.clone();
        let health = Health::new(shutdown.token()).check("redis", move || {
            let link = probe.clone();
            async move { link.check().await.map_err(|error| error.to_string()) }
        });
        let verifier = Arc::new(Verifier::new(&Secret::new(SECRET)));
        let routes = http::routes().operations(&health, &Metrics::install().unwrap());
        let services = Services::new(config.registry.open(Some(config.own_redis())).unwrap()).unwrap();
        let router = routes.into_router(http::Api::new(link.clone(), config.live(), services), verifier);
        let server = Server::bind(&config.common).await.unwrap();
        let address = format!("http://{}", server.local_addr());
        drop(server.start(router, &shutdown));
        let redis = connect(url).await;
        let (http, generations) = (reqwest::Client::new(), HashMap::new());
        Self { redis, link, shutdown, prefix, url: url.to_owned(), address, http, generations }
    }

    /// Points a context to a generation; answered by the service before this returns.
    pub(crate) async fn build(&mut self, context: Context, number: u32) {
        let generation = Generation { number, partitions: 7, projection: 1 };
        self.generations.insert(context, generation);
        for slot in generation.slots(&self.prefix, context) {
            self.command(redis::cmd("HSET").arg(slot.state()).arg(&["goal", "", "offset", "10"])).await;
        }
        let pointer = serde_json::to_string(&generation).unwrap();
        self.command(redis::cmd("HSET").arg(keys::generations(&self.prefix)).arg(context.name()).arg(pointer)).await;
        eventually(async || self.link.members(context, Some(number)).await.is_ok()).await;
    }

    pub(crate) async fn command(&self, command: &redis::Cmd) {
        command.exec_async(&mut self.redis.clone()).await.unwrap();
    }

    pub(crate) fn slot(&self, context: Context, stream: StreamId) -> Slot {
        self.generations[&context].slot_of(&self.prefix, context, stream)
    }

    pub(crate) async fn put(&self, context: Context, id: Uuid, header: Header, json: &impl Serialize) {
        let stored = header.encode(&serde_json::to_vec(json).unwrap());
        self.command(redis::cmd("SET").arg(self.slot(context, id).view(id)).arg(stored)).await;
    }

    pub(crate) async fn index(&self, context: Context, id: Uuid, index: &str, member: &str) {
        self.command(redis::cmd("ZADD").arg(self.slot(context, id).index(index)).arg(0).arg(member)).await;
    }

    /// Parks a stream as the projector does: the cause in the slot's hash, and the view, if there is one, flagged.
    pub(crate) async fn park(&self, context: Context, id: Uuid, version: u64, cause: &str) {
        let parked = keys::Parked::first(version, cause, 1_300_000_000_000);
        let parked = serde_json::to_string(&parked).unwrap();
        self.command(redis::cmd("HSET").arg(self.slot(context, id).parked()).arg(id.simple().to_string()).arg(parked)).await;
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.get_with(path, token, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(format!("{}{path}", self.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.timeout(PATIENCE * 2).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // A stream has no end to wait for.
        let is_stream = headers.get("content-type").is_some_and(|of| of == "text/event-stream");
        let body = if is_stream { String::new() } else { response.text().await.unwrap() };
        Answer { status, headers, body }
    }
}

/// A connection as patient as the tests are.
pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE)).set_connection_timeout(Some(PATIENCE));
    redis::Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.shutdown.begin();
        let connect = |client: redis::Client| client.get_connection_with_timeout(Duration::from_secs(1));
        let Ok(mut redis) = redis::Client::open(&*self.url).and_then(connect) else { return };
        let Ok(keys) = redis::cmd("KEYS").arg(format!("{}:*", self.prefix)).query::<Vec<Vec<u8>>>(&mut redis) else { return };
        for keys in keys.chunks(1_000) {
            drop(redis::cmd("UNLINK").arg(keys).exec(&mut redis));
        }
    }
}

pub(crate) fn token(subject: &str, role: Role) -> String {
    mint(&Secret::new(SECRET), subject, &[role], Duration::from_secs(600)).unwrap()
}

pub(crate) fn staff() -> String {
    token("staff@example.org", Role::Staff)
}

pub(crate) fn customer(id: Uuid) -> String {
    token(&id.to_string(), Role::Customer)
}

pub(crate) const fn at_version(version: u64) -> Header {
    Header { flags: Flags::NONE, version, owner: None }
}

/// Waits for a condition.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "the condition never came true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
