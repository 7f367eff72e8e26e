//! The system under measurement: the release programs, on a database, topics and a Redis of their own, on loopback.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use service_kit::{
    auth::{self, Role},
    config::Secret,
};
use system_tests::{
    process::Process,
    servers::{Database, RedisServer, Topics, shared},
    wait::until,
};
use tempfile::TempDir;
use uuid::Uuid;

/// The secret that tokens are signed with.
pub(crate) const JWT_SECRET: &str = "a-secret-of-the-benchmarks-only-0123456789ab";
/// 32 bytes in base64: the master key of personal data.
pub(crate) const PERSONAL_DATA_KEY: &str = "YmVuY2htYXJrcy1vbmx5LW1hc3Rlci1rZXktMzJieXQ=";
/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// Servers of one measurement's own; all of it goes when it is dropped.
pub(crate) struct System {
    /// The name that everything carries.
    pub(crate) name: String,
    /// The event stores.
    pub(crate) database: Database,
    /// The events.
    pub(crate) topics: Topics,
    /// The read models.
    pub(crate) redis: RedisServer,
    directory: TempDir,
}

impl System {
    /// Makes them, empty.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let name = format!("bench_{}", Uuid::new_v4().simple());
        Ok(Self {
            database: Database::create(&name).await,
            topics: Topics::shared(name.clone()),
            redis: RedisServer::start().await,
            directory: tempfile::tempdir()?,
            name,
        })
    }

    /// Starts a command service and waits until it is ready. `RELAY_DELIVERY=off` in `more` keeps Kafka out of it.
    pub(crate) async fn command_service(&self, more: &[(&str, &str)]) -> anyhow::Result<Running> {
        self.command_service_at(&system_tests::binaries::program("command-service"), more).await
    }

    /// The same of another build.
    pub(crate) async fn command_service_at(&self, program: &Path, more: &[(&str, &str)]) -> anyhow::Result<Running> {
        let kafka = shared("ORDERFLOW_TEST_KAFKA");
        let settings = [
            ("DATABASE_URL", self.database.url.as_str()),
            ("KAFKA_BROKERS", &kafka),
            ("TOPIC_PREFIX", &self.name),
            ("PERSONAL_DATA_KEY", PERSONAL_DATA_KEY),
        ];
        let running = self.run("command-service", program.to_owned(), &[&settings, more].concat()).await;
        ready("command-service", &running).await;
        Ok(running)
    }

    /// Starts a projector and waits until it is ready.
    pub(crate) async fn projector(&self, command_service: &str, more: &[(&str, &str)]) -> anyhow::Result<Running> {
        let settings = [("COMMAND_SERVICE_URL", command_service)];
        let running = self.projector_alone(&[&settings, more].concat()).await?;
        ready("projector", &running).await;
        Ok(running)
    }

    /// Starts a projector without a command service. It says that it is not ready, and works: orders need no keys of
    /// personal data.
    pub(crate) async fn projector_alone(&self, more: &[(&str, &str)]) -> anyhow::Result<Running> {
        let (kafka, redis) = (shared("ORDERFLOW_TEST_KAFKA"), self.redis.url());
        let settings = [
            ("KAFKA_BROKERS", kafka.as_str()),
            ("TOPIC_PREFIX", &self.name),
            ("REDIS_URL", &redis),
            ("REDIS_PREFIX", &self.name),
            ("GROUP_ID", &self.name),
            // As in docker-compose.yml.
            ("MIMALLOC_PURGE_DELAY", "10"),
        ];
        self.launch("projector", &[&settings, more].concat()).await
    }

    /// Starts a query service and waits until it is ready.
    pub(crate) async fn query_service(&self) -> anyhow::Result<Running> {
        let redis = self.redis.url();
        self.start("query-service", &[("REDIS_URL", redis.as_str()), ("REDIS_PREFIX", &self.name)]).await
    }

    /// Starts a peer, which is this program again, and waits until it listens.
    pub(crate) async fn peer(&self, name: &str, more: &[(&str, &str)]) -> anyhow::Result<Running> {
        let program = std::env::current_exe().context("where this program is")?;
        let redis = self.redis.url();
        let kafka = shared("ORDERFLOW_TEST_KAFKA");
        let settings = [
            ("DATABASE_URL", self.database.url.as_str()),
            ("KAFKA_BROKERS", &kafka),
            ("TOPIC_PREFIX", &self.name),
            ("REDIS_URL", &redis),
            ("REDIS_PREFIX", &self.name),
        ];
        let environment = environment(&[&settings, more].concat());
        let mut process = Process::new(name, program, environment, self.directory.path()).with_arguments(&["peer", name]);
        process.start().await;
        Ok(Running { process })
    }

    /// Starts `cqrs-es`, which is a program of its own, and waits until it listens.
    pub(crate) async fn cqrs_es(&self) -> anyhow::Result<Running> {
        let path = system_tests::binaries::program("cqrs-es-peer");
        let environment = environment(&[("DATABASE_URL", self.database.url.as_str())]);
        let mut process = Process::new("cqrs-es-peer", path, environment, self.directory.path());
        process.start().await;
        Ok(Running { process })
    }

    async fn start(&self, program: &str, settings: &[(&str, &str)]) -> anyhow::Result<Running> {
        let running = self.launch(program, settings).await?;
        ready(program, &running).await;
        Ok(running)
    }

    async fn launch(&self, program: &str, settings: &[(&str, &str)]) -> anyhow::Result<Running> {
        Ok(self.run(program, system_tests::binaries::program(program), settings).await)
    }

    async fn run(&self, name: &str, path: PathBuf, settings: &[(&str, &str)]) -> Running {
        let mut process = Process::new(name, path, environment(settings), self.directory.path());
        process.start().await;
        Running { process }
    }

    /// A file of this measurement's own.
    #[must_use]
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

