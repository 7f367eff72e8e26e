//! The books: the payment provider's, the payments' and the stock's, compared with what became of the orders.

use std::collections::{BTreeMap, HashMap};
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
    /// Compares, until all agree: the read side may be behind.
    pub(super) async fn compare(
        api: &Api,
        orders: &[Drawn],
        sagas: &BTreeMap<Uuid, Value>,
        received: &BTreeMap<Uuid, u64>,
        before: &Stock,
    ) -> Result<Self> {
        let expected = before.after(received, orders, sagas)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let money = Money::read(api, orders).await?;
            let stock = stock(&expected, &Stock::read(api, before.0.keys().copied()).await?);
            let books = Self { checks: vec![money.authorised(sagas), money.done_once(), money.charged(), stock] };
            if books.verdict().is_ok() || Instant::now() > deadline {
                return Ok(books);
            }
            tokio::time::sleep(super::LOOK).await;
        }
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

/// A number of a document, such as pence.
fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

/// What was taken and not paid back, in pence.
fn kept(value: &Value) -> u64 {
    number(value, "captured").saturating_sub(number(value, "refunded"))
}

/// The money of each order, as its payments and as the provider have it.
struct Money {
    /// Payments by order.
    payments: BTreeMap<Uuid, Vec<Value>>,
    /// The provider's authorisations by order.
    authorisations: BTreeMap<Uuid, Vec<Value>>,
    /// What the provider was asked for.
    operations: Vec<(String, Value)>,
}

impl Money {
    async fn read(api: &Api, orders: &[Drawn]) -> Result<Self> {
        let paths: Vec<String> = orders.iter().map(|order| format!("/v1/orders/{}/payments", order.id)).collect();
        let lists = each(&paths, |path| api.get(Service::Query, path)).await?;
        let items = lists.into_iter().map(|list| list["items"].as_array().cloned().unwrap_or_default());
        let payments: BTreeMap<Uuid, Vec<Value>> = orders.iter().map(|order| order.id).zip(items).collect();
        // The provider knows a payment by a key that begins with it.
        let mut order_of: HashMap<String, Uuid> = HashMap::new();
        for (order, payment) in payments.iter().flat_map(|(order, payments)| payments.iter().map(move |one| (order, one))) {
            order_of.insert(payment["id"].as_str().unwrap_or_default().replace('-', ""), *order);
        }
        let ours = |key: &str| order_of.get(key.split(':').next()?).copied();
        let book = api.get(Service::Sandbox, "/v1/book").await?;
        let mut authorisations: BTreeMap<Uuid, Vec<Value>> = orders.iter().map(|order| (order.id, Vec::new())).collect();
        for authorisation in book["authorisations"].as_array().into_iter().flatten() {
            if let Some(order) = authorisation["key"].as_str().and_then(ours) {
                authorisations.entry(order).or_default().push(authorisation.clone());
            }
        }
        let keys = book["keys"].as_object().into_iter().flatten().filter(|(key, _)| ours(key).is_some());
        let operations = keys.map(|(key, asked)| (key.clone(), asked.clone())).collect();
        Ok(Self { payments, authorisations, operations })
    }

    fn authorised(&self, sagas: &BTreeMap<Uuid, Value>) -> Check {
        let differs = |(order, all): (&Uuid, &Vec<Value>)| {
            let standing = all.iter().filter(|one| one["voided"].is_null()).count();
            let agrees = match sagas[order]["order"].as_str() {
                Some("cancelled") => standing == 0 && all.iter().all(|one| kept(one) == 0),
                _ => all.len() == 1 && standing == 1,
            };
            (!agrees).then(|| format!("order {order} with {} authorisations, {standing} of them standing", all.len()))
        };
        let what = "each confirmed order has one authorisation, no cancelled one has money set aside or charged";
        Check { what: what.to_owned(), wrong: self.authorisations.iter().filter_map(differs).collect() }
    }

    fn done_once(&self) -> Check {
        let asked: u64 = self.operations.iter().map(|(_, operation)| number(operation, "asked")).sum();
        let twice = self.operations.iter().filter(|(_, operation)| number(operation, "done") > 1);
        let (operations, asked) = (grouped(self.operations.len()), grouped(asked));
        Check {
            what: format!("{operations} payment operations were asked for {asked} times, and none was done twice"),
            wrong: twice.map(|(key, _)| key.clone()).collect(),
        }
    }

    fn charged(&self) -> Check {
        let (mut total, mut wrong) = (0, Vec::new());
        for (order, payments) in &self.payments {
            let recorded: u64 = payments.iter().map(kept).sum();
            let charged: u64 = self.authorisations[order].iter().map(kept).sum();
            total += charged;
            if recorded != charged {
                wrong.push(format!("order {order}: {charged} charged, {recorded} recorded"));
            }
        }
        Check { what: format!("the provider charged {} pence: what payments have captured less refunds", grouped(total)), wrong }
    }
}

fn stock(expected: &Stock, found: &Stock) -> Check {
    let differs = |(product, pieces): (&Uuid, &(i64, i64))| {
        let found = found.0.get(product)?;
        (found != pieces).then(|| format!("product {product}: {found:?} on hand and reserved, not {pieces:?}"))
    };
    let products = grouped(expected.0.len());
    Check {
        what: format!("stock on hand + shipped = received, and reserved is what confirmed orders want ({products} products)"),
        wrong: expected.0.iter().filter_map(differs).collect(),
    }
}
