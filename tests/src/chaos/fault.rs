//! Making faults, and ending them.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{idle::Idlers, schedule::Fault};
use crate::{
    Context, Stack,
    network::{Server, Service},
    process::Process,
    proxy::Proxy,
    servers::Servers,
    stack::LANES,
};

/// How long a service may take to end in good order: longer than its `SHUTDOWN_TIMEOUT`.
const END: Duration = Duration::from_secs(120);

/// Makes faults, and keeps what has to be ended.
#[derive(Debug)]
pub struct Faults {
    postgres: String,
    /// The session that holds locks; none when Postgres did not let it.
    holder: Option<PgConnection>,
    idlers: Idlers,
    /// What Redis held some time ago.
    old_dump: PathBuf,
    new_dump: PathBuf,
}

impl Faults {
    /// Makes faults in this stack, which has servers of its own.
    #[must_use]
    pub fn new(stack: &Stack) -> Self {
        let (old_dump, new_dump) = (stack.file("old.rdb"), stack.file("new.rdb"));
        Self { postgres: stack.database.url.clone(), holder: None, idlers: Idlers::default(), old_dump, new_dump }
    }

    /// Begins one.
    pub async fn begin(&mut self, fault: Fault, stack: &mut Stack) {
        match fault {
            Fault::Kill(service) => process(stack, service).kill(),
            Fault::Stop(service) => process(stack, service).signal(Signal::STOP),
            Fault::Restart(service) => process(stack, service).signal(Signal::TERM),
            Fault::Crash(server) => match (server, stack.servers()) {
                (Server::Postgres, servers) => servers.postgres.kill(),
                (Server::Kafka, servers) => servers.kafka.kill(),
                (Server::Redis, servers) => servers.redis.kill(),
            },
            Fault::Freeze(server) => freeze(stack.servers(), server, Signal::STOP),
            Fault::Flush => stack.servers().redis.flush().await,
            Fault::OldDump => {
                let redis = &mut stack.servers().redis;
                redis.dump_to(&self.new_dump).await;
                redis.kill();
            }
            Fault::Cut(line) => stack.servers().network.line(line).for_each(Proxy::cut),
            Fault::Stall(line) => stack.servers().network.line(line).for_each(Proxy::stall),
            Fault::Slow(line, delay) => {
                let delay = Duration::from_millis(delay);
                stack.servers().network.line(line).for_each(|proxy| proxy.slow(delay));
            }
            // It gets no locks when Postgres is down at that moment, or too busy.
            Fault::LanesHeld(context) => self.holder = hold_lanes(&self.postgres, context).await.ok(),
            Fault::TransactionIdle => self.idlers.open(&self.postgres),
        }
    }

    /// Ends it: gives back what was taken, starts what was killed.
    pub async fn end(&mut self, fault: Fault, stack: &mut Stack) {
        match fault {
            Fault::Kill(service) => process(stack, service).spawn(),
            Fault::Stop(service) => process(stack, service).signal(Signal::CONT),
            Fault::Restart(service) => {
                let process = process(stack, service);
                process.ended(END).await;
                process.spawn();
            }
            Fault::Crash(server) => match (server, stack.servers()) {
                (Server::Postgres, servers) => servers.postgres.restart().await,
                (Server::Kafka, servers) => servers.kafka.restart().await,
                (Server::Redis, servers) => servers.redis.restart().await,
            },
            Fault::Freeze(server) => freeze(stack.servers(), server, Signal::CONT),
            Fault::Flush | Fault::TransactionIdle => {}
            Fault::OldDump => {
                let dump = if self.old_dump.exists() { &self.old_dump } else { &self.new_dump };
                stack.servers().redis.restart_with(dump).await;
                std::fs::rename(&self.new_dump, &self.old_dump).expect("the dump is kept for the next time");
            }
            Fault::Cut(line) | Fault::Stall(line) | Fault::Slow(line, _) => {
                stack.servers().network.line(line).for_each(Proxy::restore);
            }
            Fault::LanesHeld(_) => self.holder = None,
        }
    }

    /// Orders that were sent since the last fault began were accepted and seen.
    pub fn probed(&mut self) {
        self.idlers.probed();
    }

    /// Waits for what outlasts a step.
    pub async fn finish(self) {
        self.idlers.finish().await;
    }
}

fn process(stack: &mut Stack, service: Service) -> &mut Process {
    match service {
        Service::Command(number) => &mut stack.commands[number],
        Service::Projector(number) => &mut stack.projectors[number],
        Service::Query => &mut stack.query,
    }
}

fn freeze(servers: &Servers, server: Server, signal: Signal) {
    match server {
        Server::Postgres => servers.postgres.signal(signal),
        Server::Kafka => servers.kafka.signal(signal),
        Server::Redis => servers.redis.signal(signal),
    }
}

/// A session that takes the locks of all lanes of a context, as an appending transaction does, and leaves them be.
///
/// # Errors
///
/// When Postgres is down, or others hold the locks for seconds.
pub async fn hold_lanes(url: &str, context: Context) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute("SET lock_timeout = '5s'; BEGIN").await?;
    for lane in 0..LANES.unsigned_abs() {
        let mut parts = String::new();
        for part in [b"lane".as_slice(), context.name().as_bytes(), &lane.to_be_bytes()] {
            let _ = write!(parts, "{:08x}", part.len());
            for byte in part {
                let _ = write!(parts, "{byte:02x}");
            }
        }
        // The number that the services make of context and lane: the first eight bytes of a hash.
        let key = format!("('x' || encode(substr(sha256('\\x{parts}'), 1, 8), 'hex'))::bit(64)::bigint");
        connection.execute(AssertSqlSafe(format!("SELECT pg_advisory_xact_lock({key})"))).await?;
    }
    Ok(connection)
}
