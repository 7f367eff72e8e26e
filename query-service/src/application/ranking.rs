//! The best-selling products over all partitions, exactly, without reading all products.
//!
//! The threshold algorithm: take the best of every partition, and add up the exact scores of all those candidates. A
//! product that is among the best of no partition has at most the sum of the partitions' last scores; once the k-th
//! candidate reaches that, the first k are right. Otherwise look twice as deep.

use events::ProductId;

use crate::outbound::redis::{RedisReadError, ScoreBoard};

/// The first look goes this many times deeper than what is wanted: sales spread evenly over the partitions, so that the
/// sum of last scores at depth k is close to the k-th total.
const FIRST_DEPTH: usize = 2;

/// The `count` products of most pieces, with those; products of no pieces are left out.
pub async fn best(board: &ScoreBoard<'_>, count: usize) -> Result<Vec<(ProductId, i64)>, RedisReadError> {
    let mut depth = count.max(1) * FIRST_DEPTH;
    loop {
        let leaders = board.leaders(depth).await?;
        let units = board.units(&leaders.candidates).await?;
        let ranked = rank(leaders.candidates.into_iter().zip(units), count);
        let settled = ranked.get(count.saturating_sub(1)).is_some_and(|(_, units)| *units >= leaders.threshold);
        // No threshold: every partition has named all that it has.
        if settled || leaders.threshold <= 0 {
            return Ok(ranked);
        }
        depth *= 2;
    }
}

fn rank(products: impl Iterator<Item = (ProductId, i64)>, count: usize) -> Vec<(ProductId, i64)> {
    let mut ranked: Vec<_> = products.filter(|(_, units)| *units > 0).collect();
    ranked.sort_unstable_by_key(|(product, units)| (std::cmp::Reverse(*units), *product));
    ranked.truncate(count);
    ranked
}
