//! The arguments of the function in `apply.lua`.

use std::{fmt::Write, num::NonZeroUsize};

use events::StreamId;
use read_model::{Slot, stats};
use redis::Cmd;

use crate::{
    application::changes::Changes,
    projections::{Counter, IndexName},
};

/// The function's name; rises with any change of `apply.lua`, so that old and new processes can run side by side.
const FUNCTION: &str = "orderflow_apply_1";

/// Items of one operation: Lua's stack holds 8,000 values, and an item becomes two at most.
const ITEMS: usize = 2_000;

/// The keys before those of the operations.
const FIXED_KEYS: usize = 2;

#[derive(Default)]
struct Operations {
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

pub(super) fn build(slot: &Slot, rev: Option<u64>, cluster: &str, log_changes: NonZeroUsize, changes: &Changes) -> Cmd {
    let mut operations = Operations::default();
    operations.views(slot, &changes.views);
    operations.entries("remove", slot, &changes.removed);
    operations.entries("add", slot, &changes.added);
    operations.counters(slot, &changes.counters);
    operations.owners("release", slot, &changes.released);
    operations.owners("set", slot, &changes.claimed);
    let parked = changes
        .parked
        .iter()
        .map(|(stream, parked)| (stream.simple().to_string().into_bytes(), serde_json::to_vec(parked).unwrap_or_default()));
    operations.pairs("set", &slot.parked(), parked);

    let log = if changes.log.is_empty() { String::new() } else { serde_json::to_string(&changes.log).unwrap_or_default() };
    let entries = (log_changes.get() / changes.log.len().max(1)).max(1);
    let size = operations.keys.iter().chain(&operations.args).map(Vec::len).sum::<usize>() + log.len() + 256;
    let mut call = Cmd::with_capacity(operations.keys.len() + operations.args.len() + 13, size);
    call.arg("FCALL").arg(FUNCTION).arg(operations.keys.len() + FIXED_KEYS);
    call.arg(slot.state()).arg(slot.log());
    for key in &operations.keys {
        call.arg(key.as_slice());
    }
    call.arg(rev.map_or_else(String::new, |rev| rev.to_string())).arg(rev.unwrap_or(0) + 1);
    call.arg(changes.offset).arg(cluster).arg(changes.events).arg(changes.at).arg(entries).arg(log);
    for arg in &operations.args {
        call.arg(arg.as_slice());
    }
    call
}

impl Operations {
    fn begin(&mut self, name: &str, items: usize) {
        let first_key = FIXED_KEYS + self.keys.len() + 1;
        self.args.extend([name.as_bytes().to_vec(), first_key.to_string().into_bytes(), items.to_string().into_bytes()]);
    }

    fn views(&mut self, slot: &Slot, views: &[(StreamId, Vec<u8>)]) {
        for views in views.chunks(ITEMS) {
            self.begin("views", views.len());
            for (stream, bytes) in views {
                self.keys.push(slot.view(*stream).into_bytes());
                self.args.push(bytes.clone());
            }
        }
    }

    fn items(&mut self, name: &str, key: &str, items: &[Vec<u8>]) {
        for items in items.chunks(ITEMS) {
            self.begin(name, items.len());
            self.keys.push(key.as_bytes().to_vec());
            self.args.extend_from_slice(items);
        }
    }

    fn pairs(&mut self, name: &str, key: &str, pairs: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
        let items: Vec<Vec<u8>> = pairs.flat_map(|(field, value)| [field, value]).collect();
        self.items(name, key, &items);
    }

    fn entries(&mut self, name: &str, slot: &Slot, entries: &[(IndexName, String)]) {
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_unstable_by_key(|(index, _)| *index);
        let mut key = String::new();
        for of_index in entries.chunk_by(|left, right| left.0 == right.0) {
            key.clear();
            // Writing to a string does not fail.
            let _ = write!(key, "{}", of_index[0].0);
            let members: Vec<Vec<u8>> = of_index.iter().map(|(_, member)| member.clone().into_bytes()).collect();
            self.items(name, &slot.index(&key), &members);
        }
    }

    fn counters(&mut self, slot: &Slot, counters: &[(Counter, i64)]) {
        let (mut days, mut units, mut revenue) = (Vec::new(), Vec::new(), Vec::new());
        for (counter, amount) in counters {
            let amount = amount.to_string().into_bytes();
            match counter {
                Counter::Day(field) => days.push((field.to_string().into_bytes(), amount)),
                Counter::ProductUnits(product) => units.push((product.0.simple().to_string().into_bytes(), amount)),
                Counter::ProductRevenue(product, currency) => {
                    revenue.push((stats::revenue_field(*product, *currency).into_bytes(), amount));
                }
            }
        }
        self.pairs("count", &slot.counters(stats::DAYS), days.into_iter());
        self.pairs("score", &slot.counters(stats::PRODUCT_UNITS), units.into_iter());
        self.pairs("count", &slot.counters(stats::PRODUCT_REVENUE), revenue.into_iter());
    }

    fn owners(&mut self, name: &str, slot: &Slot, owners: &[(&'static str, String, StreamId)]) {
        let mut hashes: Vec<&'static str> = owners.iter().map(|(hash, ..)| *hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        for hash in hashes {
            let of_hash = owners.iter().filter(|(of, ..)| *of == hash);
            let pairs = of_hash.map(|(_, value, stream)| (value.clone().into_bytes(), stream.simple().to_string().into_bytes()));
            self.pairs(name, &slot.owners(hash), pairs);
        }
    }
}
