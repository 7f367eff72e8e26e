//! What the query service answers to `GET /v1/stats`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::recount::Day;

/// The currency of the file.
const CURRENCY: &str = "GBP";

/// The statistics by day.
#[derive(Debug, Default)]
pub struct Served {
    /// Each day on which something happened.
    pub days: BTreeMap<String, Day>,
}

#[derive(Deserialize)]
struct Stats {
    totals: Counts,
    days: Vec<DayCounts>,
}

#[derive(Deserialize)]
struct DayCounts {
    day: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Deserialize)]
struct Counts {
    orders: i64,
    units: i64,
    returned_units: i64,
    revenue: BTreeMap<String, Revenue>,
}

#[derive(Deserialize)]
struct Revenue {
    gross: i64,
    refunds: i64,
    net: i64,
}

impl Served {
    /// Reads an answer; fails when it contradicts itself.
    pub fn read(answer: Value) -> Result<Self> {
        let stats: Stats = serde_json::from_value(answer).context("the answer to /v1/stats has another shape")?;
        let mut days = BTreeMap::new();
        let mut sum = Day::default();
        for DayCounts { day, counts } in stats.days {
            let counted = counts.day().with_context(|| format!("the statistics of {day}"))?;
            sum = sum.plus(&counted);
            ensure!(days.insert(day.clone(), counted).is_none(), "the statistics have {day} twice");
        }
        let totals = stats.totals.day().context("the statistics' totals")?;
        ensure!(totals == sum, "the statistics' totals {totals:?} are not the sum of their days {sum:?}");
        Ok(Self { days })
    }
}

impl Counts {
    fn day(&self) -> Result<Day> {
        let mut day = Day {
            orders: self.orders.into(),
            units: self.units.into(),
            returned_units: self.returned_units.into(),
            ..Day::default()
        };
        for (currency, revenue) in &self.revenue {
            ensure!(currency == CURRENCY, "there is revenue in {currency}: these days hold orders that the file has not");
            ensure!(revenue.net == revenue.gross - revenue.refunds, "net is not gross less refunds");
            day.gross += i128::from(revenue.gross);
            day.refunds += i128::from(revenue.refunds);
        }
        Ok(day)
    }
}
