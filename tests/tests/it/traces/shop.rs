//! All services, each telling a collector; traces are recorded only where a caller asks for it.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{
    Client, Command,
    Context::{Products, Users},
    Plan, Stack, binaries,
    client::token,
    collector::Collector,
    process::Process,
    stack::JWT_SECRET,
    wait::until,
};
use uuid::Uuid;

use super::PATIENCE;
use crate::{
    happy::read_at,
    notifier::receiver::{Receiver, secret},
};

pub(super) struct Shop {
    // Dropped in this order.
    notifier: Process,
    client: Client,
    pub(super) stack: Stack,
    pub(super) webhook: Receiver,
    pub(super) collector: Collector,
    http: reqwest::Client,
    product: Uuid,
    user: Uuid,
}

impl Shop {
    pub(super) async fn open() -> Self {
        let collector = Collector::start().await;
        let telling: Vec<(&'static str, &'static str)> = vec![
            // Lives as long as the test's process.
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone().leak()),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ];
        let stack = Stack::start(Plan { fulfilments: 1, environment: telling.clone(), ..Plan::default() }).await;
        let notifier = notifier(&stack, &telling).await;
        let (client, webhook) = (stack.client(), Receiver::start(204).await);
        let (product, user) = (Uuid::now_v7(), Uuid::now_v7());
        let price = json!({"minor": 250, "currency": "GBP"});
        let email = format!("{}@example.org", user.simple());
        for (context, name, id, body) in [
            (Products, "create-product", product, json!({"sku": "LAMP", "name": "Lamp", "price": price})),
            (Products, "adjust-stock", product, json!({"delta": 100, "reason": "received"})),
            (Users, "register-user", user, json!({"name": "Ann", "email": email})),
            (Users, "change-payment-method", user, json!({"method": "pm_card"})),
        ] {
            client.send(&Command::new(context, name, id, body)).await.accepted();
        }
        let shop = Self { notifier, client, stack, webhook, collector, http: reqwest::Client::new(), product, user };
        let endpoint = json!({"url": shop.webhook.url, "event_types": ["order.placed.v1"], "secret": secret()});
        let (status, answer) = shop.ask(Method::POST, &format!("{}/v1/webhooks", shop.notifier.url()), "", Some(endpoint)).await;
        assert_eq!(status, 201, "{answer}");
        shop
    }

    /// The topic of a context.
    pub(super) fn topic(&self, context: &str) -> String {
        format!("{}.{context}.v1", self.stack.topics.prefix)
    }

    /// Places an order in the caller's trace.
    pub(super) async fn place(&self, traceparent: &str) -> Uuid {
        let order = Uuid::now_v7();
        let body = json!({"id": order, "user_id": self.user, "lines": [{"product_id": self.product, "quantity": 1}]});
        let url = format!("{}/v1/orders", self.stack.commands[0].url());
        let (status, answer) = self.ask(Method::POST, &url, traceparent, Some(body)).await;
        assert_eq!(status, 201, "{answer}");
        order
    }

    /// Waits until everything that the order sets in motion has happened.
    pub(super) async fn confirmed(&self, order: Uuid) {
        let url = format!("{}/v1/sagas/{order}", self.stack.fulfilments[0].url());
        until("the order is confirmed", PATIENCE, async || {
            let (status, saga) = self.ask(Method::GET, &url, "", None).await;
            (status == 200 && saga["stage"] == "confirmed").then_some(())
        })
        .await;
        until("the webhook is told", PATIENCE, async || {
            let deliveries = self.webhook.deliveries();
            deliveries.iter().any(|delivery| delivery.body["subject"] == json!(order)).then_some(())
        })
        .await;
        read_at(&self.client, &format!("/v1/orders/{order}"), 2).await;
    }

    /// Reads an order in the caller's trace.
    pub(super) async fn read(&self, order: Uuid, traceparent: &str) -> Value {
        let url = format!("{}/v1/orders/{order}", self.stack.query.url());
        self.ask(Method::GET, &url, traceparent, None).await.1
    }

    async fn ask(&self, method: Method, url: &str, traceparent: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, url).bearer_auth(token());
        if !traceparent.is_empty() {
            request = request.header("traceparent", traceparent);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

async fn notifier(stack: &Stack, telling: &[(&'static str, &'static str)]) -> Process {
    let own = [
        ("JWT_SECRET", JWT_SECRET.to_owned()),
        ("SHUTDOWN_TIMEOUT", "60".to_owned()),
        ("DATABASE_URL", stack.database.url.clone()),
        ("KAFKA_BROKERS", stack.topics.brokers.clone()),
        ("TOPIC_PREFIX", stack.topics.prefix.clone()),
        ("COMMAND_SERVICE_URL", stack.commands[0].url()),
        ("GROUP_ID", format!("{}-notifier", stack.name)),
        ("NOTIFIER_KEY", "bm90aWZpZXItdGVzdHMtbWFzdGVyLWtleS0zMi1ieXQ=".to_owned()),
        ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8".to_owned()),
        ("WEBHOOK_ALLOW_HTTP", "true".to_owned()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let telling = telling.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let directory = stack.file("notifier");
    std::fs::create_dir(&directory).unwrap();
    let mut notifier = Process::new("notifier", binaries::program("notifier"), own.chain(telling).collect(), &directory);
    notifier.start().await;
    notifier
}
