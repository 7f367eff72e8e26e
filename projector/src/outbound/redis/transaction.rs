//! The commands that write a chunk.

use std::num::NonZeroUsize;

use events::StreamId;
use read_model::{Slot, stats};
use redis::{Pipeline, ToRedisArgs};

use super::parts::Held;
use crate::{
    application::changes::{Changes, Fill},
    projections::{Counter, IndexName},
};

/// A unique value that a stream gives up.
pub(super) struct Release<'a> {
    /// The hash that says whose it is.
    pub(super) hash: &'a str,
    /// The value: it may be personal.
    pub(super) value: &'a str,
    /// Whoever gives it up. Compare and delete: what another has claimed since is not theirs to release.
    pub(super) owner: String,
}

/// What the chunk gives up.
pub(super) fn releases(changes: &Changes) -> Vec<Release<'_>> {
    let given_up = changes.released.iter();
    let given_up = given_up.map(|(hash, value, stream)| Release { hash, value, owner: stream.simple().to_string() });
    let orphans = changes.orphans.iter().filter_map(|orphan| match &orphan.held {
        Held::Owned { hash, value } => Some(Release { hash, value, owner: orphan.value.clone() }),
        Held::Entry { .. } => None,
    });
    given_up.chain(orphans).collect()
}

/// The name of the key that a counter is in.
pub(super) fn place(counter: &Counter) -> &'static str {
    match counter {
        Counter::Day(_) => stats::DAYS,
        Counter::ProductUnits(_) => stats::PRODUCT_UNITS,
        Counter::ProductRevenue(..) => stats::PRODUCT_REVENUE,
    }
}

/// A counter's field, or member.
pub(super) fn field(counter: &Counter) -> String {
    match counter {
        Counter::Day(field) => field.to_string(),
        Counter::ProductUnits(product) => product.0.simple().to_string(),
        Counter::ProductRevenue(product, currency) => stats::revenue_field(*product, *currency),
    }
}

/// The writes of one chunk to one slot, in the order in which they are done.
pub(super) struct Writes<'a> {
    slot: &'a Slot,
    pipe: &'a mut Pipeline,
}

impl<'a> Writes<'a> {
    /// Commands are added to `pipe`, and what they answer is ignored.
    pub(super) fn new(slot: &'a Slot, pipe: &'a mut Pipeline) -> Self {
        Self { slot, pipe }
    }

    /// The checkpoint, and the revision that it makes.
    pub(super) fn checkpoint(&mut self, rev: u64, cluster: &str, changes: &Changes) {
        let goal = changes.goal.map_or_else(String::new, |goal| goal.to_string());
        self.pipe.cmd("HSET").arg(self.slot.state()).arg(("rev", rev)).arg(("offset", changes.offset)).arg(("cluster", cluster));
        self.pipe.arg(("events", changes.events)).arg(("at", changes.at)).arg(("goal", goal)).ignore();
        match &changes.filling {
            Fill::Unchanged => {}
            Fill::At(filling) => {
                let json = serde_json::to_string(filling).unwrap_or_default();
                self.on("HSET", &self.slot.state(), [("filling", json)]);
            }
            Fill::Over => self.on("HDEL", &self.slot.state(), ["filling"]),
        }
    }

    /// The change log, which keeps about `most` changes.
    pub(super) fn log(&mut self, changes: &Changes, most: NonZeroUsize) {
        if changes.log.is_empty() {
            return;
        }
        let json = serde_json::to_string(&changes.log).unwrap_or_default();
        let entries = (most.get() / changes.log.len()).max(1);
        self.pipe.cmd("XADD").arg(self.slot.log()).arg("MAXLEN").arg(entries).arg("*").arg(("changes", json)).ignore();
    }

