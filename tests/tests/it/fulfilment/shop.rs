//! A shop whose orders fulfil themselves, and how a test looks at it.

use std::{
    process::{Command as Program, Output},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};
use system_tests::{
    Answer, Client, Command,
    Context::{self, Orders, Products, Users},
    Plan, Stack,
    binaries::program,
    client::token,
    stack::JWT_SECRET,
    wait::until,
};
use uuid::Uuid;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a piece of anything costs, in pence.
pub(crate) const PRICE: u64 = 250;

/// A shop whose orders fulfil themselves.
pub(crate) struct Shop {
    pub(crate) stack: Stack,
    pub(crate) client: Client,
    http: reqwest::Client,
}

/// A stack with one of each.
pub(crate) fn plan() -> Plan {
    Plan { fulfilments: 1, ..Plan::default() }
}

/// A line of an order.
pub(crate) fn line(product: Uuid, quantity: u32) -> Value {
    json!({"product_id": product, "quantity": quantity})
}

impl Shop {
    pub(crate) async fn open(plan: Plan) -> Self {
        let stack = Stack::start(plan).await;
        Self { client: stack.client(), stack, http: reqwest::Client::new() }
    }

    /// Somebody who pays by this method: what the sandbox makes of it is in its README.
    pub(crate) async fn user(&self, method: &str) -> Uuid {
        let user = Uuid::now_v7();
        let email = format!("{}@example.org", user.simple());
        self.done(Users, "register-user", user, json!({"name": "Ann", "email": email})).await;
        self.done(Users, "change-payment-method", user, json!({"method": method})).await;
        user
    }

    pub(crate) async fn product(&self, stock: i64) -> Uuid {
        let product = Uuid::now_v7();
        let price = json!({"minor": PRICE, "currency": "GBP"});
        let body = json!({"sku": product.simple().to_string(), "name": "Lantern", "price": price});
        self.done(Products, "create-product", product, body).await;
        self.done(Products, "adjust-stock", product, json!({"delta": stock, "reason": "received"})).await;
        product
    }

    /// An order of a user, or of a guest.
    pub(crate) async fn place(&self, user: Option<Uuid>, lines: &[Value]) -> Uuid {
        let order = Uuid::now_v7();
        self.done(Orders, "place-order", order, json!({"user_id": user, "lines": lines})).await;
        order
    }

    pub(crate) async fn done(&self, context: Context, name: &'static str, id: Uuid, body: Value) {
        self.client.send(&Command::new(context, name, id, body)).await.accepted();
    }

    pub(crate) async fn send(&self, name: &'static str, order: Uuid, body: Value) -> Answer {
        self.client.send(&Command::new(Orders, name, order, body)).await
    }

    /// Cancels an order as whoever placed it would.
    pub(crate) async fn cancel(&self, order: Uuid) -> Answer {
        self.send("cancel-order", order, json!({"reason": "changed my mind"})).await
    }

    /// The order's saga, once there is one in this stage.
    pub(crate) async fn until_stage(&self, order: Uuid, stages: &[&str]) -> Value {
        self.until_saga(order, &stages.join(" or "), |saga| stages.iter().any(|stage| saga["stage"] == *stage)).await
    }

    /// The order's saga, once it is like that.
    pub(crate) async fn until_saga(&self, order: Uuid, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(&format!("the saga of {order} is {what}"), PATIENCE, async || {
            let path = format!("/v1/sagas/{order}");
            let (status, saga) = self.ask(Method::GET, &path, &token(), None).await?;
            (status == StatusCode::OK && is_so(&saga)).then_some(saga)
        })
        .await
    }

    /// What a fulfilment service answers; none when it does not.
    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Option<(StatusCode, Value)> {
        for fulfilment in &self.stack.fulfilments {
            let mut request = self.http.request(method.clone(), format!("{}{path}", fulfilment.url())).bearer_auth(token);
            if let Some(body) = &body {
                request = request.json(body);
            }
            let Ok(response) = request.send().await else { continue };
            let status = response.status();
            return Some((status, response.json().await.unwrap_or_default()));
        }
        None
    }

    /// An aggregate's state, from the write side.
    pub(crate) async fn state(&self, context: Context, id: Uuid) -> Value {
        until(&format!("{context} {id}"), PATIENCE, async || {
            let response = self.client.asking(&format!("/v1/{context}/{id}/state")).send().await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            Some(response.json::<Value>().await.ok()?["state"].take())
        })
        .await
    }

    /// On hand, and set aside.
    pub(crate) async fn stock(&self, product: Uuid) -> (u64, u64) {
        let stock = &self.state(Products, product).await["stock"];
        (stock["on_hand"].as_u64().unwrap(), stock["reserved"].as_u64().unwrap())
    }

    /// Where the order is, and why it was cancelled if it was.
    pub(crate) async fn order(&self, order: Uuid) -> (String, Option<String>) {
        let status = self.state(Orders, order).await["status"].as_str().unwrap().to_owned();
        let response = self.client.asking(&format!("/v1/orders/{order}/events")).send().await.unwrap();
        let history: Value = response.json().await.unwrap();
        let events = history["events"].as_array().unwrap();
        let cancelled = events.iter().find(|event| event["type"] == "order.cancelled.v1");
        (status, cancelled.map(|event| event["data"]["reason"].as_str().unwrap().to_owned()))
    }

    /// The payment provider's own book.
    pub(crate) async fn book(&self) -> Value {
        let sandbox = self.stack.sandbox.as_ref().unwrap();
        let response = self.http.get(format!("{}/v1/book", sandbox.url())).bearer_auth(token()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// What the provider has taken and not paid back, and what it holds.
    pub(crate) async fn money(&self) -> (u64, u64) {
        let totals = self.book().await["totals"]["GBP"].take();
        let number = |name: &str| totals[name].as_u64().unwrap_or_default();
        (number("charged"), number("held"))
    }

    /// Runs `orderctl saga`: what it says, and whether it was content.
    pub(crate) async fn orderctl(&self, arguments: &[&str]) -> (String, bool) {
        let mut orderctl = Program::new(program("orderctl"));
        let url = self.stack.fulfilments[0].url();
        orderctl.arg("saga").args(arguments).env("FULFILMENT_URL", url).env("JWT_SECRET", JWT_SECRET);
        let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || orderctl.output()).await.unwrap().unwrap();
        (format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)), status.success())
    }
}

/// The token of a customer.
pub(crate) fn customer(user: Uuid) -> String {
    mint(&Secret::new(JWT_SECRET), &user.to_string(), &[Role::Customer], Duration::from_secs(3_600)).unwrap()
}
