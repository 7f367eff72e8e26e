use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use events::{
    Currency, EventId, MinorUnits, OrderEvent, ProductId, Quantity,
    orders::{Fulfilment, OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced},
    text::Reason,
};
use proptest::prelude::*;
use read_model::OrderView;
use uuid::Uuid;

use super::*;
use crate::projections::OrderProjection;

fn envelope(stream: StreamId, version: u64) -> Envelope<'static> {
    Envelope {
        id: EventId(Uuid::from_u128(1)),
        stream_id: stream,
        event_type: "unused".into(),
        version,
        lane: 0,
        seq: 1,
        occurred_at: DateTime::UNIX_EPOCH,
        recorded_at: DateTime::UNIX_EPOCH,
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    }
}

fn events() -> Vec<OrderEvent> {
    let line = OrderLine {
        line: 1,
        product_id: ProductId(Uuid::from_u128(7)),
        product_version: 1,
        quantity: Quantity::new(2).unwrap(),
        unit_price: MinorUnits::new(100).unwrap(),
    };
    let placed = OrderPlaced {
        user_id: None,
        fulfilment: Fulfilment::Managed,
        currency: Currency::GBP,
        lines: vec![line],
        total: MinorUnits::new(200).unwrap(),
        payment_method: None,
    };
    vec![placed.into(), OrderConfirmed {}.into(), OrderCancelled { reason: Reason::parse("late").unwrap() }.into()]
}

/// Redis, as far as a chunk's changes go.
#[derive(Debug, Default, PartialEq)]
struct Model {
    views: BTreeMap<StreamId, Vec<u8>>,
    entries: BTreeSet<(IndexName, String)>,
    counters: BTreeMap<Counter, i64>,
    parked: BTreeMap<StreamId, Parked>,
}

impl Model {
    fn write(&mut self, changes: Changes) {
        self.views.extend(changes.views);
        for removed in &changes.removed {
            assert!(self.entries.remove(removed), "{removed:?} was not there");
        }
        self.entries.extend(changes.added);
        for (counter, amount) in changes.moves {
            *self.counters.entry(counter).or_default() += amount;
        }
        self.counters.retain(|_, amount| *amount != 0);
        self.parked.extend(changes.parked);
    }

    fn view(&self, stream: StreamId) -> Option<OrderView> {
        let stored = read_model::StoredView::decode(self.views.get(&stream)?).unwrap();
        Some(serde_json::from_slice(stored.json).unwrap())
    }

    /// One chunk, as the worker folds it: what was dealt with is passed over.
    fn fold(&mut self, records: &[(StreamId, u64)]) {
        let mut chunk = Chunk::<OrderProjection>::with_capacity(records.len());
        for (stream, version) in records {
            chunk.bring(*stream, self.view(*stream), self.parked.get(stream).cloned());
            if *version == chunk.reached(*stream) + 1 {
                let event = &events()[usize::try_from(*version).unwrap() - 1];
                chunk.apply(&envelope(*stream, *version), event, &KeyRing::default()).unwrap();
            }
        }
        let (changes, _) = chunk.finish(0, (0, 0)).unwrap();
        self.write(changes);
    }
}

fn once() -> Vec<(StreamId, u64)> {
    (1..=3_u128).flat_map(|stream| (1..=3).map(move |version| (Uuid::from_u128(stream), version))).collect()
}

proptest! {
    /// Duplicates are what was there before, sent again: anywhere later, any number of times, in chunks of any size.
    #[test]
    fn any_interleaving_of_duplicates_equals_once(
        again in prop::collection::vec((0_usize..9, 0_usize..12), 0..20),
        size in 1_usize..9,
    ) {
        let mut records = once();
        for (which, later) in again {
            let position = (which + 1 + later).min(records.len());
            records.insert(position, records[which]);
        }
        let (mut whole, mut chunked) = (Model::default(), Model::default());
        whole.fold(&once());
        for chunk in records.chunks(size) {
            chunked.fold(chunk);
        }
        prop_assert_eq!(whole, chunked);
    }
}

