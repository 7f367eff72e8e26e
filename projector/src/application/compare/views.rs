//! Views: equal bytes.

use std::collections::{BTreeMap, HashMap};

use events::{Context, StreamId};
use read_model::StoredView;
use serde_json::{Value, json};

use super::{CompareError, Comparing, Differences, Side, ViewSample, count};
use crate::projections::{Projection, projection_of};

/// Versions on both sides.
type Versions = (Option<u64>, Option<u64>);

struct Pair {
    stream: StreamId,
    live: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

impl Pair {
    fn differs(&self) -> bool {
        self.live != self.new
    }

    fn versions(&self) -> Versions {
        (version(self.live.as_ref()), version(self.new.as_ref()))
    }

    /// Whether time will not change it: both are at the same version.
    fn is_settled(&self) -> bool {
        let (live, new) = self.versions();
        live.is_some() && live == new
    }

    fn sample(&self, context: Context) -> ViewSample {
        let (live, new) = (fields(self.live.as_ref()), fields(self.new.as_ref()));
        let names = live.keys().chain(new.keys()).filter(|name| live.get(*name) != new.get(*name));
        let personal = projection_of!(context, P => !P::PERSONAL.is_empty());
        let difference = |name: &String| if personal { Value::Null } else { json!([live.get(name), new.get(name)]) };
        let fields = names.map(|name| (name.clone(), difference(name))).collect();
        let (live, new) = self.versions();
        ViewSample { stream: self.stream, live, new, fields }
    }
}

fn version(view: Option<&Vec<u8>>) -> Option<u64> {
    Some(StoredView::decode(view?).ok()?.header.version)
}

fn fields(view: Option<&Vec<u8>>) -> BTreeMap<String, Value> {
    let json = view.and_then(|view| serde_json::from_slice(StoredView::decode(view).ok()?.json).ok());
    json.unwrap_or_default()
}

/// Whether both sides have moved on.
fn moved(from: Versions, to: Versions) -> bool {
    from.0.is_some() && from.1.is_some() && to.0 > from.0 && to.1 > from.1
}

impl Comparing {
    /// Compares the views of some streams that one side has.
    pub(super) async fn views(
        &self,
        side: Side,
        mut streams: Vec<StreamId>,
        part: &mut Differences<ViewSample>,
    ) -> Result<(), CompareError> {
        streams.sort_unstable();
        streams.dedup();
        if side == Side::Live {
            part.compared += count(streams.len());
        }
        let (mut wait, mut is_over) = (None, false);
        let mut first = HashMap::<StreamId, Versions>::new();
        loop {
            let mut differing = self.pairs(&streams).await?;
            differing.retain(Pair::differs);
            streams.clear();
            for pair in differing {
                let versions = pair.versions();
                let was = *first.entry(pair.stream).or_insert(versions);
                if pair.is_settled() || is_over && !moved(was, versions) {
                    part.count(side, (pair.live.is_some(), pair.new.is_some()), || pair.sample(self.context));
                } else if is_over {
                    // That one of them is always a little behind is no fault.
                    part.undecided += u64::from(side == Side::Live);
                } else {
                    streams.push(pair.stream);
                }
            }
            if streams.is_empty() {
                return Ok(());
            }
            is_over = self.pause(&mut wait).await?;
        }
    }

    async fn pairs(&self, streams: &[StreamId]) -> Result<Vec<Pair>, CompareError> {
        let views = |generation| self.store.stored_views(self.context, generation, streams);
        let (live, new) = tokio::try_join!(views(self.live), views(self.new))?;
        Ok(streams.iter().zip(live).zip(new).map(|((stream, live), new)| Pair { stream: *stream, live, new }).collect())
    }
}
