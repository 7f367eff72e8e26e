//! What a test has of its own in the servers, and how it is removed: a database, topics, Redis keys or a Redis.

use std::{
    future::Future,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::{context::Context, process::free_port, wait::until};

/// Where a server is that the tests share.
///
/// # Panics
///
/// When the environment does not say so.
#[must_use]
pub fn shared(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test` starts servers and sets it"))
}

/// A database of a test's own.
#[derive(Debug)]
pub struct Database {
    name: String,
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
        Self { name: name.to_owned(), url: format!("{base}/{name}") }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
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
}

impl Topics {
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
}

impl Drop for Topics {
    fn drop(&mut self) {
        let mut names = vec![self.dead_letters()];
        for context in Context::ALL {
            names.extend([self.events(context), format!("{}.{context}.relay-cursors.v1", self.prefix)]);
        }
        finish(async move {
            let admin: AdminClient<DefaultClientContext> =
                ClientConfig::new().set("bootstrap.servers", shared("ORDERFLOW_TEST_KAFKA")).create()?;
            let names: Vec<_> = names.iter().map(String::as_str).collect();
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
}

impl Redis {
    /// The server.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Shared { url, .. } => url.clone(),
            Self::Own(server) => server.url(),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let Self::Shared { url, prefix } = self else { return };
        let (url, pattern) = (url.clone(), format!("{prefix}:*"));
        finish(async move {
            let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            let mut cursor = 0_u64;
            loop {
                let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                    .arg(cursor)
                    .arg("MATCH")
                    .arg(&pattern)
                    .arg("COUNT")
                    .arg(5000)
                    .query_async(&mut connection)
                    .await?;
                if !keys.is_empty() {
                    let _: u64 = redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
                }
                cursor = next;
                if cursor == 0 {
                    return anyhow::Ok(());
                }
            }
        });
    }
}

/// A Redis server of a test's own.
#[derive(Debug)]
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
    directory: TempDir,
}

impl RedisServer {
    /// Starts it, empty.
    pub async fn start() -> Self {
        let mut server = Self { child: None, port: free_port(), directory: tempfile::tempdir().expect("a directory") };
        server.restart().await;
        server
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Ends it as `kill -9` does; it kept nothing on disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it again, empty.
    pub async fn restart(&mut self) {
        self.kill();
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
            .arg(self.directory.path())
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("redis-server is installed"));
        let client = redis::Client::open(self.url()).expect("a URL");
        until("Redis answers", Duration::from_secs(60), async || client.get_multiplexed_async_connection().await.ok()).await;
    }

    /// Removes everything from it; what it took is given back in the background.
    pub async fn flush(&self) {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("Redis answers");
        let () = redis::cmd("FLUSHALL").arg("ASYNC").query_async(&mut connection).await.expect("Redis is emptied");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
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
