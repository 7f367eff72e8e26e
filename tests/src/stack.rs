//! All services of a test, on a database, topics and read models of their own.

mod apart;
mod notifier;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    binaries,
    client::Client,
    context::Context,
    ledger::Ledger,
    network::{Server, Service},
    process::Process,
    servers::{Database, Redis, RedisServer, Servers, Topics, shared},
    wait::until,
};

/// The secret that tokens are signed with.
pub const JWT_SECRET: &str = "a-secret-of-the-system-tests-only-0123456789";
/// 32 bytes in base64: the master key of personal data.
const PERSONAL_DATA_KEY: &str = "c3lzdGVtLXRlc3RzLW1hc3Rlci1rZXktMzItYnl0ZXM=";
/// What the payment sandbox knows fulfilment by.
const SANDBOX_KEY: &str = "a-key-of-the-system-tests-only";
/// Partitions of a topic: few, so that each has many streams, and a start takes little.
pub const PARTITIONS: i32 = 4;
/// Lanes of a store.
pub const LANES: i16 = 8;
/// How long a stack may take until all of it is ready.
const READY: Duration = Duration::from_secs(120);

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Command services.
    pub commands: usize,
    /// Whether each context has a command service of its own, on a database of its own, in place of those that have all. Not
    /// with servers of its own.
    pub apart: bool,
    /// Projectors.
    pub projectors: usize,
    /// Whether Redis is a server of the test's own.
    pub own_redis: bool,
    /// Whether all servers are of the test's own, with a proxy between each and each service.
    pub own_servers: bool,
    /// The size of the file system that its own Postgres has for itself, in mebibytes; see [`crate::servers::may_mount`].
    pub postgres_quota: Option<u32>,
    /// Variables of every service.
    pub environment: Vec<(&'static str, &'static str)>,
    /// Variables of every command service.
    pub command_environment: Vec<(&'static str, &'static str)>,
    /// Variables of every projector. Without any it does not audit: what a test breaks stays broken.
    pub projector_environment: Vec<(&'static str, &'static str)>,
    /// Fulfilment services; with any, there is a payment sandbox, too. Not with servers of the test's own.
    pub fulfilments: usize,
    /// Variables of every fulfilment service.
    pub fulfilment_environment: Vec<(&'static str, &'static str)>,
    /// Variables of the payment sandbox.
    pub sandbox_environment: Vec<(&'static str, &'static str)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            commands: 1,
            apart: false,
            projectors: 1,
            own_redis: false,
            own_servers: false,
            postgres_quota: None,
            environment: Vec::new(),
            command_environment: Vec::new(),
            projector_environment: Vec::new(),
            fulfilments: 0,
            fulfilment_environment: Vec::new(),
            sandbox_environment: Vec::new(),
        }
    }
}

/// The services, and what belongs to them.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: services first, then what they use.
    /// The command services; apart: one for each context, in the order of [`Context::ALL`].
    pub commands: Vec<Process>,
    /// The projectors.
    pub projectors: Vec<Process>,
    /// The query service.
    pub query: Process,
    /// The fulfilment services.
    pub fulfilments: Vec<Process>,
    /// The payment sandbox, where there is fulfilment.
    pub sandbox: Option<Process>,
    /// The read models.
    pub redis: Redis,
    /// The events on Kafka.
    pub topics: Topics,
    /// The event stores.
    pub database: Database,
    /// Those of contexts that are apart.
    apart: BTreeMap<Context, Database>,
    /// What was sent and what was answered.
    pub ledger: Arc<Ledger>,
    /// The name that everything of this stack carries.
    pub name: String,
    /// Servers of its own, if the plan asked for them.
    pub servers: Option<Servers>,
    directory: TempDir,
}

impl Stack {
    /// Starts it and waits until all of it is ready.
    pub async fn start(plan: Plan) -> Self {
        let mut stack = Self::prepare(&plan).await;
        stack.processes().for_each(Process::spawn);
        stack.ready().await;
        stack
    }

