//! One order through the API, from a new customer to the parcel at the door, and back from the read side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{
    Api,
    BoundedContext::{self, Orders, Products, Users},
    Service, version_of,
};
use crate::text::duration;

/// Seconds that a read waits for what was just written.
const WAIT: u64 = 10;

/// What was done, and what the read side shows.
#[derive(Debug)]
pub struct Journey {
    user: Uuid,
    product: Uuid,
    order: Uuid,
    steps: Vec<Step>,
    view: Value,
}

#[derive(Debug)]
struct Step {
    what: &'static str,
    version: u64,
    accepted: Duration,
    visible: Duration,
}

impl Journey {
    /// Does it.
    pub async fn run(api: &Api) -> Result<Self> {
        let mut journey =
            Self { user: Uuid::now_v7(), product: Uuid::now_v7(), order: Uuid::now_v7(), steps: Vec::new(), view: Value::Null };
        let Self { user, product, order, .. } = journey;
        let tag = user.simple();
        let users = json!({ "id": user, "name": "Ada Example", "email": format!("ada-{tag}@customers.example") });
        let products = json!({
            "id": product, "sku": format!("DEMO-{tag}"), "name": "Night light, owl", "price": { "minor": 1_250, "currency": "GBP" },
        });
        let stock = json!({ "delta": 10, "reason": "received" });
        let orders = json!({ "id": order, "user_id": user, "lines": [{ "product_id": product, "quantity": 2 }], "payment_method": "pm_card" });
        let parcel = json!({ "carrier": "Royal Mail", "tracking": "DEMO-1" });
        let life = [
            ("customer registered", Users, user, Some("/v1/users".to_owned()), users),
            ("product created", Products, product, Some("/v1/products".to_owned()), products),
            ("10 pieces received", Products, product, Some(format!("/v1/products/{product}/stock-adjustments")), stock),
            ("order placed", Orders, order, Some("/v1/orders".to_owned()), orders),
            ("order confirmed, by its saga", Orders, order, None, Value::Null),
            ("order shipped", Orders, order, Some(format!("/v1/orders/{order}/ship")), parcel),
            ("order delivered", Orders, order, Some(format!("/v1/orders/{order}/deliver")), json!({})),
        ];
        for (what, context, id, path, body) in life {
            journey.step(api, what, (context, id), path.as_deref(), &body).await.context(what)?;
        }
        Ok(journey)
    }

    /// Sends a command, or leaves that to another, then reads what came of it.
    async fn step(
        &mut self,
        api: &Api,
        what: &'static str,
        (context, id): (BoundedContext, Uuid),
        path: Option<&str>,
        body: &Value,
    ) -> Result<()> {
        let start = Instant::now();
        let key = format!("demo:{}:{}", self.order, self.steps.len());
        let version = match path {
            Some(path) => version_of(&api.command(context, path, &key, body).await?)?,
            None => self.steps.last().map_or(1, |step| step.version + 1),
        };
        let accepted = start.elapsed();
        let read = format!("/v1/{}/{id}?min_version={version}", context.name());
        let request = api.request(Method::GET, Service::Query, &read).header("prefer", format!("wait={WAIT}"));
        let response = request.send().await.map_err(|error| api.unreachable(Service::Query, error))?;
        let status = response.status();
        let bytes = response.bytes().await?;
        if status != StatusCode::OK {
            return Err(Api::refusal(status, &bytes, &read));
        }
        self.view = serde_json::from_slice(&bytes).with_context(|| format!("{read} is not JSON"))?;
        if self.view.is_null() {
            bail!("{read} is empty");
        }
        self.steps.push(Step { what, version, accepted, visible: start.elapsed() });
        Ok(())
    }

    /// The steps, the order as the read side has it, and what to try next.
    pub fn text(&self, api: &Api) -> Result<String> {
        let Self { user, product, order, steps, view } = self;
        let header = ["step", "version", "accepted after", "readable after"].map(str::to_owned).to_vec();
        let row =
            |step: &Step| vec![step.what.to_owned(), step.version.to_string(), duration(step.accepted), duration(step.visible)];
        let rows: Vec<_> = std::iter::once(header).chain(steps.iter().map(row)).collect();
        let table = crate::text::table(&rows);
        let view = serde_json::to_string_pretty(view)?;
        let program = std::env::args().next().unwrap_or_else(|| "orderctl".to_owned());
        let (write, read) = (api.url(Service::Command(Orders), ""), api.url(Service::Query, ""));
        Ok(format!(
            r#"{table}
{read}/v1/orders/{order} now answers

{view}

Try it yourself, in the repository's folder:

  eval "$(deploy/stack env)"
  TOKEN=$({program} token --sub me --role staff --role service --ttl 8h)

  # the order, its customer's orders, the product
  curl -s -H "authorization: Bearer $TOKEN" {read}/v1/orders/{order}
  curl -s -H "authorization: Bearer $TOKEN" {read}/v1/users/{user}/orders
  curl -s -H "authorization: Bearer $TOKEN" {read}/v1/products/{product}

  # its history, and what it was at version 2
  curl -s -H "authorization: Bearer $TOKEN" {write}/v1/orders/{order}/events
  curl -s -H "authorization: Bearer $TOKEN" "{write}/v1/orders/{order}/state?version=2"

  # a piece comes back; then read your own write
  curl -s -H "authorization: Bearer $TOKEN" -H "content-type: application/json" -H "idempotency-key: try-1" \
       -d '{{"lines":[{{"line":1,"quantity":1}}],"reason":"changed my mind"}}' {write}/v1/orders/{order}/returns
  curl -s -H "authorization: Bearer $TOKEN" -H "prefer: wait=2" "{read}/v1/orders/{order}?min_version=5"

  # Christmas at the retailer's
  curl -s -H "authorization: Bearer $TOKEN" "{read}/v1/stats?from=2010-12-01&to=2010-12-31&top=5""#
        ))
    }
}
