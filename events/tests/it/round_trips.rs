//! What is written can be read, whatever it is.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, Utc};
use events::{Context, DecodeError, DomainEvent, Envelope, EventId, RecordedEvent};
use proptest::{option, prelude::*};
use serde_json::{Value, value::RawValue};

use crate::{
    arbitrary::{order_event, payment_event, product_event, user_event, uuid},
    catalogue::every_type,
};

/// What Postgres can hold: microseconds, from year 1 to 9999.
fn time() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_000_000_i64..253_402_300_800_000_000).prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

prop_compose! {
    fn envelope()(
        (id, stream_id, correlation_id) in (uuid(), uuid(), uuid()),
        causation_id in option::of(uuid()),
        event_type in "[a-z]{1,9}\\.[a-z-]{1,19}\\.v[1-9]",
        (version, lane, seq) in any::<(u64, u16, u64)>(),
        (occurred_at, recorded_at) in (time(), time()),
        traceparent in option::of("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"),
    ) -> Envelope<'static> {
        Envelope {
            id: EventId(id), stream_id, event_type: Cow::Owned(event_type), version, lane, seq, occurred_at, recorded_at,
            correlation_id, causation_id, traceparent: traceparent.map(Cow::Owned),
        }
    }
}

fn context() -> impl Strategy<Value = Context> {
    proptest::sample::select(Context::ALL.to_vec())
}

fn read_back<E: DomainEvent + PartialEq + std::fmt::Debug>(event: &E) -> Result<(), TestCaseError> {
    let data = event.encode().unwrap();
    prop_assert_eq!(&E::decode(event.event_type(), &data).unwrap(), event);
    let schema = every_type().into_iter().find(|known| known.name == event.event_type()).unwrap().schema;
    let value: Value = serde_json::from_slice(&data).unwrap();
    prop_assert!(jsonschema::is_valid(&schema, &value), "{} does not fit its schema", value);
    Ok(())
}

proptest! {
    #[test]
    fn user_events_round_trip_and_fit_their_schema(event in user_event()) {
        read_back(&event)?;
    }

    #[test]
    fn product_events_round_trip_and_fit_their_schema(event in product_event()) {
        read_back(&event)?;
    }

    #[test]
    fn order_events_round_trip_and_fit_their_schema(event in order_event()) {
        read_back(&event)?;
    }

    #[test]
    fn payment_events_round_trip_and_fit_their_schema(event in payment_event()) {
        read_back(&event)?;
    }

    #[test]
    fn envelopes_round_trip_through_headers(envelope in envelope(), context in context()) {
        let mut headers = HashMap::new();
        envelope.write_headers(context, |name, value| {
            assert!(headers.insert(name, value.as_bytes().to_vec()).is_none(), "{name} is written twice");
        });
        let read = Envelope::from_headers(headers.iter().map(|(name, value)| (*name, value.as_slice()))).unwrap();
        prop_assert_eq!(read, envelope);
    }

    #[test]
    fn recorded_events_round_trip_with_their_data_byte_for_byte(envelope in envelope(), event in order_event()) {
        let data = String::from_utf8(event.encode().unwrap()).unwrap();
        let recorded = RecordedEvent {
            id: envelope.id, stream_id: envelope.stream_id, event_type: envelope.event_type.clone().into_owned(),
            version: envelope.version, lane: envelope.lane, seq: envelope.seq, occurred_at: envelope.occurred_at,
            recorded_at: envelope.recorded_at, correlation_id: envelope.correlation_id, causation_id: envelope.causation_id,
            traceparent: envelope.traceparent.clone().map(Cow::into_owned), data: RawValue::from_string(data.clone()).unwrap(),
        };
        let read: RecordedEvent = serde_json::from_str(&serde_json::to_string(&recorded).unwrap()).unwrap();
        prop_assert_eq!(read.envelope(), envelope);
        prop_assert_eq!(read.data.get(), data);
    }

    #[test]
    fn decoding_anything_is_an_error_and_never_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200), pick in any::<prop::sample::Index>()) {
        let types = every_type();
        let event = pick.get(&types);
        if let Err(error) = event.recode(event.name, &data) {
            let malformed = matches!(error, DecodeError::Malformed { event_type, .. } if event_type == event.name);
            prop_assert!(malformed, "{}", error);
        }
    }
}

#[test]
fn a_type_of_another_context_is_unknown() {
    for event in every_type() {
        for other in every_type().iter().filter(|other| other.context != event.context) {
            assert!(matches!(event.recode(other.name, b"{}"), Err(DecodeError::UnknownType { .. })), "{}", other.name);
        }
    }
}
