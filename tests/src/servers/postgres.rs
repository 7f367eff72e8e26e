//! A Postgres server of a test's own: crashed, stopped, restored to an earlier point.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Signal, getuid};
use sqlx::{Connection, PgConnection};

use super::{daemon::Daemon, find_program};
use crate::{process::free_port, wait::until_every};

/// How long a start with recovery may take.
const START: Duration = Duration::from_secs(180);

/// A Postgres server of a test's own, durable as in production.
#[derive(Debug)]
pub struct PostgresServer {
    daemon: Daemon,
    port: u16,
    directory: PathBuf,
    /// User and group that it runs as: it refuses to be root.
    user: Option<(u32, u32)>,
}

impl PostgresServer {
    /// Makes one with its data in `directory`, which is made, and starts it.
    pub async fn start(directory: &Path, log: &Path) -> Self {
        let user = getuid().is_root().then(|| (id("-u"), id("-g")));
        fs::create_dir_all(directory).expect("a directory");
        if let Some((user, group)) = user {
            chown(directory, Some(user), Some(group)).expect("Postgres' user gets its directory");
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).expect("a directory of its own");
        let mut server = Self { daemon: Daemon::new(log), port: free_port(), directory: directory.to_owned(), user };
        let mut initdb = server.command("initdb");
        initdb.arg("-D").arg(server.data()).args(["--username=orderflow", "--auth=trust", "--encoding=UTF8"]);
        let made = initdb.args(["--locale=C.UTF-8", "--no-sync"]).stdout(Stdio::null()).status().expect("initdb");
        assert!(made.success(), "initdb: {made}");
        server.restart().await;
        server
    }

    /// The URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://orderflow@{}/postgres", self.address())
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash does: every process at once, nothing written.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Stops every process of it, or lets them go on.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Starts it, and waits until it has recovered.
    pub async fn restart(&mut self) {
        self.kill();
        let url = self.url();
        until_every(Duration::from_millis(100), "Postgres answers", START, async || {
            // A process that outlived the crash by a moment keeps the next start from its shared memory.
            if !self.daemon.is_running() {
                let mut command = self.command("postgres");
                command.arg("-D").arg(self.data());
                for option in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=64MB", "jit=off"] {
                    command.args(["-c", option]);
                }
                command.args(["-c", &format!("port={}", self.port), "-c", "max_connections=200", "-c", "timezone=UTC"]);
                self.daemon.start(&mut command);
            }
            PgConnection::connect(&url).await.ok()
        })
        .await;
    }

    /// Ends it in good order and copies its data: the backup of now.
    pub async fn back_up(&mut self, name: &str) {
        self.daemon.end(Signal::INT);
        self.copy("data", name);
        self.restart().await;
    }

    /// Ends it and puts the data of a backup in place of its own.
    pub async fn restore(&mut self, name: &str) {
        self.daemon.end(Signal::INT);
        fs::remove_dir_all(self.data()).expect("the data goes");
        self.copy(name, "data");
        self.restart().await;
    }

    fn copy(&self, from: &str, to: &str) {
        let mut copy = Command::new("cp");
        let copied = copy.arg("-a").arg(self.directory.join(from)).arg(self.directory.join(to)).status().expect("cp");
        assert!(copied.success(), "cp: {copied}");
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find_program(program));
        command.current_dir("/");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// The number of Postgres' user or group, which its package made.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("there is a user postgres")
}