    /// All of them.
    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let services = self.commands.iter_mut().chain(&mut self.projectors).chain([&mut self.query]);
        services.chain(&mut self.sandbox).chain(&mut self.fulfilments)
    }

    async fn prepare(plan: &Plan) -> Self {
        assert!(plan.fulfilments == 0 || !plan.own_servers, "fulfilment has no way to servers of a test's own");
        let name = format!("system_{}", Uuid::new_v4().simple());
        let directory = tempfile::tempdir().expect("a directory");
        let services: Vec<_> =
            (0..plan.commands).map(Service::Command).chain((0..plan.projectors).map(Service::Projector)).collect();
        let services = [services, vec![Service::Query]].concat();
        let servers = match plan.own_servers {
            true => Some(Servers::start(directory.path(), plan.postgres_quota, &services).await),
            false => None,
        };
        let kafka = servers.as_ref().map_or_else(|| shared("ORDERFLOW_TEST_KAFKA"), |servers| servers.kafka.brokers());
        let (database, redis) = match &servers {
            Some(servers) => (Database::of(&servers.postgres), Redis::OfServers(servers.redis.url())),
            None if plan.own_redis => (Database::create(&name).await, Redis::Own(RedisServer::start().await)),
            None => {
                let redis = Redis::Shared { url: shared("ORDERFLOW_TEST_REDIS"), prefix: name.clone() };
                (Database::create(&name).await, redis)
            }
        };
        let settings = Settings {
            name: &name,
            database: &database.url,
            redis: &redis.url(),
            kafka: &kafka,
            servers: servers.as_ref(),
            directory: directory.path().to_owned(),
            environment: &plan.environment,
        };
        let apart = if plan.apart { apart::databases(&name).await } else { BTreeMap::new() };
        let count = if plan.apart { Context::ALL.len() } else { plan.commands };
        let mut commands: Vec<_> = (0..count).map(|number| settings.command(number, &plan.command_environment)).collect();
        let url = commands[0].url();
        let mut projectors: Vec<_> =
            (0..plan.projectors).map(|number| settings.projector(number, &url, &plan.projector_environment)).collect();
        apart::separate(&mut commands, &mut projectors, &apart);
        let query = settings.query();
        let sandbox = (plan.fulfilments > 0).then(|| settings.sandbox(&plan.sandbox_environment));
        let provider = sandbox.as_ref().map(Process::url).unwrap_or_default();
        let fulfilments =
            (0..plan.fulfilments).map(|number| settings.fulfilment(number, &provider, &plan.fulfilment_environment)).collect();
        let topics = Topics { prefix: name.clone(), brokers: kafka };
        let ledger = Arc::default();
        Self {
            commands,
            projectors,
            query,
            fulfilments,
            sandbox,
            redis,
            topics,
            database,
            apart,
            ledger,
            name,
            servers,
            directory,
        }
    }

    /// Waits until every service that runs says that it is ready.
    pub async fn ready(&mut self) {
        let http = reqwest::Client::new();
        for process in self.processes() {
            if !process.is_running() {
                continue;
            }
            process.listening().await;
            let url = format!("{}/ready", process.url());
            let mut last = String::new();
            let looked = tokio::time::timeout(READY, async {
                loop {
                    match http.get(&url).send().await {
                        Ok(answer) if answer.status().is_success() => return,
                        Ok(answer) => last = answer.text().await.unwrap_or_default(),
                        Err(error) => last = error.to_string(),
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
            assert!(looked.await.is_ok(), "{url}: {last}");
        }
    }

    /// A client of all command services and of the query service.
    #[must_use]
    pub fn client(&self) -> Client {
        let commands = self.commands.iter().map(Process::url).collect();
        let apart = self.apart.keys().map(|context| (*context, self.command_url(*context))).collect();
        Client::new(commands, self.query.url(), Arc::clone(&self.ledger)).apart(apart)
    }

    /// Where a context's command service is.
    #[must_use]
    pub fn command_url(&self, context: Context) -> String {
        let own = if self.apart.is_empty() { None } else { Context::ALL.into_iter().position(|other| other == context) };
        self.commands[own.unwrap_or_default()].url()
    }

    /// The URL of the database with a context's events.
    #[must_use]
    pub fn database_url(&self, context: Context) -> &str {
        &self.apart.get(&context).unwrap_or(&self.database).url
    }

    /// The sum of a metric over all its labels, of one process.
    pub async fn metric(&self, url: &str, name: &str) -> f64 {
        let Ok(answer) = reqwest::get(format!("{url}/metrics")).await else { return 0.0 };
        let text = answer.text().await.unwrap_or_default();
        let samples = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Waits until the sum of a metric is at least `least`.
    pub async fn metric_reaches(&self, url: &str, name: &str, least: f64) {
        until(&format!("{name} ≥ {least}"), Duration::from_secs(120), async || {
            (self.metric(url, name).await >= least).then_some(())
        })
        .await;
    }

    /// What begins every Redis key of this stack.
    #[must_use]
    pub fn redis_prefix(&self) -> &str {
        &self.name
    }

    /// The servers of its own.
    ///
    /// # Panics
    ///
    /// When the plan did not ask for them.
    pub fn servers(&mut self) -> &mut Servers {
        self.servers.as_mut().expect("the plan has servers of its own")
    }

    /// A file for the test's own use.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The redis-server of this stack.
    ///
    /// # Panics
    ///
    /// When the plan did not ask for one.
    pub fn own_redis(&mut self) -> &mut RedisServer {
        match &mut self.redis {
            Redis::Own(server) => server,
            Redis::Shared { .. } | Redis::OfServers(_) => panic!("the plan has no Redis of its own"),
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self.processes() {
                complain(&process.tail());
            }
            // What broke its own servers is not seen again as easily as another failure.
            if self.servers.is_some() {
                self.directory.disable_cleanup(true);
                complain(&format!("all logs are in {}", self.directory.path().display()));
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "cargo shows it with the test that failed")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// A service with the variables that all have, and its own; of one that both name, its own holds.
fn service(name: &str, program: &str, own: &[(&str, &str)], directory: &Path) -> Process {
    let level = std::env::var("ORDERFLOW_TEST_LOG").unwrap_or_else(|_| "info".to_owned());
    let common = [("JWT_SECRET", JWT_SECRET), ("LOG_LEVEL", &level), ("RUST_BACKTRACE", "1"), ("SHUTDOWN_TIMEOUT", "60")];
    let environment = common.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Process::new(name, binaries::program(program), environment.collect(), directory)
}

struct Settings<'a> {
    name: &'a str,
    database: &'a str,
    redis: &'a str,
    kafka: &'a str,
    servers: Option<&'a Servers>,
    directory: PathBuf,
    environment: &'a [(&'static str, &'static str)],
}

impl Settings<'_> {
    /// Where a service finds a server: its own proxy, where there is one. The oracle goes past them.
    fn way(&self, service: Service, server: Server) -> String {
        let direct = match server {
            Server::Postgres => self.database,
            Server::Kafka => self.kafka,
            Server::Redis => self.redis,
        };
        let Some(servers) = self.servers else { return direct.to_owned() };
        direct.replace(&servers.address(server), &servers.network.between(service, server).address())
    }

    fn process(&self, program: &str, number: usize, environment: &[(&str, &str)]) -> Process {
        service(&format!("{program}-{number}"), program, &[self.environment, environment].concat(), &self.directory)
    }

    fn command(&self, number: usize, more: &[(&str, &str)]) -> Process {
        let (partitions, lanes) = (PARTITIONS.to_string(), LANES.to_string());
        let way = |server| self.way(Service::Command(number), server);
        let (database, kafka) = (way(Server::Postgres), way(Server::Kafka));
        let mut environment = vec![
            ("DATABASE_URL", database.as_str()),
            ("KAFKA_BROKERS", &kafka),
            ("TOPIC_PREFIX", self.name),
            ("TOPIC_PARTITIONS", &partitions),
            ("LANES", &lanes),
            ("PERSONAL_DATA_KEY", PERSONAL_DATA_KEY),
            ("REGISTRY_URL", self.redis),
            ("REGISTRY_PREFIX", self.name),
        ];
        environment.extend(more);
        self.process("command-service", number, &environment)
    }

    fn projector(&self, number: usize, command_service: &str, more: &[(&str, &str)]) -> Process {
        let instance = format!("{}-{number}", self.name);
        let way = |server| self.way(Service::Projector(number), server);
        let (kafka, redis) = (way(Server::Kafka), way(Server::Redis));
        let mut environment = vec![
            ("KAFKA_BROKERS", kafka.as_str()),
            ("TOPIC_PREFIX", self.name),
            ("REDIS_URL", &redis),
            ("REDIS_PREFIX", self.name),
            ("COMMAND_SERVICE_URL", command_service),
            ("GROUP_ID", self.name),
            // A projector that was killed has its partitions back as soon as it is up.
            ("GROUP_INSTANCE_ID", &instance),
            ("SESSION_TIMEOUT", "6"),
            // Small chunks, so that there are many moments to be killed at.
            ("CHUNK_EVENTS", "64"),
            ("AUDIT_STREAMS_PER_SECOND", "0"),
        ];
        environment.extend(more);
        self.process("projector", number, &environment)
    }

    fn query(&self) -> Process {
        let redis = self.way(Service::Query, Server::Redis);
        self.process("query-service", 0, &[("REDIS_URL", &redis), ("REDIS_PREFIX", self.name)])
    }

    fn sandbox(&self, more: &[(&str, &str)]) -> Process {
        let book = self.directory.join("book");
        let book = book.display().to_string();
        let mut environment = vec![("SANDBOX_KEY", SANDBOX_KEY), ("BOOK_FILE", &book)];
        environment.extend(more);
        self.process("payment-sandbox", 0, &environment)
    }

    fn fulfilment(&self, number: usize, provider: &str, more: &[(&str, &str)]) -> Process {
        let (group, instance) = (format!("{}-fulfilment", self.name), format!("{}-fulfilment-{number}", self.name));
        let mut environment = vec![
            ("DATABASE_URL", self.database),
            ("KAFKA_BROKERS", self.kafka),
            ("TOPIC_PREFIX", self.name),
            ("REGISTRY_URL", self.redis),
            ("REGISTRY_PREFIX", self.name),
            ("PAYMENT_PROVIDER_URL", provider),
            ("PAYMENT_PROVIDER_KEY", SANDBOX_KEY),
            ("GROUP_ID", &group),
            ("GROUP_INSTANCE_ID", &instance),
            ("SESSION_TIMEOUT", "6"),
            // A step that was begun by a process that was killed is taken again soon.
            ("STEP_TIMEOUT", "4"),
        ];
        environment.extend(more);
        self.process("fulfilment", number, &environment)
    }
}
