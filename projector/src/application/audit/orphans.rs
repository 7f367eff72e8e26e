//! Entries of lists, and owners of unique values, that no view puts there: of a stream that never belonged there, or of none.
//!
//! A view and all that it puts into lists are written in one call. So what is there at a moment at which the view does not
//! say so is an orphan, whatever else goes on. Without a view the event store decides: what a stream that exists has in
//! lists is right again as soon as its view is.

use events::StreamId;
use read_model::{Generation, StoredView, index};

use super::examine::{ExamineError, Sides};
use crate::{
    outbound::redis::parts::{Held, Scanned},
    projections::Projection,
};

/// Something in a slot that no view puts there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Whose it claims to be; nil when it names no stream.
    pub stream: StreamId,
    /// What it is.
    pub held: Held,
    /// What lies there: an entry's score, or a value's owner.
    pub value: String,
    /// Its stream has its view in another slot.
    is_elsewhere: bool,
}

/// A list, or a hash of owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The partition of its slot.
    pub partition: u32,
    /// Its name.
    pub name: String,
    /// Whether it is a list.
    is_list: bool,
}

/// What one step through a place found.
pub struct Step {
    /// Where the next one begins; 0 at the end.
    pub cursor: u64,
    /// How much was looked at.
    pub looked: usize,
    /// What does not belong there.
    pub orphans: Vec<Orphan>,
}

/// The lists and hashes of owners among these keys.
pub fn places(scanned: Scanned) -> impl Iterator<Item = Place> {
    let lists = scanned.lists.into_iter().map(|(partition, name)| Place { partition, name, is_list: true });
    lists.chain(scanned.owners.into_iter().map(|(partition, name)| Place { partition, name, is_list: false }))
}

impl Place {
    /// Looks at some of what is there in a slot of a generation, from `cursor` on.
    pub async fn step<P: Projection>(&self, sides: Sides<'_>, generation: Generation, cursor: u64) -> Result<Step, ExamineError> {
        let (cursor, mut found) = self.scan(sides, cursor).await?;
        for one in &mut found {
            one.is_elsewhere = generation.partition_of(one.stream) != self.partition;
        }
        let streams: Vec<StreamId> = found.iter().map(|one| one.stream).collect();
        let views = sides.store.stored_many(sides.slot, &streams).await?;
        let (looked, mut orphans) = (found.len(), Vec::new());
        for (one, view) in found.into_iter().zip(views) {
            // The view was read after the list: only what both say at one moment counts.
            if !one.belongs::<P>(view.as_deref()) && one.is_there::<P>(sides).await? {
                orphans.push(one);
            }
        }
        Ok(Step { cursor, looked, orphans })
    }

    async fn scan(&self, sides: Sides<'_>, cursor: u64) -> Result<(u64, Vec<Orphan>), ExamineError> {
        let name = || self.name.clone();
        if self.is_list {
            let (cursor, members) = sides.store.scan_list(sides.slot, &self.name, cursor).await?;
            let entry = |member: String| Orphan {
                stream: index::id_of(member.as_bytes()).unwrap_or_default(),
                held: Held::Entry { list: name(), member },
                value: String::new(),
                is_elsewhere: false,
            };
            return Ok((cursor, members.into_iter().map(entry).collect()));
        }
        let (cursor, owners) = sides.store.scan_owners(sides.slot, &self.name, cursor).await?;
        let owned = |(value, owner): (String, String)| Orphan {
            stream: owner.parse().unwrap_or_default(),
            held: Held::Owned { hash: name(), value },
            value: owner,
            is_elsewhere: false,
        };
        Ok((cursor, owners.into_iter().map(owned).collect()))
    }
}

impl Orphan {
    /// Whether it is there at a moment at which the view of its stream does not put it there, and no view will.
    pub async fn is_there<P: Projection>(&self, sides: Sides<'_>) -> Result<bool, ExamineError> {
        let (view, value) = sides.store.held_beside(sides.slot, self.stream, &self.held).await?;
        let is_found = match self.held {
            Held::Entry { .. } => value.is_some(),
            // What another owns is another's.
            Held::Owned { .. } => value.as_ref() == Some(&self.value),
        };
        if !is_found || self.belongs::<P>(view.as_deref()) {
            return Ok(false);
        }
        // What is in Redis was in the store before.
        let is_known = view.is_some() || self.is_elsewhere;
        Ok(is_known || sides.commands.page(sides.context, self.stream, 0, 1).await?.is_none())
    }

    /// Where it is, in words. The value is not told: it may be personal.
    #[must_use]
    pub fn described(&self, partition: u32) -> String {
        match &self.held {
            Held::Entry { list, .. } => format!("the list {list} of partition {partition} has it, and no view puts it there"),
            Held::Owned { hash, .. } => format!("it owns one {hash} in partition {partition}, and no view says so"),
        }
    }

    /// Whether a view puts it there. One that can't be read may: it is put right first.
    fn belongs<P: Projection>(&self, view: Option<&[u8]>) -> bool {
        let Some(bytes) = view else { return false };
        let view = StoredView::decode(bytes).ok().and_then(|stored| serde_json::from_slice::<P::View>(stored.json).ok());
        let Some(view) = view else { return true };
        match &self.held {
            Held::Entry { list, member } => {
                P::index_entries(&view).into_iter().any(|entry| entry.index.to_string() == *list && entry.member() == *member)
            }
            Held::Owned { hash, value } => P::owned(&view).is_some_and(|(of, owned)| of == hash && owned == *value),
        }
    }
}
