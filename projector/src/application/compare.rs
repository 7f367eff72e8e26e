//! Two generations side by side, view by view, while both are fed.

use std::{collections::BTreeMap, time::Duration};

use events::{Context, StreamId};
use read_model::{Generation, StoredView};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::outbound::redis::{RedisStore, RedisStoreError};

/// Views looked at for one answer, about.
const VIEWS: usize = 2_000;
/// Differing views that are shown.
const SAMPLES: usize = 5;
/// How long a view may differ because one of the generations is a little behind.
const SETTLE: Duration = Duration::from_secs(5);
/// How often those are looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// Whose views are walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those of the live generation.
    Live,
    /// Those of the new one.
    New,
}

/// A part of the differences.
#[derive(Debug, Default, Serialize)]
pub struct Differences {
    /// Where the next part begins; 0 after the last.
    pub cursor: u64,
    /// Views looked at.
    pub compared: u64,
    /// Of those: not the same in the other generation.
    pub different: u64,
    /// Of those: not there in the other generation.
    pub missing: u64,
    /// Some of those that are different or missing.
    pub samples: Vec<Sample>,
}

/// A view that differs.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// The stream.
    pub stream: StreamId,
    /// The version of the live view; none when there is no such view.
    pub live: Option<u64>,
    /// The version of the new one.
    pub new: Option<u64>,
    /// The fields that differ: `[live, new]`; null for users, whose data is theirs.
    pub fields: BTreeMap<String, Value>,
}

struct Pair {
    stream: StreamId,
    live: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

impl Pair {
    fn differs(&self) -> bool {
        self.live != self.new
    }

    /// Whether time will not change it: both are at the same version.
    fn is_settled(&self) -> bool {
        version(self.live.as_ref()).is_some() && version(self.live.as_ref()) == version(self.new.as_ref())
    }

    fn sample(&self, context: Context) -> Sample {
        let (live, new) = (fields(self.live.as_ref()), fields(self.new.as_ref()));
        let names = live.keys().chain(new.keys()).filter(|name| live.get(*name) != new.get(*name));
        let difference = |name: &String| match context {
            Context::Users => Value::Null,
            Context::Products | Context::Orders | Context::Payments => serde_json::json!([live.get(name), new.get(name)]),
        };
        let fields = names.map(|name| (name.clone(), difference(name))).collect();
        Sample { stream: self.stream, live: version(self.live.as_ref()), new: version(self.new.as_ref()), fields }
    }
}

fn version(view: Option<&Vec<u8>>) -> Option<u64> {
    Some(StoredView::decode(view?).ok()?.header.version)
}

fn fields(view: Option<&Vec<u8>>) -> BTreeMap<String, Value> {
    let json = view.and_then(|view| serde_json::from_slice(StoredView::decode(view).ok()?.json).ok());
    json.unwrap_or_default()
}

/// Compares some views, from `cursor` on.
pub async fn some(
    store: &RedisStore,
    context: Context,
    (live, new): (Generation, Generation),
    side: Side,
    cursor: u64,
) -> Result<Differences, RedisStoreError> {
    let walked = match side {
        Side::Live => live,
        Side::New => new,
    };
    let (mut streams, mut cursor) = (Vec::new(), cursor);
    loop {
        let scanned = store.scan_views_of(context, walked.number, cursor).await?;
        streams.extend(scanned.streams);
        cursor = scanned.cursor;
        if cursor == 0 || streams.len() >= VIEWS {
            break;
        }
    }
    streams.sort_unstable();
    streams.dedup();
    let mut differences =
        Differences { cursor, compared: u64::try_from(streams.len()).unwrap_or(u64::MAX), ..Differences::default() };
    let deadline = Instant::now() + SETTLE;
    loop {
        let pairs = pairs(store, context, (live, new), &streams).await?;
        let differing: Vec<Pair> = pairs.into_iter().filter(Pair::differs).collect();
        if Instant::now() >= deadline || differing.iter().all(Pair::is_settled) {
            for pair in differing {
                differences.count(context, &pair, side);
            }
            return Ok(differences);
        }
        streams = differing.iter().map(|pair| pair.stream).collect();
        tokio::time::sleep(LOOK).await;
    }
}

async fn pairs(
    store: &RedisStore,
    context: Context,
    (live, new): (Generation, Generation),
    streams: &[StreamId],
) -> Result<Vec<Pair>, RedisStoreError> {
    let (old, new) = tokio::try_join!(store.stored_views(context, live, streams), store.stored_views(context, new, streams))?;
    Ok(streams.iter().zip(old).zip(new).map(|((stream, live), new)| Pair { stream: *stream, live, new }).collect())
}

impl Differences {
    fn count(&mut self, context: Context, pair: &Pair, side: Side) {
        let is_missing = pair.live.is_none() || pair.new.is_none();
        if is_missing {
            self.missing += 1;
        } else if side == Side::Live {
            self.different += 1;
        } else {
            // Counted when the live views were walked through.
            return;
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(pair.sample(context));
        }
    }
}
