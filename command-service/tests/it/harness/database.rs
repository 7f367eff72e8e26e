//! A database for one test, dropped with it.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Names of test databases: this, the process id of the test run, and something random.
const PREFIX: &str = "orderflow_cs_";

/// What dead runs left is removed once.
static SWEPT: OnceCell<()> = OnceCell::const_new();

/// A new, empty database.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
}

fn server() -> String {
    std::env::var("ORDERFLOW_TEST_POSTGRES").expect("ORDERFLOW_TEST_POSTGRES: run `make test`, or `deploy/backends up`")
}

impl Database {
    pub(crate) async fn create() -> Self {
        SWEPT.get_or_init(sweep).await;
        let name = format!("{PREFIX}{}_{:08x}", std::process::id(), Uuid::new_v4().as_fields().0);
        execute(&format!("CREATE DATABASE {name}")).await;
        let url = url_of(&name);
        Self { url, name }
    }

    /// A pool that sees one context's schema.
    pub(crate) async fn pool(&self, context: &str) -> PgPool {
        let options: sqlx::postgres::PgConnectOptions = self.url.parse().unwrap();
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4);
        pool.connect_with(options.options([("search_path", context)])).await.unwrap()
    }

    /// The URL through a proxy on this local port.
    pub(crate) fn url_via(&self, port: u16) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let credentials = authority.rsplit_once('@').map_or(String::new(), |(credentials, _)| format!("{credentials}@"));
        format!("{scheme}://{credentials}127.0.0.1:{port}/{path}")
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> String {
        let authority = self.url.split_once("://").unwrap().1.split_once('/').unwrap().0;
        authority.rsplit_once('@').map_or(authority, |(_, address)| address).to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // Not on the test's runtime, which may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")));
        });
        drop(dropped.join());
    }
}

fn url_of(name: &str) -> String {
    let server = server();
    let (scheme, rest) = server.split_once("://").unwrap();
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    format!("{scheme}://{authority}/{name}")
}

async fn execute(statement: &str) {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn sweep() {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)")
        .bind(PREFIX)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for name in names.iter().filter(|name| is_left_over(name, PREFIX)) {
        // Another run may be sweeping too.
        drop(sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).execute(&mut connection).await);
    }
}

/// Whether the test run that made this has ended.
pub(crate) fn is_left_over(name: &str, prefix: &str) -> bool {
    let run = name.strip_prefix(prefix).and_then(|rest| rest.split(['_', '.', '-']).next()?.parse::<u32>().ok());
    run.is_some_and(|run| !Path::new(&format!("/proc/{run}")).exists())
}
