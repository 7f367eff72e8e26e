//! What streams have beside their views: entries of lists, and unique values.
//!
//! A view and its entries are written in one call, so where both generations have the same version of a view they have to have
//! the same entries. What is not at the same version all the time must still be equal at some look.

use events::StreamId;
use read_model::{Slot, index};

use super::{CompareError, Comparing, Differences, HeldSample, Side, count};
use crate::outbound::redis::parts::{Held, Seen};

/// Something that one side has.
struct Item {
    held: Held,
    partition: u32,
    /// Whose it is; none when it does not say.
    stream: Option<StreamId>,
    /// What lies there.
    value: Option<String>,
}

impl Item {
    fn sample(&self, live: Option<String>, new: Option<String>) -> HeldSample {
        let (Held::Entry { list: name, .. } | Held::Owned { hash: name, .. }) = &self.held;
        HeldSample { name: name.clone(), partition: self.partition, stream: self.stream, live, new }
    }

    /// Whether time will not change that they differ.
    fn is_settled(&self, live: &Seen, new: &Seen) -> bool {
        let is_level = live.version().is_some() && live.version() == new.version();
        match self.held {
            Held::Entry { .. } => is_level,
            // With two owners it depends on the other one's version, too.
            Held::Owned { .. } => is_level && (live.value.is_none() || new.value.is_none()),
        }
    }
}

impl Comparing {
    /// Compares a list that one side has.
    pub(super) async fn list(
        &self,
        side: Side,
        partition: u32,
        list: &str,
        part: &mut Differences<HeldSample>,
    ) -> Result<(), CompareError> {
        let slot = self.slot(side, partition);
        let mut cursor = 0;
        loop {
            let (next, members) = self.store.scan_list(&slot, list, cursor).await?;
            let item = |member: String| Item {
                partition,
                stream: index::id_of(member.as_bytes()),
                // What Redis says for the score that every member has.
                value: Some("0".to_owned()),
                held: Held::Entry { list: list.to_owned(), member },
            };
            self.held(side, members.into_iter().map(item).collect(), part).await?;
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// Compares a hash of owners that one side has.
    pub(super) async fn owners(
        &self,
        side: Side,
        partition: u32,
        hash: &str,
        part: &mut Differences<HeldSample>,
    ) -> Result<(), CompareError> {
        let slot = self.slot(side, partition);
        let mut cursor = 0;
        loop {
            let (next, owners) = self.store.scan_owners(&slot, hash, cursor).await?;
            let item = |(value, owner): (String, String)| Item {
                partition,
                stream: owner.parse().ok(),
                value: Some(owner),
                held: Held::Owned { hash: hash.to_owned(), value },
            };
            self.held(side, owners.into_iter().map(item).collect(), part).await?;
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    async fn held(&self, side: Side, mut items: Vec<Item>, part: &mut Differences<HeldSample>) -> Result<(), CompareError> {
        if side == Side::Live {
            part.compared += count(items.len());
        }
        let other = match side {
            Side::Live => Side::New,
            Side::New => Side::Live,
        };
        let places: Vec<_> = items.iter().map(|item| (self.place(side, other, item), &item.held)).collect();
        let found = self.store.held(&places).await?;
        let mut found = found.into_iter();
        items.retain(|item| found.next().flatten() != item.value);
        let (mut wait, mut is_over) = (None, false);
        while !items.is_empty() {
            let (live, new) = tokio::try_join!(self.seen(side, Side::Live, &items), self.seen(side, Side::New, &items))?;
            let mut still = Vec::new();
            for ((item, live), new) in items.into_iter().zip(live).zip(new) {
                if live.value == new.value {
                    continue;
                }
                if is_over || item.is_settled(&live, &new) {
                    let is_in = (live.value.is_some(), new.value.is_some());
                    part.count(side, is_in, || item.sample(live.value, new.value));
                } else {
                    still.push(item);
                }
            }
            items = still;
            if !items.is_empty() {
                is_over = self.pause(&mut wait).await?;
            }
        }
        Ok(())
    }

    async fn seen(&self, met: Side, side: Side, items: &[Item]) -> Result<Vec<Seen>, CompareError> {
        let places: Vec<_> =
            items.iter().map(|item| (self.place(met, side, item), item.stream.unwrap_or_default(), &item.held)).collect();
        Ok(self.store.seen(&places).await?)
    }

    /// Where an item that was met on one side has to be on a side.
    fn place(&self, met: Side, side: Side, item: &Item) -> Slot {
        let (from, to) = (self.generation(met), self.generation(side));
        let partition = match item.stream {
            Some(stream) if from.partitions != to.partitions => to.partition_of(stream),
            _ => item.partition,
        };
        self.slot(side, partition)
    }
}
