//! The shop's statistics: added up over the partitions at most once a second, whoever asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::NaiveDate;
use events::{Currency, ProductId};
use read_model::stats::{DayCounter, DayField};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};

use super::{QueryError, ranking};
use crate::outbound::redis::{Link, RedisReadError, ScoreBoard};

/// How long an answer is repeated.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The longest list of top products.
pub const MAX_TOP: usize = 100;

/// Money taken and paid back in one currency, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Revenue {
    /// Of orders that were not cancelled.
    pub gross: i64,
    /// Paid back for returns.
    pub refunds: i64,
    /// Gross − refunds; negative on a day of more returns than orders.
    pub net: i64,
}

/// Counts of a day, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Orders placed and not cancelled.
    pub orders: i64,
    /// Orders placed and cancelled later.
    pub cancelled: i64,
    /// Pieces ordered.
    pub units: i64,
    /// Pieces that came back.
    pub returned_units: i64,
    /// By currency code.
    pub revenue: BTreeMap<Code, Revenue>,
}

/// A currency as a key of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Code(pub Currency);

/// A day and its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Day {
    /// The day, UTC.
    pub day: NaiveDate,
    /// What happened on it.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A product that sells well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopProduct {
    /// The product.
    pub product_id: ProductId,
    /// Pieces sold and not returned, over all time.
    pub units: i64,
    /// Minor units sold and not refunded, over all time, by currency code.
    pub revenue: BTreeMap<Code, i64>,
}

/// The answer to a request for statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stats {
    /// The sum of `days`.
    pub totals: Counts,
    /// Ascending; days on which nothing happened are left out.
    pub days: Vec<Day>,
    /// The most sold first, over all time.
    pub top_products: Vec<TopProduct>,
}

/// All days and the longest list of top products.
struct Snapshot {
    days: BTreeMap<NaiveDate, Counts>,
    top_products: Vec<TopProduct>,
}

/// Computes statistics when asked, one at a time.
pub struct Statistics {
    link: Link,
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl Counts {
    fn count(&mut self, counter: DayCounter, number: i64) {
        match counter {
            DayCounter::Orders => self.orders += number,
            DayCounter::Cancelled => self.cancelled += number,
            DayCounter::Units => self.units += number,
            DayCounter::ReturnedUnits => self.returned_units += number,
            DayCounter::Gross(currency) => self.revenue.entry(Code(currency)).or_default().gross += number,
            DayCounter::Refunds(currency) => self.revenue.entry(Code(currency)).or_default().refunds += number,
        }
    }

    fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.cancelled += other.cancelled;
        self.units += other.units;
        self.returned_units += other.returned_units;
        for (currency, revenue) in &other.revenue {
            let sum = self.revenue.entry(*currency).or_default();
            sum.gross += revenue.gross;
            sum.refunds += revenue.refunds;
            sum.net += revenue.net;
        }
    }

    /// Forgets currencies in which nothing happened (any more), and draws the balance of the others.
    fn close(&mut self) {
        self.revenue.retain(|_, revenue| revenue.gross != 0 || revenue.refunds != 0);
        for revenue in self.revenue.values_mut() {
            revenue.net = revenue.gross - revenue.refunds;
        }
    }
}

impl Statistics {
    /// Statistics of the read models behind `link`.
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self { link, last: Mutex::const_new(None) }
    }

    /// The statistics of the days from `from` to `to`, both included, with the `top` most sold products.
    pub async fn get(&self, from: Option<NaiveDate>, to: Option<NaiveDate>, top: usize) -> Result<Stats, QueryError> {
        let snapshot = self.snapshot().await?;
        let (from, to) = (from.unwrap_or(NaiveDate::MIN), to.unwrap_or(NaiveDate::MAX));
        let mut totals = Counts::default();
        let mut days = Vec::new();
        // A range that ends before it begins is refused before this.
        for (day, counts) in snapshot.days.range(from..=to) {
            totals.add(counts);
            days.push(Day { day: *day, counts: counts.clone() });
        }
        Ok(Stats { totals, days, top_products: snapshot.top_products.iter().take(top).cloned().collect() })
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>, RedisReadError> {
        // Whoever comes while it is computed waits here, and finds it.
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, snapshot)) if at.elapsed() < MAX_AGE => Ok(Arc::clone(snapshot)),
            _ => {
                let snapshot = Arc::new(compute(&self.link).await?);
                *last = Some((Instant::now(), Arc::clone(&snapshot)));
                Ok(snapshot)
            }
        }
    }
}

async fn compute(link: &Link) -> Result<Snapshot, RedisReadError> {
    let board = link.score_board().await?;
    let days = add_up(board.days().await?);
    let currencies: BTreeSet<Code> = days.values().flat_map(|counts| counts.revenue.keys().copied()).collect();
    let top_products = top_products(&board, &currencies).await?;
    Ok(Snapshot { days, top_products })
}

fn add_up(fields: Vec<(DayField, i64)>) -> BTreeMap<NaiveDate, Counts> {
    let mut days: BTreeMap<NaiveDate, Counts> = BTreeMap::new();
    for (DayField { day, counter }, number) in fields {
        days.entry(day).or_default().count(counter, number);
    }
    days.values_mut().for_each(Counts::close);
    days.retain(|_, counts| *counts != Counts::default());
    days
}

async fn top_products(board: &ScoreBoard<'_>, currencies: &BTreeSet<Code>) -> Result<Vec<TopProduct>, RedisReadError> {
    let best = ranking::best(board, MAX_TOP).await?;
    let products: Vec<ProductId> = best.iter().map(|(product, _)| *product).collect();
    let currencies: Vec<Currency> = currencies.iter().map(|code| code.0).collect();
    let revenue = board.revenue(&products, &currencies).await?;
    let mut revenue = revenue.chunks(currencies.len().max(1));
    let top = |(product_id, units)| {
        let amounts = revenue.next().unwrap_or_default();
        let revenue = currencies.iter().zip(amounts).filter(|(_, amount)| **amount != 0);
        TopProduct { product_id, units, revenue: revenue.map(|(currency, amount)| (Code(*currency), *amount)).collect() }
    };
    Ok(best.into_iter().map(top).collect())
}
