//! Counters of the shop, added up over the partitions.

use std::collections::HashMap;

use ::redis::{FromRedisValue, Pipeline};
use events::{Context, Currency, ProductId};
use read_model::{
    Slot,
    stats::{DAYS, DayField, PRODUCT_REVENUE, PRODUCT_UNITS, revenue_field},
};

use super::{Link, RedisReadError};

/// The counters of one generation, as it was resolved for one computation.
pub struct ScoreBoard<'a> {
    link: &'a Link,
    slots: Vec<Slot>,
}

/// The best of every partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leaders {
    /// Products among the best of some partition.
    pub candidates: Vec<ProductId>,
    /// No product outside `candidates` has more pieces than this.
    pub threshold: i64,
}

impl Link {
    /// The counters of the generation that is read now.
    pub async fn score_board(&self) -> Result<ScoreBoard<'_>, RedisReadError> {
        let generation = self.session().await?.generations()?.of(Context::Orders)?;
        Ok(ScoreBoard { link: self, slots: generation.slots(&self.settings().prefix, Context::Orders).collect() })
    }
}

impl ScoreBoard<'_> {
    /// Fails unless all orders are there.
    async fn whole<T: FromRedisValue>(&self, commands: impl FnOnce(&mut Pipeline)) -> Result<T, RedisReadError> {
        self.link.run_whole(Context::Orders, &self.slots, commands).await
    }

    /// Every day's counters, partition by partition; a field may come once a partition.
    pub async fn days(&self) -> Result<Vec<(DayField, i64)>, RedisReadError> {
        let partitions: Vec<HashMap<String, i64>> = self
            .whole(|pipeline| {
                for slot in &self.slots {
                    pipeline.cmd("HGETALL").arg(slot.counters(DAYS));
                }
            })
            .await?;
        let parse = |(field, count): (String, i64)| match DayField::parse(&field) {
            Some(parsed) => Ok((parsed, count)),
            None => Err(RedisReadError::Malformed(format!("statistics field {field}"))),
        };
        partitions.into_iter().flatten().map(parse).collect()
    }

    /// The `depth` products of most pieces in each partition.
    pub async fn leaders(&self, depth: usize) -> Result<Leaders, RedisReadError> {
        let partitions: Vec<Vec<(String, f64)>> = self
            .whole(|pipeline| {
                for slot in &self.slots {
                    pipeline.cmd("ZREVRANGE").arg(slot.counters(PRODUCT_UNITS)).arg(0).arg(depth.saturating_sub(1));
                    pipeline.arg("WITHSCORES");
                }
            })
            .await?;
        let mut leaders = Leaders::default();
        for partition in partitions {
            // A partition that gave fewer has no others: what it did not name, it does not have.
            if partition.len() >= depth
                && let Some((_, last)) = partition.last()
            {
                leaders.threshold += whole(*last);
            }
            for (member, _) in partition {
                let product = member.parse().map_err(|_| RedisReadError::Malformed(format!("product {member}")))?;
                leaders.candidates.push(product);
            }
        }
        leaders.candidates.sort_unstable();
        leaders.candidates.dedup();
        Ok(leaders)
    }

    /// The pieces of each product.
    pub async fn units(&self, products: &[ProductId]) -> Result<Vec<i64>, RedisReadError> {
        if products.is_empty() {
            return Ok(Vec::new());
        }
        let members: Vec<String> = products.iter().map(|product| product.0.simple().to_string()).collect();
        let partitions: Vec<Vec<Option<f64>>> = self
            .whole(|pipeline| {
                for slot in &self.slots {
                    pipeline.cmd("ZMSCORE").arg(slot.counters(PRODUCT_UNITS)).arg(&members);
                }
            })
            .await?;
        Ok(sums(products.len(), partitions.into_iter().map(|scores| scores.into_iter().map(|score| score.map_or(0, whole)))))
    }

    /// The revenue of each product, by product and then by currency, in minor units.
    pub async fn revenue(&self, products: &[ProductId], currencies: &[Currency]) -> Result<Vec<i64>, RedisReadError> {
        let fields: Vec<String> =
            products.iter().flat_map(|product| currencies.iter().map(|currency| revenue_field(*product, *currency))).collect();
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let partitions: Vec<Vec<Option<i64>>> = self
            .whole(|pipeline| {
                for slot in &self.slots {
                    pipeline.cmd("HMGET").arg(slot.counters(PRODUCT_REVENUE)).arg(&fields);
                }
            })
            .await?;
        Ok(sums(fields.len(), partitions.into_iter().map(|amounts| amounts.into_iter().map(Option::unwrap_or_default))))
    }
}

fn sums(length: usize, rows: impl Iterator<Item = impl Iterator<Item = i64>>) -> Vec<i64> {
    let mut sums = vec![0_i64; length];
    for row in rows {
        for (sum, number) in sums.iter_mut().zip(row) {
            *sum = sum.saturating_add(number);
        }
    }
    sums
}

/// Pieces are counted by `ZINCRBY` in doubles, which are exact for whole numbers up to 2^53.
#[expect(clippy::cast_possible_truncation, reason = "a count of pieces is a whole number below 2^53")]
fn whole(score: f64) -> i64 {
    score as i64
}
