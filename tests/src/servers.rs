//! What a test has of its own in the servers, and how it is removed: a database, topics, Redis keys or a Redis.

mod daemon;
mod kafka;
mod postgres;
mod redis;

use std::{
    ffi::OsString,
    fs,
    future::Future,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::{
    context::Context,
    network::{Network, Ports, Server, Service},
};

pub use self::{kafka::KafkaServer, postgres::PostgresServer, redis::RedisServer};

/// Where a server is that the tests share.
///
/// # Panics
///
/// When the environment does not say so.
#[must_use]
pub fn shared(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test` starts servers and sets it"))
}

/// A program of Postgres: in the path, or where Debian keeps a folder for each version, of which the newest counts.
fn find_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin"));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|version| version.to_str());
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    let found = std::env::split_paths(&path).chain(versions).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: `deploy/backends up` does it"))
}

/// Servers of a test's own, which it may break, with a proxy between each and each of the services.
#[derive(Debug)]
pub struct Servers {
    // The directory is the last to go.
    /// Postgres.
    pub postgres: PostgresServer,
    /// Kafka.
    pub kafka: KafkaServer,
    /// Redis.
    pub redis: RedisServer,
    /// What is between the services and them.
    pub network: Network,
    quota: Option<Quota>,
    _data: TempDir,
}

impl Servers {
    /// Starts them for these services; their logs go to this directory. With a quota Postgres has a file system of so many
    /// mebibytes.
    pub async fn start(logs: &Path, quota: Option<u32>, services: &[Service]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        // Postgres' user has to pass.
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o711)).expect("a directory that may be passed");
        let (postgres, kafka) = (data.path().join("postgres"), data.path().join("kafka"));
        let (postgres_log, kafka_log) = (logs.join("postgres.log"), logs.join("kafka.log"));
        let quota = quota.map(|mebibytes| Quota::mount(&postgres, mebibytes));
        let ports = Ports::of(services);
        let proxies = ports.to(Server::Kafka);
        let (postgres, kafka, redis) = tokio::join!(
            PostgresServer::start(&postgres, &postgres_log),
            KafkaServer::start(&kafka, &kafka_log, &proxies),
            RedisServer::start(),
        );
        let network = Network::start(ports, &postgres, &kafka, &redis).await;
        Self { postgres, kafka, redis, network, quota, _data: data }
    }

    /// The address of a server, past the proxies.
    #[must_use]
    pub fn address(&self, server: Server) -> String {
        match server {
            Server::Postgres => self.postgres.address(),
            Server::Kafka => self.kafka.brokers(),
            Server::Redis => self.redis.address(),
        }
    }

    /// Leaves nothing free of Postgres' quota, or gives it back.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub fn fill_disk(&self, full: bool) {
        let file = self.quota.as_ref().expect("Postgres has a quota").0.join("filler");
        if !full {
            return fs::remove_file(file).expect("the filler goes");
        }
        let filled = fs::File::create(file).and_then(|mut file| io::copy(&mut io::repeat(1), &mut file));
        let error = filled.expect_err("a quota is finite");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }
}

/// A file system in memory that ends where the quota does.
#[derive(Debug)]
struct Quota(PathBuf);

impl Quota {
    fn mount(directory: &Path, mebibytes: u32) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(directory).status();
        assert!(mounted.is_ok_and(|status| status.success()), "see `may_mount`");
        Self(directory.to_owned())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Lazily: a process that was killed may take a moment to let go.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Whether this process may mount a file system, as a quota needs.
#[must_use]
pub fn may_mount() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path());
    let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if mounted {
        drop(Quota(directory.path().to_owned()));
    }
    mounted
}

/// A database of a test's own.
#[derive(Debug)]
pub struct Database {
    /// None in a server of the test's own, which goes as a whole.
    name: Option<String>,
    /// Its URL.
    pub url: String,
}

impl Database {
    /// Makes it.
    pub async fn create(name: &str) -> Self {
        let server = shared("ORDERFLOW_TEST_POSTGRES");
        let mut connection = PgConnection::connect(&server).await.expect("Postgres answers");
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database");
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        Self { name: Some(name.to_owned()), url: format!("{base}/{name}") }
    }

    /// That of a server of the test's own.
    #[must_use]
    pub fn of(server: &PostgresServer) -> Self {
        Self { name: None, url: server.url() }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        finish(async move {
            let mut connection = PgConnection::connect(&shared("ORDERFLOW_TEST_POSTGRES")).await?;
            connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await?;
            anyhow::Ok(())
        });
    }
}

/// The topics of a prefix of a test's own; the services make them.
#[derive(Debug)]
pub struct Topics {
    /// The prefix.
    pub prefix: String,
    /// Where they are: in the broker that all tests share, or in one of the test's own.
    pub brokers: String,
}

impl Topics {
    /// Topics in the broker that all tests share.
    #[must_use]
    pub fn shared(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), brokers: shared("ORDERFLOW_TEST_KAFKA") }
    }

    /// The topic with a context's events.
    #[must_use]
    pub fn events(&self, context: Context) -> String {
        format!("{}.{context}.v1", self.prefix)
    }

    /// The topic of the dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letters.v1", self.prefix)
    }

    /// Deletes a context's records before these offsets, by partition, as a topic's retention does.
    ///
    /// # Panics
    ///
    /// When the broker does not do it.
    pub async fn delete_records(&self, context: Context, before: &[i64]) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("a client");
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(before) {
            let offset = Offset::Offset(*offset);
            offsets.add_partition_offset(&self.events(context), partition, offset).expect("an offset");
        }
        let deleted = admin.delete_records(&offsets, &AdminOptions::new()).await.expect("the broker answers");
        deleted.elements().iter().for_each(|partition| partition.error().expect("records are deleted"));
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        // A broker of the test's own goes as a whole.
        let Ok(brokers) = std::env::var("ORDERFLOW_TEST_KAFKA") else { return };
        if self.brokers != brokers {
            return;
        }
        let prefix = format!("{}.", self.prefix);
        finish(async move {
            let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &brokers).create()?;
            // Whatever contexts there are.
            let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(60))?;
            let names = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name);
            let names: Vec<_> = names.filter(|name| name.starts_with(&prefix)).collect();
            let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(60)));
            admin.delete_topics(&names, &options).await?;
            anyhow::Ok(())
        });
    }
}

/// Where a test's read models are.
#[derive(Debug)]
pub enum Redis {
    /// In the server that all tests share, under a prefix.
    Shared {
        /// The server.
        url: String,
        /// The prefix.
        prefix: String,
    },
    /// In a server of the test's own, to be killed and emptied.
    Own(RedisServer),
    /// In that of [`Servers`], at this URL.
    OfServers(String),
}

impl Redis {
    /// The server.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Shared { url, .. } => url.clone(),
            Self::Own(server) => server.url(),
            Self::OfServers(url) => url.clone(),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let Self::Shared { url, prefix } = self else { return };
        let (url, pattern) = (url.clone(), format!("{prefix}:*"));
        finish(async move {
            let mut connection = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            let mut cursor = 0_u64;
            loop {
                let (next, keys): (u64, Vec<String>) = ::redis::cmd("SCAN")
                    .arg(cursor)
                    .arg("MATCH")
                    .arg(&pattern)
                    .arg("COUNT")
                    .arg(5000)
                    .query_async(&mut connection)
                    .await?;
                if !keys.is_empty() {
                    let _: u64 = ::redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
                }
                cursor = next;
                if cursor == 0 {
                    return anyhow::Ok(());
                }
            }
        });
    }
}

/// Runs a clean-up to its end from a destructor, on a thread of its own: the test's runtime can't be blocked on. What
/// fails stays behind under a name that no other test uses.
fn finish(cleaning: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), cleaning).await? })
    });
    drop(thread.join());
}