    /// All that the chunk changes for readers and operators; of what it gives up, what is `released`.
    pub(super) fn changes(&mut self, changes: &Changes, released: &[Release<'_>]) {
        self.views(&changes.views);
        if !changes.dropped.is_empty() {
            let keys: Vec<_> = changes.dropped.iter().map(|stream| self.slot.view(*stream)).collect();
            self.pipe.cmd("UNLINK").arg(keys).ignore();
        }
        self.entries("ZREM", &changes.removed, |member| member);
        self.entries("ZADD", &changes.added, |member| (0, member));
        self.totals(&changes.totals);
        for release in released {
            self.on("HDEL", &self.slot.owners(release.hash), [release.value]);
        }
        for of_hash in changes.claimed.chunk_by(|left, right| left.0 == right.0) {
            let owners = of_hash.iter().map(|(_, value, stream)| (value, simple(stream)));
            self.on("HSET", &self.slot.owners(of_hash[0].0), owners);
        }
        for orphan in &changes.orphans {
            if let Held::Entry { list, member } = &orphan.held {
                self.on("ZREM", &self.slot.index(list), [member]);
            }
        }
        self.parked(changes);
        self.on("HDEL", &self.slot.handed_over(), changes.handed_over.iter().map(simple));
        self.on("HSET", &self.slot.redrives(), changes.answers.iter().map(|(id, json)| (id.simple().to_string(), json)));
        self.on("HSET", &self.slot.operations(), changes.operations.iter().map(|(field, value)| (field, value)));
        self.on("ZADD", &self.slot.claims(), changes.to_claim.iter().map(|stream| (0, simple(stream))));
        self.on("ZREM", &self.slot.claims(), changes.have_claimed.iter().map(simple));
    }

    fn views(&mut self, views: &[(StreamId, Vec<u8>)]) {
        if views.is_empty() {
            return;
        }
        let set = self.pipe.cmd("MSET");
        for (stream, bytes) in views {
            set.arg(self.slot.view(*stream)).arg(bytes);
        }
        set.ignore();
    }

    /// One command for each list.
    fn entries<'e, A: ToRedisArgs>(&mut self, name: &str, entries: &'e [(IndexName, String)], item: impl Fn(&'e str) -> A) {
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_unstable_by_key(|(index, _)| *index);
        for of_index in entries.chunk_by(|left, right| left.0 == right.0) {
            let members = of_index.iter().map(|(_, member)| item(member));
            self.on(name, &self.slot.index(&of_index[0].0.to_string()), members);
        }
    }

    fn totals(&mut self, totals: &[(Counter, i64)]) {
        for name in [stats::DAYS, stats::PRODUCT_UNITS, stats::PRODUCT_REVENUE] {
            let key = self.slot.counters(name);
            let named = totals.iter().filter(|(of, _)| place(of) == name);
            let (there, gone): (Vec<_>, Vec<_>) = named.partition(|(_, total)| *total != 0);
            let gone = gone.iter().map(|(of, _)| field(of));
            if name == stats::PRODUCT_UNITS {
                self.on("ZADD", &key, there.iter().map(|(of, total)| (total, field(of))));
                self.on("ZREM", &key, gone);
            } else {
                self.on("HSET", &key, there.iter().map(|(of, total)| (field(of), total)));
                self.on("HDEL", &key, gone);
            }
        }
    }

    fn parked(&mut self, changes: &Changes) {
        let parked = changes.parked.iter();
        let parked = parked.map(|(stream, parked)| (simple(stream), serde_json::to_vec(parked).unwrap_or_default()));
        self.on("HSET", &self.slot.parked(), parked);
        self.on("HDEL", &self.slot.parked(), changes.unparked.iter().map(simple));
    }

    /// A command on a key with these items; none without any.
    fn on<A: ToRedisArgs>(&mut self, name: &str, key: &str, items: impl IntoIterator<Item = A>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return;
        }
        let command = self.pipe.cmd(name).arg(key);
        for item in items {
            command.arg(item);
        }
        command.ignore();
    }
}

fn simple(stream: &StreamId) -> String {
    stream.simple().to_string()
}
