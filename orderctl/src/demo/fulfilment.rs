//! New orders, drawn from the same data, that carry themselves out: some declined, some out of stock, some shipped and sent
//! back. Then the books are compared: the provider's, the payments', the stock's and what a webhook was told.

mod books;
mod draw;
mod receiver;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use self::books::{Books, Stock};
use self::draw::{Drawn, draw, received};
use self::receiver::Webhook;
use crate::api::{Api, BoundedContext, Service};
use crate::import::jobs::product_id;
use crate::import::plan::Plan;
use crate::text::{duration, grouped, table};

/// Requests under way at a time.
const AT_ONCE: usize = 16;
/// How long the sagas may take altogether.
const PATIENCE: Duration = Duration::from_secs(300);
/// The pause between two looks at a saga.
const LOOK: Duration = Duration::from_millis(200);
/// Of the confirmed orders, one in so many is shipped and delivered,
const SHIPPED: usize = 3;
/// and one in so many of those comes back in part.
const RETURNED: usize = 3;

/// What became of the orders, and whether the books agree.
#[derive(Debug)]
pub struct Fulfilled {
    sagas: BTreeMap<Uuid, Value>,
    shipped: usize,
    returned: usize,
    told: u64,
    took: Duration,
    books: Books,
}

/// Receives stock, places the orders, waits for their sagas, ships some, and compares the books.
pub async fn run(api: &Api, plan: &Plan) -> Result<Fulfilled> {
    api.check_alive(Service::Fulfilment).await?;
    api.check_alive(Service::Sandbox).await?;
    let webhook = Webhook::open(api).await.context("the notifier's webhook")?;
    let orders = draw(plan, Uuid::now_v7());
    let stock = received(plan, &orders);
    println!("Receiving stock of {} products, then placing {} orders …", grouped(plan.products.len()), orders.len());
    let before = Stock::read(api, stock.keys().copied()).await?;
    receive(api, plan, &stock).await?;
    let start = Instant::now();
    each(&orders, |order| place(api, order)).await?;
    let deadline = start + PATIENCE;
    let sagas = each(&orders, |order| at_rest(api, order.id, deadline, decided)).await?;

    let confirmed = orders.iter().zip(&sagas).filter(|(_, saga)| saga["stage"] == "confirmed").map(|(order, _)| order);
    let shipped: Vec<&Drawn> = confirmed.step_by(SHIPPED).collect();
    let returned: Vec<&Drawn> = shipped.iter().copied().step_by(RETURNED).collect();
    each(&shipped, |order| send(api, order.id)).await?;
    each(&returned, |order| give_back(api, order.id)).await?;
    each(&shipped, |order| at_rest(api, order.id, deadline, |saga| saga["stage"] == "fulfilled")).await?;
    each(&returned, |order| at_rest(api, order.id, deadline, |saga| saga["refunded"].as_u64() > Some(0))).await?;
    let took = start.elapsed();

    let paths: Vec<String> = orders.iter().map(|order| format!("/v1/sagas/{}", order.id)).collect();
    let sagas = each(&paths, |path| api.get(Service::Fulfilment, path)).await?;
    let sagas: BTreeMap<Uuid, Value> = orders.iter().map(|order| order.id).zip(sagas).collect();
    let books = Books::compare(api, &orders, &sagas, &stock, &before).await?;
    // It hears of each order's first end: confirmed, or cancelled.
    let told = webhook.close(api, orders.len()).await?;
    Ok(Fulfilled { sagas, shipped: shipped.len(), returned: returned.len(), told, took, books })
}

/// Whether it is known how an order ends: to wait for a person would be in vain.
fn decided(saga: &Value) -> bool {
    matches!(saga["stage"].as_str(), Some("confirmed" | "fulfilled" | "cancelled" | "stuck" | "parked"))
}

/// Asks for each of them, some at a time; the answers are in their order.
async fn each<'a, D: 'a, T, F: Future<Output = Result<T>>>(all: &'a [D], ask: impl Fn(&'a D) -> F) -> Result<Vec<T>> {
    stream::iter(all.iter().map(ask)).buffered(AT_ONCE).try_collect().await
}

async fn receive(api: &Api, plan: &Plan, stock: &BTreeMap<Uuid, u64>) -> Result<()> {
    let mut lines = String::new();
    for product in &plan.products {
        let id = product_id(&product.sku);
        let delta = stock.get(&id).copied().unwrap_or(draw::SPARE);
        let command = json!({ "command": "adjust-stock", "id": id, "data": { "delta": delta, "reason": "received" } });
        lines += &format!("{command}\n");
    }
    let service = Service::Command(BoundedContext::Products);
    let request = api.request(Method::POST, service, "/v1/commands").header("content-type", "application/x-ndjson");
    let response = request.body(lines).send().await.map_err(|error| api.unreachable(service, error))?;
    let answers = response.text().await.context("receiving stock")?;
    let accepted = answers.lines().filter(|line| line.contains("\"version\"")).count();
    if accepted != plan.products.len() {
        let refusal = answers.lines().find(|line| !line.contains("\"version\"")).unwrap_or_default();
        bail!("stock of {accepted} of {} products was received: {refusal}", plan.products.len());
    }
    Ok(())
}

