//! A Redis server of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use rustix::process::Signal;
use tempfile::TempDir;

use super::daemon::Daemon;
use crate::{process::free_port, wait::until};

/// How long anything may take that a test asks of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis server of a test's own.
#[derive(Debug)]
pub struct RedisServer {
    daemon: Daemon,
    port: u16,
    directory: TempDir,
}

impl RedisServer {
    /// Starts it, empty.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("redis.log");
        let mut server = Self { daemon: Daemon::new(&log), port: free_port(), directory };
        server.restart().await;
        server
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as `kill -9` does; it kept nothing on disk.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Stops it, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Starts it again, empty.
    pub async fn restart(&mut self) {
        self.kill();
        drop(fs::remove_file(self.dump()));
        self.run().await;
    }

    /// Starts it again with what it held when this dump was made.
    pub async fn restart_with(&mut self, dump: &Path) {
        self.kill();
        fs::copy(dump, self.dump()).expect("a dump");
        self.run().await;
    }

    /// Keeps what it holds now in a file.
    pub async fn dump_to(&self, file: &Path) {
        let () = redis::cmd("SAVE").query_async(&mut self.connect().await).await.expect("a dump");
        fs::rename(self.dump(), file).or_else(|_| fs::copy(self.dump(), file).map(drop)).expect("the dump is kept");
    }

    /// Removes everything from it; what it took is given back in the background.
    pub async fn flush(&self) {
        let () = redis::cmd("FLUSHALL").arg("ASYNC").query_async(&mut self.connect().await).await.expect("Redis is emptied");
    }

    /// A replica that has all that this server has now, and from now on is cut off from it.
    pub async fn lagging_replica(&self) -> Self {
        let replica = Self::start().await;
        let mut connection = replica.connect().await;
        let port = self.port.to_string();
        let () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(port).query_async(&mut connection).await.expect("a replica");
        until("the replica is in sync", PATIENCE, async || {
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await.ok()?;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut connection).await.expect("a server of its own");
        replica
    }

    /// The server fails, and a replica takes its place, at its address.
    pub async fn fail_over(&mut self, mut replica: Self) {
        self.kill();
        let mut connection = replica.connect().await;
        let port = self.port.to_string();
        let () = redis::cmd("CONFIG").arg("SET").arg("port").arg(port).query_async(&mut connection).await.expect("the port");
        replica.port = self.port;
        *self = replica;
    }

    async fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        self.daemon.start(command.arg(self.directory.path()));
        // While it loads a dump it takes connections and answers nothing else.
        let client = redis::Client::open(self.url()).expect("a URL");
        until("Redis answers", PATIENCE, async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            redis::cmd("PING").query_async::<String>(&mut connection).await.ok()
        })
        .await;
    }

    async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("a URL");
        // A dump takes longer than an answer usually does, on a starved machine.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&config).await.expect("Redis answers")
    }

    fn dump(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }
}