async fn ready(program: &str, running: &Running) {
    let ready = format!("{}/ready", running.url());
    until(&format!("{program} is ready"), START, async || {
        reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()).then_some(())
    })
    .await;
}

/// Settings to try, `NAME=VALUE NAME=VALUE`, for every service and peer.
const TRY: &str = "BENCH_SETTINGS";

fn environment(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let tried = std::env::var(TRY).unwrap_or_default();
    let tried = tried.split_whitespace().filter_map(|pair| pair.split_once('='));
    let settings: Vec<_> = settings.iter().copied().chain(tried).collect();
    let common = [("JWT_SECRET", JWT_SECRET), ("LOG_LEVEL", "warn")];
    common.iter().chain(&settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A process of a measurement; it ends when this is dropped.
pub(crate) struct Running {
    /// The process.
    pub(crate) process: Process,
}

impl Running {
    /// Where it listens, for clients that want a URL.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        self.process.url()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.url().trim_start_matches("http://").parse()?)
    }

    /// Tells it to end, and waits until it has: nothing of its work is left half done, such as a transaction of the relay,
    /// which would hide from consumers what comes after it.
    pub(crate) async fn stop(mut self) {
        self.process.signal(rustix::process::Signal::TERM);
        self.process.ended(START).await;
    }

    /// The process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.process.pid().context("it runs")
    }
}

/// A token of a member of staff, good for the whole run.
pub(crate) fn token() -> anyhow::Result<String> {
    let secret = Secret::new(JWT_SECRET);
    Ok(auth::mint(&secret, "bench", &[Role::Staff, Role::Service], Duration::from_secs(24 * 3600))?)
}

/// Products that orders can name, made through the API.
pub(crate) async fn products(service: &Running, count: usize) -> anyhow::Result<Vec<Uuid>> {
    let ids: Vec<_> = (0..count).map(|_| Uuid::now_v7()).collect();
    let lines: Vec<String> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| {
            let data = json!({"sku": format!("SKU-{number}"), "name": format!("Product {number}"), "price": {"minor": 100 + number, "currency": "GBP"}});
            json!({"command": "create-product", "id": id, "data": data}).to_string()
        })
        .collect();
    let request = reqwest::Client::new().post(format!("{}/v1/commands", service.url())).bearer_auth(token()?);
    let answers = request.header("content-type", "application/x-ndjson").body(lines.join("\n")).send().await?.text().await?;
    for answer in answers.lines() {
        let answer: Value = serde_json::from_str(answer)?;
        anyhow::ensure!(answer["status"] == 201, "a product was refused: {answer}");
    }
    Ok(ids)
}
