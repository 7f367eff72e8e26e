//! Statistics add up over the partitions.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use events::{Context, Currency, ProductId};
use fastrand::Rng;
use read_model::{
    Generation, Slot,
    stats::{DAYS, DayCounter, DayField, PRODUCT_REVENUE, PRODUCT_UNITS, revenue_field},
};
use serde_json::{Value, json};

use crate::harness::{Shop, eventually, samples::id, staff};

const GENERATION: Generation = Generation { number: 1, partitions: 7, projection: 1 };

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2010, 12, day).unwrap()
}

impl Shop {
    fn partition(&self, partition: u32) -> Slot {
        Slot::new(&self.prefix, GENERATION, Context::Orders, partition)
    }

    async fn count(&self, partition: u32, day: u32, counter: DayCounter, number: i64) {
        let field = DayField { day: date(day), counter }.to_string();
        let key = self.partition(partition).counters(DAYS);
        self.command(redis::cmd("HINCRBY").arg(key).arg(field).arg(number)).await;
    }

    async fn sell(&self, sales: &[(u32, ProductId, i64)]) {
        let mut pipeline = redis::pipe();
        for (partition, product, units) in sales {
            let slot = self.partition(*partition);
            let member = product.0.simple().to_string();
            pipeline.cmd("ZINCRBY").arg(slot.counters(PRODUCT_UNITS)).arg(units).arg(member).ignore();
            let field = revenue_field(*product, Currency::GBP);
            pipeline.cmd("HINCRBY").arg(slot.counters(PRODUCT_REVENUE)).arg(field).arg(units * 3).ignore();
        }
        pipeline.exec_async(&mut self.redis.clone()).await.unwrap();
    }

    async fn stats(&self, query: &str) -> Value {
        let answer = self.get(&format!("/v1/stats{query}"), &staff()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

fn revenue(gross: i64, refunds: i64) -> Value {
    json!({"gross": gross, "refunds": refunds, "net": gross - refunds})
}

#[tokio::test]
async fn days_and_totals_are_the_sums_of_the_partitions() {
    let shop = Shop::open().await;
    for partition in 0..7 {
        shop.count(partition, 1, DayCounter::Orders, 2).await;
        shop.count(partition, 1, DayCounter::Units, 10).await;
        shop.count(partition, 1, DayCounter::Gross(Currency::GBP), 1_000).await;
    }
    shop.count(2, 1, DayCounter::Cancelled, 1).await;
    shop.count(5, 3, DayCounter::ReturnedUnits, 4).await;
    shop.count(5, 3, DayCounter::Refunds(Currency::GBP), 400).await;
    shop.count(6, 3, DayCounter::Gross(Currency::EUR), 50).await;
    // Counted and taken back again: nothing happened.
    shop.count(1, 2, DayCounter::Orders, 0).await;
    shop.count(1, 2, DayCounter::Gross(Currency::GBP), 0).await;
    let first = json!({"day": "2010-12-01", "orders": 14, "cancelled": 1, "units": 70, "returned_units": 0,
        "revenue": {"GBP": revenue(7_000, 0)}});
    let third = json!({"day": "2010-12-03", "orders": 0, "cancelled": 0, "units": 0, "returned_units": 4,
        "revenue": {"EUR": revenue(50, 0), "GBP": revenue(0, 400)}});
    let all = shop.stats("").await;
    assert_eq!(all["days"], json!([first, third]));
    let revenues = json!({"EUR": revenue(50, 0), "GBP": revenue(7_000, 400)});
    assert_eq!(all["totals"], json!({"orders": 14, "cancelled": 1, "units": 70, "returned_units": 4, "revenue": revenues}));
    for (query, days) in [
        ("?from=2010-12-01&to=2010-12-01", vec![&first]),
        ("?from=2010-12-02", vec![&third]),
        ("?to=2010-12-02", vec![&first]),
        ("?from=2010-12-02&to=2010-12-02", vec![]),
        ("?from=2010-12-01&to=2010-12-03", vec![&first, &third]),
    ] {
        assert_eq!(shop.stats(query).await["days"], json!(days), "{query}");
    }
    let third_only = shop.stats("?from=2010-12-03").await;
    assert_eq!(third_only["totals"]["revenue"]["GBP"]["net"], -400);
}

#[tokio::test]
async fn nothing_sold_is_nothing() {
    let shop = Shop::open().await;
    let empty = json!({"orders": 0, "cancelled": 0, "units": 0, "returned_units": 0, "revenue": {}});
    assert_eq!(shop.stats("").await, json!({"totals": empty, "days": [], "top_products": []}));
}

#[tokio::test]
async fn top_products_are_exact_however_sales_are_spread() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let shop = Shop::open().await;
    shop.count(0, 1, DayCounter::Gross(Currency::GBP), 1).await;
    // Three shapes: sold in one partition only, evenly in all, and a middling seller everywhere that no partition has
    // among its best, but that is the best of all.
    let mut sold: BTreeMap<ProductId, i64> = BTreeMap::new();
    let mut sales = Vec::new();
    for number in 0..3_500 {
        let product = ProductId(id(number));
        if number < 3_000 {
            sales.push((random.u32(..7), product, random.i64(100..400)));
        } else {
            let units = random.i64(1..60);
            sales.extend((0..7).map(|partition| (partition, product, units)));
        }
    }
    let everywhere = ProductId(id(5_000));
    sales.extend((0..7).map(|partition| (partition, everywhere, 70)));
    for (_, product, units) in &sales {
        *sold.entry(*product).or_default() += units;
    }
    // Returned to the last piece: no top product, though it is still there with nothing.
    sales.push((0, ProductId(id(6_000)), 0));
    shop.sell(&sales).await;
    let mut expected: Vec<i64> = sold.values().copied().collect();
    expected.sort_unstable_by_key(|units| std::cmp::Reverse(*units));
    for (query, count) in [("", 10), ("?top=1", 1), ("?top=0", 0), ("?top=100", 100)] {
        let stats = shop.stats(query).await;
        let top = stats["top_products"].as_array().unwrap();
        let units: Vec<i64> = top.iter().map(|product| product["units"].as_i64().unwrap()).collect();
        assert_eq!(units, expected[..count], "{query}");
        for product in top {
            let id = product["product_id"].as_str().unwrap().parse().unwrap();
            assert_eq!(product["units"], sold[&id], "{id}");
            assert_eq!(product["revenue"]["GBP"], sold[&id] * 3, "{id}");
        }
    }
}

#[tokio::test]
async fn statistics_are_a_second_old_at_most() {
    let shop = Shop::open().await;
    shop.count(0, 1, DayCounter::Orders, 1).await;
    assert_eq!(shop.stats("").await["totals"]["orders"], 1);
    shop.count(0, 1, DayCounter::Orders, 1).await;
    eventually(async || shop.stats("").await["totals"]["orders"] == 2).await;
}