#[test]
fn a_chunk_writes_the_difference_and_nothing_else() {
    let stream = Uuid::from_u128(1);
    let mut model = Model::default();
    model.fold(&[(stream, 1)]);
    let mut chunk = Chunk::<OrderProjection>::with_capacity(1);
    chunk.bring(stream, model.view(stream), None);
    chunk.apply(&envelope(stream, 2), &events()[1], &KeyRing::default()).unwrap();
    let (changes, kept) = chunk.finish(9, (1, 0)).unwrap();
    let names = |entries: &[(IndexName, String)]| entries.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!((names(&changes.removed), names(&changes.added)), (vec!["status:placed".into()], vec!["status:confirmed".into()]));
    assert_eq!((changes.moves.as_slice(), changes.events, changes.offset), ([].as_slice(), 2, 9));
    assert_eq!(changes.log, [(stream, 2, "order.confirmed.v1")]);
    assert_eq!(kept[0].1.as_ref().unwrap().version, 2);
}

#[test]
fn the_log_has_every_event_of_a_stream_that_has_several_in_a_chunk() {
    let stream = Uuid::from_u128(1);
    let mut chunk = Chunk::<OrderProjection>::with_capacity(1);
    chunk.bring(stream, None, None);
    for version in 1..=2 {
        chunk.apply(&envelope(stream, version), &events()[usize::try_from(version).unwrap() - 1], &KeyRing::default()).unwrap();
    }
    let (changes, _) = chunk.finish(2, (0, 0)).unwrap();
    assert_eq!(changes.log, [(stream, 1, "order.placed.v1"), (stream, 2, "order.confirmed.v1")]);
}

#[test]
fn a_parked_stream_keeps_its_view_and_says_so() {
    let stream = Uuid::from_u128(1);
    let mut chunk = Chunk::<OrderProjection>::with_capacity(1);
    chunk.bring(stream, None, None);
    chunk.apply(&envelope(stream, 1), &events()[0], &KeyRing::default()).unwrap();
    let bad = Failure::new(events::Context::Orders, "x", "bad");
    chunk.park(stream, 2, &bad, 77);
    chunk.park(stream, 3, &Failure { cause: "it follows".into(), ..bad.clone() }, 78);
    assert_eq!(chunk.reached(stream), 3);
    let (changes, _) = chunk.finish(0, (0, 0)).unwrap();
    let stored = read_model::StoredView::decode(&changes.views[0].1).unwrap();
    assert!(stored.header.flags.is_parked());
    assert_eq!(stored.header.version, 1);
    assert_eq!(
        changes.parked,
        [(
            stream,
            Parked { until: 3, event_type: "x".into(), fingerprint: bad.fingerprint.clone(), ..Parked::first(2, "bad", 77) }
        )]
    );
}

#[test]
fn a_stream_parked_earlier_gets_its_flag_once() {
    let stream = Uuid::from_u128(1);
    let mut model = Model::default();
    model.fold(&[(stream, 1)]);
    let mut chunk = Chunk::<OrderProjection>::with_capacity(1);
    chunk.bring(stream, model.view(stream), None);
    chunk.park(stream, 2, &Failure::new(events::Context::Orders, "x", "bad"), 77);
    let (changes, _) = chunk.finish(0, (0, 0)).unwrap();
    assert!(read_model::StoredView::decode(&changes.views[0].1).unwrap().header.flags.is_parked());
    assert_eq!((changes.added.len(), changes.moves.len(), changes.log.len()), (0, 0, 0));
}

#[test]
fn a_released_stream_goes_on_and_loses_its_flag() {
    let stream = Uuid::from_u128(1);
    let mut model = Model::default();
    model.fold(&[(stream, 1)]);
    let release = |events: &[OrderEvent]| {
        let mut chunk = Chunk::<OrderProjection>::with_capacity(1);
        chunk.bring(stream, model.view(stream), Some(Parked { until: 3, ..Parked::first(2, "bad", 77) }));
        assert_eq!(chunk.reached(stream), 3);
        chunk.release(stream);
        assert_eq!(chunk.reached(stream), 1);
        for (event, version) in events.iter().zip(2..) {
            chunk.apply(&envelope(stream, version), event, &KeyRing::default()).unwrap();
        }
        chunk.finish(0, (0, 0)).unwrap().0
    };
    for (events, version) in [(&events()[1..], 3), (&[], 1)] {
        let changes = release(events);
        let header = read_model::StoredView::decode(&changes.views[0].1).unwrap().header;
        assert_eq!((header.flags, header.version), (Flags::NONE, version));
        assert_eq!((changes.unparked, changes.parked), (vec![stream], vec![]));
    }
}
