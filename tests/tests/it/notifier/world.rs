//! A stack with a notifier, a mail server, and a provider of text messages.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{
    Client, Command,
    Context::{Orders, Products, Users},
    Plan, Stack, binaries, client,
    process::Process,
    wait::until,
};
use uuid::Uuid;

use super::{
    receiver::{Receiver, secret},
    smtp::MailServer,
};

/// Longer than anything here takes on a machine that others starve.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct World {
    // Dropped in this order.
    pub(crate) notifier: Process,
    pub(crate) sandbox: Process,
    pub(crate) mail: MailServer,
    pub(crate) client: Client,
    pub(crate) product: Uuid,
    pub(crate) stack: Stack,
    http: reqwest::Client,
}

impl World {
    /// With a notifier that is killed or panics as `failpoints` says, if it says anything.
    pub(crate) async fn start(failpoints: &str) -> Self {
        let stack = Stack::start(Plan::default()).await;
        let directory = stack.file("sms-sandbox");
        std::fs::create_dir(&directory).unwrap();
        let mut sandbox = Process::new("sms-sandbox", binaries::program("sms-sandbox"), Vec::new(), &directory);
        sandbox.start().await;
        let mail = MailServer::start();
        let mut notifier = stack.notifier(&[
            ("LOG_LEVEL", "debug,rdkafka=info,librdkafka=info,hyper=info,sqlx=info"),
            ("SEND_TIMEOUT", "2"),
            ("RETRY_FIRST", "1"),
            ("RETRY_MOST", "2"),
            ("SMTP_URL", &mail.url),
            ("MAIL_FROM", "Lamps & Co <orders@lamps.example>"),
            ("SHOP_NAME", "Lamps & Co"),
            ("SMS_PROVIDER_URL", &sandbox.url()),
        ]);
        notifier.set("FAILPOINTS", failpoints);
        notifier.start().await;
        let (client, http) = (stack.client(), reqwest::Client::new());
        let product = Uuid::now_v7();
        let price = json!({"minor": 1999, "currency": "GBP"});
        let create = json!({"sku": "LAMP", "name": "Lamp <brass>", "price": price});
        client.send(&Command::new(Products, "create-product", product, create)).await.accepted();
        let world = Self { notifier, sandbox, mail, client, product, stack, http };
        world.ready(200).await;
        world
    }

    /// A user with this address.
    pub(crate) async fn user(&self, email: &str) -> Uuid {
        let user = Uuid::now_v7();
        let register = Command::new(Users, "register-user", user, json!({"name": "Ann Lamplight", "email": email}));
        self.client.send(&register).await.accepted();
        user
    }

    /// A new order of two lamps; `more` is added to the command.
    pub(crate) async fn place(&self, mut more: Value) -> Uuid {
        let order = Uuid::now_v7();
        more["lines"] = json!([{"product_id": self.product, "quantity": 2}]);
        self.client.send(&Command::new(Orders, "place-order", order, more)).await.accepted();
        order
    }

    pub(crate) async fn step(&self, order: Uuid, name: &'static str, body: Value) {
        self.client.send(&Command::new(Orders, name, order, body)).await.accepted();
    }

    /// Asks the notifier.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.notifier.url());
        let request = self.http.request(method, url).bearer_auth(client::token());
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Registers an endpoint under this id.
    pub(crate) async fn webhook(&self, id: Uuid, receiver: &Receiver, types: &[&str]) {
        let body = json!({"id": id, "url": receiver.url, "event_types": types, "secret": secret()});
        let (status, answer) = self.ask(Method::POST, "/v1/webhooks", body).await;
        assert_eq!((status, &answer["secret"]), (201, &json!(secret())), "{answer}");
    }

    /// Waits until readiness is answered like this.
    pub(crate) async fn ready(&self, status: u16) -> Value {
        until(&format!("/ready answers {status}"), PATIENCE, async || {
            let (found, report) = self.ask(Method::GET, "/ready", Value::Null).await;
            (found == status).then_some(report)
        })
        .await
    }

    /// Waits until nothing in the ledger waits any more, and something is there.
    pub(crate) async fn settled(&self, least: u64) {
        until("nothing waits", PATIENCE, async || {
            let (_, summary) = self.ask(Method::GET, "/v1/notifications", Value::Null).await;
            let counts = summary["effects"].as_array()?;
            let sum = |state: &str| {
                let of_state = counts.iter().filter(|count| count["state"] == state);
                of_state.filter_map(|count| count["count"].as_u64()).sum::<u64>()
            };
            (sum("pending") == 0 && sum("sent") >= least).then_some(())
        })
        .await;
    }

    /// Everything in the notifier's tables, as text.
    pub(crate) async fn tables(&self) -> String {
        let pool = sqlx::PgPool::connect(&self.stack.database.url).await.unwrap();
        let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'notifier'";
        let names: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
        assert!(names.len() > 10, "{names:?}");
        let mut all = String::new();
        for name in names {
            let statement = sqlx::AssertSqlSafe(format!("SELECT COALESCE(string_agg(t::text, ' '), '') FROM notifier.{name} t"));
            all += &sqlx::query_scalar::<_, String>(statement).fetch_one(&pool).await.unwrap();
        }
        all
    }
}

impl Drop for World {
    #[expect(clippy::print_stderr, reason = "cargo shows it with the test that failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.notifier.tail());
        }
    }
}
