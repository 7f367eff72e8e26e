//! All services, each telling a collector; traces are recorded only where a caller asks for it.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{
    Client, Command,
    Context::{Products, Users},
    Plan, Stack,
    client::token,
    collector::Collector,
    process::Process,
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
    pub(super) product: Uuid,
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
        let mut notifier = stack.notifier(&telling);
        notifier.start().await;
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

    /// Sends commands as lines, in the caller's trace, and gives the status of each.
    pub(super) async fn lines(&self, traceparent: &str, lines: &[Value]) -> Vec<u64> {
        let url = format!("{}/v1/commands", self.stack.commands[0].url());
        let request = self.http.post(url).bearer_auth(token()).header("traceparent", traceparent);
        let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let answer = request.header("content-type", "application/x-ndjson").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].as_u64().unwrap()).collect()
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
