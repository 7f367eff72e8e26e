//! The books: the payment provider's, the payments' and the stock's, compared with what became of the orders.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use uuid::Uuid;

use super::{Drawn, each};
use crate::api::{Api, Service};
use crate::text::grouped;

/// How long the read side may be behind.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pieces of each product: on hand, and of these reserved.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stock(BTreeMap<Uuid, (i64, i64)>);

impl Stock {
    /// As the read side has it.
    pub(super) async fn read(api: &Api, products: impl Iterator<Item = Uuid>) -> Result<Self> {
        let products: Vec<Uuid> = products.collect();
        let paths: Vec<String> = products.iter().map(|product| format!("/v1/products/{product}")).collect();
        let views = each(&paths, |path| api.get(Service::Query, path)).await?;
        let pieces = |view: &Value| Some((view["on_hand"].as_i64()?, view["reserved"].as_i64()?));
        let pieces = views.iter().map(|view| pieces(view).with_context(|| format!("{view} has no stock")));
        Ok(Self(products.iter().copied().zip(pieces.collect::<Result<Vec<_>>>()?).collect()))
    }

    /// What it must have become: what was received is added, what was shipped has left, what is confirmed is reserved.
    fn after(&self, received: &BTreeMap<Uuid, u64>, orders: &[Drawn], sagas: &BTreeMap<Uuid, Value>) -> Result<Self> {
        let mut after = BTreeMap::new();
        for (product, (on_hand, reserved)) in &self.0 {
            let more = i64::try_from(received.get(product).copied().unwrap_or_default())?;
            after.insert(*product, (on_hand + more, *reserved));
        }
        for order in orders {
            let state = sagas[&order.id]["order"].as_str().unwrap_or_default();
            for (product, quantity) in &order.lines {
                let pieces = i64::from(*quantity);
                let Some((on_hand, reserved)) = after.get_mut(product) else { continue };
                match state {
                    "shipped" => *on_hand -= pieces,
                    "confirmed" => *reserved += pieces,
                    _ => {}
                }
            }
        }
        Ok(Self(after))
    }
}

/// What was compared, and what does not agree.
#[derive(Debug)]
pub(super) struct Books {
    checks: Vec<Check>,
}

/// What should be so, and where it is not.
#[derive(Debug)]
struct Check {
    what: String,
    wrong: Vec<String>,
}

impl Books {
    /// Compares; waits for the read side where that is behind.
    pub(super) async fn compare(
        api: &Api,
        orders: &[Drawn],
        sagas: &BTreeMap<Uuid, Value>,
        received: &BTreeMap<Uuid, u64>,
        before: &Stock,
    ) -> Result<Self> {
        let book = api.get(Service::Sandbox, "/v1/book").await?;
        let charged = charged(api, orders, &book).await?;
        let stock = stock(api, before, &before.after(received, orders, sagas)?).await?;
        Ok(Self { checks: vec![authorised(orders, sagas, &book), done_once(orders, &book), charged, stock] })
    }

    /// One line a comparison.
    pub(super) fn text(&self) -> String {
        let line = |Check { what, wrong }: &Check| match wrong.first() {
            None => format!("  ✓ {what}\n"),
            Some(first) => format!("  ✗ {what}: {} differ, such as {first}\n", grouped(wrong.len())),
        };
        self.checks.iter().map(line).collect()
    }

    /// An error unless all agree.
    pub(super) fn verdict(&self) -> Result<()> {
        let wrong = self.checks.iter().filter(|check| !check.wrong.is_empty()).count();
        if wrong > 0 {
            bail!("{wrong} of {} comparisons of the books found a difference", self.checks.len());
        }
        Ok(())
    }
}

/// The provider's authorisations for an order: their keys begin with it.
fn authorisations(book: &Value, order: Uuid) -> impl Iterator<Item = &Value> {
    let key = order.simple().to_string();
    let all = book["authorisations"].as_array().into_iter().flatten();
    all.filter(move |authorisation| authorisation["key"].as_str().is_some_and(|found| found.starts_with(&key)))
}

/// A number of a document, such as pence.
fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

/// What was taken and not paid back, in pence.
fn kept(value: &Value) -> u64 {
    number(value, "captured").saturating_sub(number(value, "refunded"))
}

fn authorised(orders: &[Drawn], sagas: &BTreeMap<Uuid, Value>, book: &Value) -> Check {
    let mut wrong = Vec::new();
    for order in orders {
        let all: Vec<_> = authorisations(book, order.id).collect();
        let standing = all.iter().filter(|one| one["voided"].is_null()).count();
        let agrees = match sagas[&order.id]["order"].as_str() {
            Some("cancelled") => standing == 0 && all.iter().all(|one| kept(one) == 0),
            _ => all.len() == 1 && standing == 1,
        };
        if !agrees {
            wrong.push(format!("order {} with {} authorisations, {standing} of them standing", order.id, all.len()));
        }
    }
    Check {
        what: "each confirmed order has one authorisation, no cancelled one has money set aside or charged".to_owned(),
        wrong,
    }
}

fn done_once(orders: &[Drawn], book: &Value) -> Check {
    let orders: HashSet<String> = orders.iter().map(|order| order.id.simple().to_string()).collect();
    let keys = book["keys"].as_object().into_iter().flatten();
    let ours: Vec<_> = keys.filter(|(key, _)| key.get(..32).is_some_and(|order| orders.contains(order))).collect();
    let asked: u64 = ours.iter().map(|(_, keyed)| number(keyed, "asked")).sum();
    let wrong = ours.iter().filter(|(_, keyed)| number(keyed, "done") > 1).map(|(key, _)| (*key).clone()).collect();
    let (operations, asked) = (grouped(ours.len()), grouped(asked));
    Check { what: format!("{operations} payment operations were asked for {asked} times, and none was done twice"), wrong }
}

async fn charged(api: &Api, orders: &[Drawn], book: &Value) -> Result<Check> {
    let paths: Vec<String> = orders.iter().map(|order| format!("/v1/orders/{}/payments", order.id)).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let payments = each(&paths, |path| api.get(Service::Query, path)).await?;
        let (mut total, mut wrong) = (0, Vec::new());
        for (order, payments) in orders.iter().zip(&payments) {
            let recorded: u64 = payments["items"].as_array().into_iter().flatten().map(kept).sum();
            let charged: u64 = authorisations(book, order.id).map(kept).sum();
            total += charged;
            if recorded != charged {
                wrong.push(format!("order {}: {charged} charged, {recorded} recorded", order.id));
            }
        }
        if wrong.is_empty() || Instant::now() > deadline {
            let what = format!("the provider charged {} pence: what payments have captured less refunds", grouped(total));
            return Ok(Check { what, wrong });
        }
        tokio::time::sleep(super::LOOK).await;
    }
}

async fn stock(api: &Api, before: &Stock, expected: &Stock) -> Result<Check> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = Stock::read(api, before.0.keys().copied()).await?;
        let differs = |(product, pieces): (&Uuid, &(i64, i64))| {
            let found = found.0.get(product)?;
            (found != pieces).then(|| format!("product {product}: {found:?} on hand and reserved, not {pieces:?}"))
        };
        let wrong: Vec<String> = expected.0.iter().filter_map(differs).collect();
        if wrong.is_empty() || Instant::now() > deadline {
            let products = grouped(expected.0.len());
            let what =
                format!("stock on hand + shipped = received, and reserved is what confirmed orders want ({products} products)");
            return Ok(Check { what, wrong });
        }
        tokio::time::sleep(super::LOOK).await;
    }
}
