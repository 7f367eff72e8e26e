//! Orders accepted over HTTP, against Postgres taking one event at a time.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context as _, ensure};
use uuid::Uuid;

use crate::{
    load::{Load, Outcome, Requests},
    measure::{Goal, Measure},
    orders::lines,
    scale::Scale,
    system::{Running, System, products, token},
};

/// Connections, and clients of `pgbench`.
pub(crate) const CONNECTIONS: usize = 64;
/// Products that orders name.
pub(crate) const PRODUCTS: usize = 1_000;

/// What is done on our side.
const WHAT: &str = "two-line orders with idempotency keys, 64 connections, fsync on";

/// `commands_vs_single_insert`, `commands_vs_one_tx` and `commands_vs_cqrs_es`, in turns with ours. A peer runs only
/// while it has its turn; ours is idle meanwhile.
pub(crate) async fn against_peers(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[("RELAY_DELIVERY", "off")]).await?;
    let orders = Orders::new(&service).await?;
    let script = system.directory().join("insert.sql");
    std::fs::write(&script, SINGLE_INSERT)?;
    psql(&system.database.url, PREPARE_SINGLE_INSERT)?;
    let (mut ours, mut to_one_tx, mut to_cqrs_es, mut inserts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.repetitions {
        ours.push(orders.place(scale).await?);
        inserts.push(pgbench(&system.database.url, &script, scale)?);
        to_one_tx.push(orders.at(&system.peer("one-tx", &[]).await?)?.place(scale).await?);
        to_cqrs_es.push(orders.at(&system.cqrs_es().await?)?.place(scale).await?);
    }
    let line = |name: &str| Measure::alone(name, "orders/s", WHAT, rates(&ours)).details_of("ours", ours.last());
    Ok(vec![
        line("commands_vs_single_insert")
            .against("pgbench, one event INSERT a transaction, 64 clients, the same table and indexes", inserts)
            .goal(Goal::RatioAtLeast(1.0)),
        line("commands_vs_one_tx")
            .against(
                "the same handler and domain, one transaction a request: key, stream, event, answer; 64 connections to Postgres",
                rates(&to_one_tx),
            )
            .goal(Goal::RatioAtLeast(2.5))
            .details_of("reference", to_one_tx.last()),
        line("commands_vs_cqrs_es")
            .against("cqrs-es and postgres-es behind axum, a new aggregate a command, 64 connections", rates(&to_cqrs_es))
            .goal(Goal::RatioAtLeast(5.0))
            .details_of("reference", to_cqrs_es.last())
            .note("The peer checks no token, looks up no price and no idempotency key, and has fewer columns to store."),
    ])
}

/// What was accepted a second, each time.
pub(crate) fn rates(outcomes: &[Outcome]) -> Vec<f64> {
    outcomes.iter().map(|outcome| outcome.rate).collect()
}

/// Places orders of two lines, each with an idempotency key.
#[derive(Clone)]
pub(crate) struct Orders {
    /// Where they go.
    pub(crate) address: SocketAddr,
    token: String,
    products: Vec<Uuid>,
}

impl Orders {
    /// Makes the products first.
    pub(crate) async fn new(service: &Running) -> anyhow::Result<Self> {
        Ok(Self { address: service.address()?, token: token()?, products: products(service, PRODUCTS).await? })
    }

    /// The same orders for somebody else.
    pub(crate) fn at(&self, other: &Running) -> anyhow::Result<Self> {
        Ok(Self { address: other.address()?, ..self.clone() })
    }

    /// As many as it takes on 64 connections.
    pub(crate) async fn place(&self, scale: &Scale) -> anyhow::Result<Outcome> {
        let load = Load::on(self.address, CONNECTIONS, scale);
        load.closed(|_| self.requests()).await
    }

    /// The requests of one connection.
    #[must_use]
    pub(crate) fn requests(&self) -> Requests {
        let (token, products) = (self.token.clone(), self.products.clone());
        let mut random = fastrand::Rng::new();
        Box::new(move |request| {
            let body = format!("{{{}}}", lines(&products, &mut random));
            post(request, "/v1/orders", &token, &format!("{:032x}", random.u128(..)), &body);
        })
    }
}

/// Writes a POST with an idempotency key.
pub(crate) fn post(request: &mut Vec<u8>, path: &str, token: &str, key: &str, body: &str) {
    use std::io::Write as _;
    let written = write!(
        request,
        "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    debug_assert!(written.is_ok(), "a vector takes all");
}

/// The same table, with the same indexes, in a schema of its own.
const PREPARE_SINGLE_INSERT: &str =
    "CREATE SCHEMA single; CREATE TABLE single.events (LIKE orders.events INCLUDING ALL); CREATE SEQUENCE single.seq CACHE 100";

/// An event as it is stored for an order of two lines. A space behind each colon: else pgbench takes it for a variable.
const SINGLE_INSERT: &str = r#"\set lane random(0, 15)
INSERT INTO single.events (seq, version, occurred_at, recorded_at, stream_id, event_id, correlation_id, causation_id, lane, event_type, traceparent, data) VALUES (nextval('single.seq'), 1, now(), now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), NULL, :lane, 'order.placed.v1', NULL, '{"fulfilment": "managed","currency": "GBP","lines": [{"line": 1,"product_id": "5c12873e-199b-5948-b9ed-f7d92bccf37b","product_version": 1,"quantity": 2,"unit_price": 1297},{"line": 2,"product_id": "cf60bbf0-4e7b-5fbc-9a52-a55e570eed42","product_version": 1,"quantity": 1,"unit_price": 7675}],"total": 10269}');
"#;

/// Transactions a second.
fn pgbench(url: &str, script: &std::path::Path, scale: &Scale) -> anyhow::Result<f64> {
    let seconds = (scale.warm_up + scale.duration).as_secs().to_string();
    let output = Command::new(pgbench_path())
        .args(["-n", "-M", "prepared", "-c", &CONNECTIONS.to_string(), "-j", "1", "-T", &seconds, "-f"])
        .arg(script)
        .arg(url)
        .output()
        .context("pgbench, which comes with Postgres")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.with_context(|| format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Debian keeps it beside the server, off the path.
fn pgbench_path() -> std::path::PathBuf {
    let beside = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = beside.map(|version| version.path().join("bin/pgbench")).find(|path| path.is_file());
    found.unwrap_or_else(|| "pgbench".into())
}

/// Runs statements.
pub(crate) fn psql(url: &str, statements: &str) -> anyhow::Result<()> {
    let output = Command::new("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statements, url]).output()?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
