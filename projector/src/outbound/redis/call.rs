//! The arguments of the function in `apply.lua`.

use std::{borrow::Cow, num::NonZeroUsize};

use events::StreamId;
use read_model::{Slot, keys::Parked, stats};
use redis::Cmd;

use super::{Step, parts::Held};
use crate::{
    application::{
        audit::orphans::Orphan,
        changes::{Changes, Fill},
    },
    projections::{Counter, IndexName},
};

/// The function's name; rises with any change of `apply.lua`, so that old and new processes can run side by side.
pub const FUNCTION: &str = "orderflow_apply_4";

/// Items of one operation, even because some are pairs. Lua's stack holds 8,000 values, and an item becomes two at most.
const ITEMS: usize = 2_000;

/// The keys before those of the operations.
const FIXED_KEYS: usize = 2;

#[derive(Default)]
struct Operations<'a> {
    keys: Vec<String>,
    args: Vec<Cow<'a, [u8]>>,
}

pub(super) fn build(slot: &Slot, step: Step, cluster: &str, log_changes: NonZeroUsize, changes: &Changes) -> Cmd {
    let mut operations = Operations::default();
    operations.views(slot, &changes.views);
    operations.dropped(slot, &changes.dropped);
    operations.entries("remove", slot, &changes.removed);
    operations.entries("add", slot, &changes.added);
    for name in [stats::DAYS, stats::PRODUCT_UNITS, stats::PRODUCT_REVENUE] {
        operations.totals(name, &slot.counters(name), &changes.totals);
    }
    operations.owners("release", slot, &changes.released);
    operations.owners("set", slot, &changes.claimed);
    operations.orphans(slot, &changes.orphans);
    operations.parked(&slot.parked(), &changes.parked);
    let handed = changes.handed_over.iter().map(|stream| owned(stream.simple().to_string()));
    operations.items("delete", &slot.handed_over(), handed.collect());
    let unparked = changes.unparked.iter().map(|stream| owned(stream.simple().to_string()));
    operations.items("delete", &slot.parked(), unparked.collect());
    let answers = changes.answers.iter().flat_map(|(id, json)| [owned(id.simple().to_string()), Cow::Borrowed(json.as_slice())]);
    operations.items("set", &slot.redrives(), answers.collect());
    let done = changes.operations.iter().flat_map(|(field, value)| [owned(field.as_str()), Cow::Borrowed(value.as_slice())]);
    operations.items("set", &slot.operations(), done.collect());
    let streams = |streams: &[StreamId]| streams.iter().map(|stream| owned(stream.simple().to_string())).collect();
    operations.items("add", &slot.claims(), streams(&changes.to_claim));
    operations.items("remove", &slot.claims(), streams(&changes.have_claimed));
    operations.filling(slot, &changes.filling);

    let log = if changes.log.is_empty() { String::new() } else { serde_json::to_string(&changes.log).unwrap_or_default() };
    let entries = (log_changes.get() / changes.log.len().max(1)).max(1);
    let keys = operations.keys.iter().map(String::len).sum::<usize>();
    let args = operations.args.iter().map(|arg| arg.len()).sum::<usize>();
    let mut call = Cmd::with_capacity(operations.keys.len() + operations.args.len() + 14, keys + args + log.len() + 256);
    call.arg("FCALL").arg(FUNCTION).arg(operations.keys.len() + FIXED_KEYS);
    call.arg(slot.state()).arg(slot.log());
    for key in &operations.keys {
        call.arg(key);
    }
    call.arg(step.from.map_or_else(String::new, |rev| rev.to_string())).arg(step.to);
    call.arg(changes.offset).arg(cluster).arg(changes.events).arg(changes.at);
    call.arg(changes.goal.map_or_else(String::new, |goal| goal.to_string())).arg(entries).arg(log);
    for arg in &operations.args {
        call.arg(arg.as_ref());
    }
    call
}

/// Where a counter is: its key's name, and field or member.
pub(super) fn counter(counter: &Counter) -> (&'static str, String) {
    match counter {
        Counter::Day(field) => (stats::DAYS, field.to_string()),
        Counter::ProductUnits(product) => (stats::PRODUCT_UNITS, product.0.simple().to_string()),
        Counter::ProductRevenue(product, currency) => (stats::PRODUCT_REVENUE, stats::revenue_field(*product, *currency)),
    }
}

fn owned<'a>(text: impl Into<String>) -> Cow<'a, [u8]> {
    Cow::Owned(text.into().into_bytes())
}