async fn place(api: &Api, order: &Drawn) -> Result<()> {
    let lines: Vec<_> =
        order.lines.iter().map(|(product, quantity)| json!({ "product_id": product, "quantity": quantity })).collect();
    let mut body = json!({ "id": order.id, "lines": lines, "payment_method": order.method });
    if let Some(user) = order.user {
        body["user_id"] = json!(user);
    }
    api.command(BoundedContext::Orders, "/v1/orders", &format!("demo:{}:place", order.id), &body).await?;
    Ok(())
}

async fn send(api: &Api, order: Uuid) -> Result<()> {
    let parcel = json!({ "carrier": "Royal Mail", "tracking": format!("DEMO-{}", order.simple()) });
    api.command(BoundedContext::Orders, &format!("/v1/orders/{order}/ship"), &format!("demo:{order}:ship"), &parcel).await?;
    api.command(BoundedContext::Orders, &format!("/v1/orders/{order}/deliver"), &format!("demo:{order}:deliver"), &json!({}))
        .await?;
    Ok(())
}

async fn give_back(api: &Api, order: Uuid) -> Result<()> {
    let part = json!({ "lines": [{ "line": 1, "quantity": 1 }], "reason": "changed my mind" });
    api.command(BoundedContext::Orders, &format!("/v1/orders/{order}/returns"), &format!("demo:{order}:return"), &part).await?;
    Ok(())
}

/// The saga of an order, once it is as wanted.
async fn at_rest(api: &Api, order: Uuid, deadline: Instant, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let path = format!("/v1/orders/{order}/fulfilment");
    loop {
        let response = api.request(Method::GET, Service::Fulfilment, &path).send().await;
        let response = response.map_err(|error| api.unreachable(Service::Fulfilment, error))?;
        let (status, body) = (response.status(), response.bytes().await?);
        let saga: Value = match status {
            StatusCode::OK => serde_json::from_slice(&body)?,
            // The saga has not heard of it yet.
            StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE => Value::Null,
            _ => return Err(Api::refusal(status, &body, &path)),
        };
        if wanted(&saga) {
            return Ok(saga);
        }
        if Instant::now() > deadline {
            bail!("order {order} is not carried out in time: {saga}; `orderctl saga show {order}` tells more");
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Fulfilled {
    /// What happened, in one table, and the books below it.
    pub fn text(&self) -> String {
        let count = |is: &dyn Fn(&Value) -> bool| self.sagas.values().filter(|saga| is(saga)).count();
        let mut rows = vec![
            vec!["orders placed".to_owned(), grouped(self.sagas.len())],
            vec!["confirmed".to_owned(), grouped(count(&|saga| saga["order"] != "cancelled"))],
            vec!["  of these shipped, and captured".to_owned(), grouped(self.shipped)],
            vec!["  of these returned in part, and refunded".to_owned(), grouped(self.returned)],
        ];
        let mut endings: BTreeMap<&str, usize> = BTreeMap::new();
        for ending in self.sagas.values().filter_map(|saga| saga["ending"]["name"].as_str()) {
            *endings.entry(ending).or_default() += 1;
        }
        rows.extend(endings.iter().map(|(name, count)| vec![format!("cancelled: {name}"), grouped(*count)]));
        rows.push(vec![
            "waiting for a person".to_owned(),
            grouped(count(&|saga| saga["stage"] == "stuck" || saga["stage"] == "parked")),
        ]);
        let attempts = |is: &dyn Fn(&Value) -> bool| -> usize {
            let all = self.sagas.values().filter_map(|saga| saga["attempts"].as_array());
            all.map(|attempts| attempts.iter().filter(|attempt| is(attempt)).count()).sum()
        };
        let undone =
            |attempt: &Value| attempt["outcome"] == "done" && (attempt["step"] == "release" || attempt["step"] == "void");
        rows.push(vec!["steps undone (stock released, payments voided)".to_owned(), grouped(attempts(&undone))]);
        let unknown = |attempt: &Value| attempt["outcome"] == "unknown";
        rows.push(vec!["attempts that nobody knew the outcome of, tried again".to_owned(), grouped(attempts(&unknown))]);
        rows.push(vec!["webhooks delivered, their signatures checked".to_owned(), grouped(self.told)]);
        rows.push(vec!["from the first order to the last refund".to_owned(), duration(self.took)]);
        format!("{}\n{}", table(&rows), self.books.text())
    }

    /// An error unless the books agree.
    pub fn verdict(&self) -> Result<()> {
        self.books.verdict()
    }
}
