//! The query service's answers: the stored bytes, the lists, the statistics.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    fold::Views,
    redis::{Held, Keys, view_key},
};
use crate::{client::Client, context::Context, stack::Stack};

/// Reads at a time.
const READERS: usize = 16;
/// Lists of which there is one for each stream are not all looked at.
const FEW: usize = 10;
/// A view's bytes before its JSON.
const HEADER: usize = 26;

/// Compares every answer with what Redis holds, and the lists and statistics with the views.
pub(super) async fn check(stack: &Stack, views: &Views, held: &Keys, patience: Duration, findings: &mut Vec<String>) {
    let client = &stack.client();
    // One for all: what is behind catches up as a whole, and what is wrong in many places is not waited for in each.
    let deadline = Instant::now() + patience;
    let found = stream::iter(views.iter().filter(|(_, view)| view.version > 0).map(|((context, id), view)| async move {
        let stored = match held.get(&view_key(stack, *context, *id)) {
            Some(Held::Text(bytes)) => bytes.get(HEADER..).unwrap_or_default(),
            _ => return None,
        };
        let path = format!("/v1/{context}/{id}");
        let wanted = (200, format!("\"{}\"", view.version), stored.to_vec());
        agrees(&path, deadline, &wanted, async || client.read(&path).await.map_err(|error| error.to_string())).await
    }));
    findings.extend(found.buffer_unordered(READERS).filter_map(async |finding| finding).collect::<Vec<_>>().await);
    for (path, wanted) in lists(views) {
        let wanted = Ok(wanted);
        findings.extend(agrees(&path, deadline, &wanted, async || Ok(all_pages(client, &path).await)).await);
    }
    let wanted = statistics(views);
    let stats = async || {
        let (_, _, body) = client.read("/v1/stats?top=100").await.map_err(|error| error.to_string())?;
        serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string())
    };
    findings.extend(agrees("/v1/stats", deadline, &wanted, stats).await);
}

/// None when the answer is as wanted, soon.
async fn agrees<T: PartialEq + std::fmt::Debug>(
    what: &str,
    deadline: Instant,
    wanted: &T,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> Option<String> {
    loop {
        let answer = ask().await;
        if answer.as_ref() == Ok(wanted) {
            return None;
        }
        if Instant::now() > deadline {
            return Some(format!("query-service: {what} gives {answer:?}, and should give {wanted:?}"));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The ids of a list, page by page.
async fn all_pages(client: &Client, path: &str) -> Result<Vec<String>, String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = match path.split_once('?') {
            Some((_, query)) if query.starts_with("email=") => path.to_owned(),
            Some(_) => format!("{path}&limit=97{cursor}"),
            None => format!("{path}?limit=97{cursor}"),
        };
        let (status, _, body) = client.read(&page).await.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        if status != 200 {
            return Err(format!("{status}: {body}"));
        }
        ids.extend(body["items"].as_array().into_iter().flatten().map(|item| item["id"].as_str().unwrap_or_default().to_owned()));
        match body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}

/// Paths and the ids that they list, in order.
fn lists(views: &Views) -> Vec<(String, Vec<String>)> {
    let mut members: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut lists = Vec::new();
    for ((context, id), view) in views {
        for (list, member) in &view.lists {
            members.entry((*context, list.as_str())).or_default().insert((member.as_slice(), id.to_string()));
        }
        if let Some((_, email)) = &view.owns {
            let email = email.replace('+', "%2B");
            lists.push((format!("/v1/users?email={email}"), vec![id.to_string()]));
        }
    }
    // A few suffice: each is one more of the same.
    lists.truncate(FEW);
    let mut of_payments = 0;
    for ((context, list), members) in members {
        let ascending: Vec<String> = members.into_iter().map(|(_, id)| id).collect();
        let descending = ascending.iter().rev().cloned().collect();
        match (context, list.split_once(':')) {
            (Context::Orders, None) => lists.push(("/v1/orders".to_owned(), descending)),
            (Context::Orders, Some(("status", status))) => lists.push((format!("/v1/orders?status={status}"), descending)),
            (Context::Orders, Some((_, user))) => lists.push((format!("/v1/users/{user}/orders"), descending)),
            (Context::Payments, Some((_, order))) if of_payments < FEW => {
                of_payments += 1;
                lists.push((format!("/v1/orders/{order}/payments"), descending));
            }
            (Context::Payments, _) => {}
            (_, _) if list == "name" => lists.push(("/v1/products?prefix=".to_owned(), ascending)),
            (_, _) => lists.push((format!("/v1/products?low_stock={}", i64::MAX), ascending)),
        }
    }
    lists
}

/// `/v1/stats` as it should be.
fn statistics(views: &Views) -> Value {
    let mut days: BTreeMap<&str, Value> = BTreeMap::new();
    let mut units: BTreeMap<&str, i64> = BTreeMap::new();
    let mut revenue: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
    let mut totals = empty();
    for (name, field, amount) in views.values().flat_map(|view| &view.counts) {
        let (first, rest) = field.split_once('|').unwrap_or((field, ""));
        match *name {
            "days" => {
                count(days.entry(first).or_insert_with(empty), rest, *amount);
                count(&mut totals, rest, *amount);
            }
            "product-units" => *units.entry(first).or_default() += amount,
            _ => *revenue.entry(first).or_default().entry(rest).or_default() += amount,
        }
    }
    let mut top: Vec<_> = units.into_iter().filter(|(_, units)| *units > 0).collect();
    top.sort_by_key(|(product, units)| (-units, *product));
    let top: Vec<_> = top
        .into_iter()
        .take(100)
        .map(|(product, units)| {
            let id: uuid::Uuid = product.parse().unwrap_or_default();
            let revenue: BTreeMap<_, _> = revenue[product].iter().filter(|(_, amount)| **amount != 0).collect();
            json!({"product_id": id, "units": units, "revenue": revenue})
        })
        .collect();
    let days: Vec<_> = days
        .into_iter()
        .map(|(day, mut counts)| {
            counts["day"] = day.into();
            counts
        })
        .collect();
    json!({"totals": totals, "days": days, "top_products": top})
}

fn empty() -> Value {
    json!({"orders": 0, "cancelled": 0, "units": 0, "returned_units": 0, "revenue": {}})
}

fn count(counts: &mut Value, counter: &str, amount: i64) {
    let add = |value: &mut Value, amount: i64| *value = (value.as_i64().unwrap_or(0) + amount).into();
    match counter.split_once('|') {
        None => add(&mut counts[counter.replace('-', "_")], amount),
        Some((kind, currency)) => {
            let revenue = &mut counts["revenue"][currency];
            if revenue.is_null() {
                *revenue = json!({"gross": 0, "refunds": 0, "net": 0});
            }
            add(&mut revenue[kind], amount);
            add(&mut revenue["net"], if kind == "gross" { amount } else { -amount });
        }
    }
}
