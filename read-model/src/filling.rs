//! How far a slot is that is filled from the event store, because the topic does not reach back to where the slot is: the
//! field `filling` of [`crate::Slot::state`], as JSON; absent or empty when it is not filled that way (any more).

use serde::{Deserialize, Serialize};

/// A slot that is filled from the event store, lane by lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filling {
    /// Where the topic is read on once the slot has all lanes: the end of its log, looked at before the lanes were.
    pub offset: i64,
    /// The `seq` of each lane's last event when it was begun.
    pub heads: Vec<u64>,
    /// The `seq` up to which the slot has each lane.
    pub lanes: Vec<u64>,
}

impl Filling {
    /// Nothing is there yet of lanes with these heads.
    #[must_use]
    pub fn begin(offset: i64, heads: Vec<u64>) -> Self {
        let lanes = vec![0; heads.len()];
        Self { offset, heads, lanes }
    }

    /// What is there is there; now it goes on up to these heads, and with the topic at this offset.
    #[must_use]
    pub fn extended(&self, offset: i64, heads: Vec<u64>) -> Self {
        let mut lanes = self.lanes.clone();
        lanes.resize(heads.len(), 0);
        Self { offset, heads, lanes }
    }

    /// Whether something of a lane lacks.
    #[must_use]
    pub fn lacks(&self, lane: usize) -> bool {
        self.lanes.get(lane) < self.heads.get(lane)
    }

    /// Whether nothing lacks any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !(0..self.heads.len()).any(|lane| self.lacks(lane))
    }

    /// The slot has the lane up to this `seq`.
    pub fn reach(&mut self, lane: usize, seq: u64) {
        if let Some(reached) = self.lanes.get_mut(lane) {
            *reached = seq.max(*reached);
        }
    }

    /// Events that the slot has been given, and those that it will be: its own, and those of other slots that it passes over.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.lanes.iter().zip(&self.heads).map(|(reached, head)| reached.min(head)).sum(), self.heads.iter().sum())
    }

    /// The share of so many log positions that is as good as read.
    #[must_use]
    pub fn share_of(&self, positions: u64) -> u64 {
        let (done, all) = self.progress();
        let share = u128::from(positions) * u128::from(done) / u128::from(all.max(1));
        u64::try_from(share).unwrap_or(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_every_lane_has_its_head() {
        let mut filling = Filling::begin(40, vec![10, 0, 30]);
        assert!(filling.lacks(0) && !filling.lacks(1) && !filling.lacks(3) && !filling.is_over());
        filling.reach(2, 30);
        filling.reach(2, 12);
        assert_eq!((filling.share_of(40), filling.progress()), (30, (30, 40)));
        // More than was promised.
        filling.reach(0, 15);
        assert!(filling.is_over() && filling.share_of(40) == 40);
        let further = filling.extended(50, vec![20, 3, 31, 1]);
        assert_eq!((further.offset, further.lanes.as_slice(), further.is_over()), (50, &[15, 0, 30, 0][..], false));
        assert!(Filling::begin(0, vec![0, 0]).is_over() && Filling::begin(7, Vec::new()).is_over());
        assert_eq!(serde_json::from_str::<Filling>(&serde_json::to_string(&further).unwrap()).unwrap(), further);
    }
}
