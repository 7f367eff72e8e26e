//! A notifier without Kafka: its ledger, its mailboxes, and endpoints that are made as by their owners.

use std::{sync::Arc, time::Duration};

use consumer::{Handler, Received};
use events::DataKey;
use notifier::{
    application::{
        folding::Horizon,
        handling::Handling,
        keeper::{Dying, Policy},
        mailbox::Patience,
        mailboxes::{Mailboxes, Senders},
        sender::Sender,
        webhooks::{Asker, Details, Made, Vault, Wanted, Webhooks},
    },
    domain::{address::Reachable, backoff::Backoff, subscription::EventTypes},
    outbound::{http_client::HttpClient, postgres::PostgresStore, webhook::WebhookSender},
};
use sqlx::{Connection, Executor, PgConnection};
use system_tests::servers::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Nobody waits as long as owners do.
pub(crate) const PATIENCE: Patience = Patience {
    backoff: Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200) },
    lease: Duration::from_secs(2),
    give_up: Duration::from_secs(3600),
    disable_after: Duration::from_secs(3600),
};
/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Whose webhooks they are.
pub(crate) const OWNER: Asker<'_> = Asker::Owner("owner");

pub(crate) struct World {
    database: Database,
    pub(crate) store: PostgresStore,
    pub(crate) webhooks: Webhooks,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) dying: Dying,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl World {
    pub(crate) async fn new(patience: Patience) -> Self {
        Self::with_sender(patience, Policy::default(), |sender| sender).await
    }

    /// With something between mailboxes and endpoints.
    pub(crate) async fn with_sender(
        patience: Patience,
        policy: Policy,
        between: impl FnOnce(Arc<dyn Sender>) -> Arc<dyn Sender>,
    ) -> Self {
        let database = Database::create(&format!("orderflow_notifier_{}", Uuid::new_v4().simple())).await;
        let store = PostgresStore::open(&database.url).await.unwrap();
        let vault = Vault::new(DataKey::from_bytes([7; 32]));
        let client = HttpClient::new(Reachable::everything(), TIMEOUT);
        let webhook = between(Arc::new(WebhookSender::new(store.clone(), vault.clone(), client)));
        let senders = Senders { webhook, email: None, sms: None };
        let dying = Dying::default();
        let mailboxes = Arc::new(Mailboxes::new(store.clone(), senders, patience, policy, dying.clone()));
        let webhooks = Webhooks::new(store.clone(), vault, Arc::clone(&mailboxes));
        Self { database, store, webhooks, mailboxes, dying, stop: CancellationToken::new(), running: None }
    }

    /// Starts the mailboxes.
    pub(crate) fn send(&mut self) {
        let (mailboxes, stop) = (Arc::clone(&self.mailboxes), self.stop.clone());
        self.running = Some(tokio::spawn(async move { mailboxes.run(stop).await }));
    }

    pub(crate) fn handling(&self) -> Handling {
        let horizon = Horizon { max_age: Duration::from_secs(3600), email: true, sms: false };
        Handling::new(self.store.clone(), Arc::clone(&self.mailboxes), horizon)
    }

    pub(crate) async fn handle(&self, records: &[Received]) {
        self.handling().handle(records).await.unwrap();
    }

    pub(crate) async fn endpoint(&self, url: &str, types: &[&str]) -> Made {
        let event_types = types.iter().map(|types| EventTypes::parse(types).unwrap()).collect();
        let wanted = Wanted { id: None, url: url.to_owned(), event_types, key: None };
        self.webhooks.make(OWNER, wanted).await.unwrap()
    }

    pub(crate) async fn show(&self, endpoint: Uuid) -> Details {
        self.webhooks.show(OWNER, endpoint).await.unwrap()
    }

    pub(crate) async fn effects(&self) -> i64 {
        self.ask("SELECT count(*) FROM notifier.effects").await
    }

    /// The only value that a statement gives.
    pub(crate) async fn ask<T>(&self, statement: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
    }

    pub(crate) async fn execute(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        connection.execute(statement).await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// Waits for what has to come true.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(90), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for this: {what}");
}
