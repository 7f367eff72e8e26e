//! How long what differs is looked at again before it counts.

use std::time::Duration;

use tokio::time::Instant;

use super::{CompareError, Comparing};
use crate::outbound::redis::generations::Position;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long, at least.
const SETTLE: Duration = Duration::from_secs(5);
/// How long one generation may take to get to where the other was: it stands still while the live one is behind.
const LONGEST: Duration = Duration::from_secs(60);

/// Since when something differs.
pub(super) struct Wait {
    since: Instant,
    live: Vec<Option<Position>>,
    new: Vec<Option<Position>>,
}

impl Comparing {
    /// The pause before the next look, and whether what that finds is final: both generations have got to where either of
    /// them was when the wait began.
    pub(super) async fn pause(&self, wait: &mut Option<Wait>) -> Result<bool, CompareError> {
        let Some(begun) = wait else {
            let (live, new) = self.positions().await?;
            *wait = Some(Wait { since: Instant::now(), live, new });
            tokio::time::sleep(LOOK).await;
            return Ok(false);
        };
        tokio::time::sleep(LOOK).await;
        let waited = begun.since.elapsed();
        if waited < SETTLE || waited >= LONGEST {
            return Ok(waited >= LONGEST);
        }
        let (live, new) = self.positions().await?;
        Ok(has_reached(&live, &begun.new) && has_reached(&new, &begun.live))
    }

    async fn positions(&self) -> Result<(Vec<Option<Position>>, Vec<Option<Position>>), CompareError> {
        let positions = |generation| self.store.positions(self.context, generation);
        Ok(tokio::try_join!(positions(self.live), positions(self.new))?)
    }
}

/// Whether no slot is behind where another was; what can't be compared is not.
fn has_reached(positions: &[Option<Position>], were: &[Option<Position>]) -> bool {
    let is_behind = |(is, was): (&Option<Position>, &Option<Position>)| match (is, was) {
        (Some(is), Some(was)) => is.cluster == was.cluster && is.offset < was.offset,
        _ => false,
    };
    positions.len() != were.len() || !positions.iter().zip(were).any(is_behind)
}