impl<'a> Operations<'a> {
    fn begin(&mut self, name: &'static str, items: usize) {
        let first_key = FIXED_KEYS + self.keys.len() + 1;
        self.args.extend([Cow::Borrowed(name.as_bytes()), owned(first_key.to_string()), owned(items.to_string())]);
    }

    fn views(&mut self, slot: &Slot, views: &'a [(StreamId, Vec<u8>)]) {
        for views in views.chunks(ITEMS) {
            self.begin("views", views.len());
            for (stream, bytes) in views {
                self.keys.push(slot.view(*stream));
                self.args.push(Cow::Borrowed(bytes));
            }
        }
    }

    fn filling(&mut self, slot: &Slot, filling: &Fill) {
        const FIELD: &[u8] = b"filling";
        match filling {
            Fill::Unchanged => {}
            Fill::At(filling) => {
                let json = serde_json::to_vec(filling).unwrap_or_default();
                self.items("set", &slot.state(), vec![Cow::Borrowed(FIELD), Cow::Owned(json)]);
            }
            Fill::Over => self.items("delete", &slot.state(), vec![Cow::Borrowed(FIELD)]),
        }
    }

    fn dropped(&mut self, slot: &Slot, streams: &[StreamId]) {
        for streams in streams.chunks(ITEMS) {
            self.begin("drop", streams.len());
            for stream in streams {
                self.keys.push(slot.view(*stream));
                self.args.push(Cow::Borrowed(b""));
            }
        }
    }

    fn items(&mut self, name: &'static str, key: &str, items: Vec<Cow<'a, [u8]>>) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let some: Vec<_> = items.by_ref().take(ITEMS).collect();
            self.begin(name, some.len());
            self.keys.push(key.to_owned());
            self.args.extend(some);
        }
    }

    fn entries(&mut self, name: &'static str, slot: &Slot, entries: &'a [(IndexName, String)]) {
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_unstable_by_key(|(index, _)| *index);
        for of_index in entries.chunk_by(|left, right| left.0 == right.0) {
            let members = of_index.iter().map(|(_, member)| Cow::Borrowed(member.as_bytes())).collect();
            self.items(name, &slot.index(&of_index[0].0.to_string()), members);
        }
    }

    fn totals(&mut self, name: &str, key: &str, totals: &[(Counter, i64)]) {
        let is_scored = name == stats::PRODUCT_UNITS;
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for (of, total) in totals {
            let (of, field) = counter(of);
            match (of == name, total) {
                (false, _) => {}
                (true, 0) => gone.push(owned(field)),
                (true, total) if is_scored => set.extend([owned(total.to_string()), owned(field)]),
                (true, total) => set.extend([owned(field), owned(total.to_string())]),
            }
        }
        self.items(if is_scored { "score" } else { "set" }, key, set);
        self.items(if is_scored { "remove" } else { "delete" }, key, gone);
    }

    fn owners(&mut self, name: &'static str, slot: &Slot, owners: &'a [(&'static str, String, StreamId)]) {
        let mut hashes: Vec<&'static str> = owners.iter().map(|(hash, ..)| *hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        for hash in hashes {
            let of_hash = owners.iter().filter(|(of, ..)| *of == hash);
            let pairs =
                of_hash.flat_map(|(_, value, stream)| [Cow::Borrowed(value.as_bytes()), owned(stream.simple().to_string())]);
            self.items(name, &slot.owners(hash), pairs.collect());
        }
    }

    fn orphans(&mut self, slot: &Slot, orphans: &'a [Orphan]) {
        for Orphan { held, value: found, .. } in orphans {
            match held {
                Held::Entry { list, member } => {
                    self.items("remove", &slot.index(list), vec![Cow::Borrowed(member.as_bytes())]);
                }
                Held::Owned { hash, value } => {
                    let pair = vec![Cow::Borrowed(value.as_bytes()), Cow::Borrowed(found.as_bytes())];
                    self.items("release", &slot.owners(hash), pair);
                }
            }
        }
    }

    fn parked(&mut self, key: &str, parked: &[(StreamId, Parked)]) {
        let json = |parked: &Parked| Cow::Owned(serde_json::to_vec(parked).unwrap_or_default());
        let pairs = parked.iter().flat_map(|(stream, parked)| [owned(stream.simple().to_string()), json(parked)]);
        self.items("set", key, pairs.collect());
    }
}
