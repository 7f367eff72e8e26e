//! Counters, partition by partition.
//!
//! A counter has no version. But a slot has counted exactly the events before its offset, so when both slots are at the same
//! offset their counters have to be equal. Under load that moment may not be met; then a difference that stays the same
//! while everything moves is one, and one that comes and goes is the events in between.

use read_model::stats;

use super::{CompareError, Comparing, CounterSample, Differences, Side, count};

struct Moving {
    field: String,
    /// The first difference; none when it was not the same at every look.
    first: Option<i64>,
    was_equal: bool,
}

impl Comparing {
    /// Compares all counters that one side has.
    pub(super) async fn counters(&self, side: Side, part: &mut Differences<CounterSample>) -> Result<(), CompareError> {
        if self.live.partitions != self.new.partitions {
            return Ok(());
        }
        for partition in 0..self.live.partitions {
            for name in [stats::DAYS, stats::PRODUCT_UNITS, stats::PRODUCT_REVENUE] {
                let slot = self.slot(side, partition);
                let mut cursor = 0;
                loop {
                    let (next, fields) = self.store.scan_counters(&slot, name, cursor).await?;
                    if side == Side::Live {
                        part.compared += count(fields.len());
                    }
                    self.some_counters(side, partition, name, fields, part).await?;
                    cursor = next;
                    if cursor == 0 {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn some_counters(
        &self,
        side: Side,
        partition: u32,
        name: &'static str,
        fields: Vec<String>,
        part: &mut Differences<CounterSample>,
    ) -> Result<(), CompareError> {
        let (of_live, of_new) = (self.slot(Side::Live, partition), self.slot(Side::New, partition));
        let (mut wait, mut is_over, mut is_first) = (None, false, true);
        let mut moving: Vec<_> = fields.into_iter().map(|field| Moving { field, first: None, was_equal: false }).collect();
        while !moving.is_empty() {
            let fields: Vec<String> = moving.iter().map(|counter| counter.field.clone()).collect();
            let snapshot = |slot| self.store.snapshot(slot, name, &fields);
            let (live, new) = tokio::try_join!(snapshot(&of_live), snapshot(&of_new))?;
            let is_level = live.at == new.at && live.at.1.is_some();
            let mut still = Vec::new();
            for ((mut counter, live), new) in moving.into_iter().zip(live.values).zip(new.values) {
                let is_equal = text(live.as_ref()) == text(new.as_ref());
                if is_equal && (is_first || is_level) {
                    continue;
                }
                counter.look(is_first, is_equal, (live.as_ref(), new.as_ref()));
                if is_level || is_over && counter.first.is_some() && !counter.was_equal {
                    let sample = || CounterSample {
                        name,
                        partition,
                        field: counter.field,
                        live: text(live.as_ref()).to_owned(),
                        new: text(new.as_ref()).to_owned(),
                    };
                    part.count(side, (live.is_some(), new.is_some()), sample);
                } else if is_over {
                    part.undecided += u64::from(side == Side::Live && !counter.was_equal);
                } else {
                    still.push(counter);
                }
            }
            (moving, is_first) = (still, false);
            if !moving.is_empty() {
                is_over = self.pause(&mut wait).await?;
            }
        }
        Ok(())
    }
}

impl Moving {
    fn look(&mut self, is_first: bool, is_equal: bool, (live, new): (Option<&String>, Option<&String>)) {
        self.was_equal |= is_equal;
        let difference = || text(live).parse::<i64>().ok()?.checked_sub(text(new).parse().ok()?);
        self.first = if is_first { difference() } else { self.first.filter(|first| difference() == Some(*first)) };
    }
}

/// A counter that is not there is zero.
fn text(value: Option<&String>) -> &str {
    value.map_or("0", String::as_str)
}
