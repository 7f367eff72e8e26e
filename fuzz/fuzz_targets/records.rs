//! A Kafka record: headers as lines of `name: value`, an empty line, and the value; read and folded as the projector does,
//! as the first and as the second event of a stream.

#![no_main]

use events::{DomainEvent, Envelope, OrderEvent, PaymentEvent, ProductEvent, UserEvent};
use libfuzzer_sys::fuzz_target;
use projector::projections::{KeyRing, Meta, OrderProjection, PaymentProjection, ProductProjection, Projection, UserProjection};

fn fold<P: Projection>(envelope: &Envelope<'_>, value: &[u8])
where
    P::Event: DomainEvent,
{
    let Ok(event) = P::Event::decode(&envelope.event_type, value) else { return };
    let keys = KeyRing::default();
    let first = Meta { version: 1, ..Meta::from(envelope) };
    let Ok(view) = P::apply(None, &event, &first, &keys) else { return };
    let second = Meta { version: 2, ..first };
    let Ok(view) = P::apply(Some(view), &event, &second, &keys) else { return };
    assert_eq!(P::version(&view), 2);
}

fuzz_target!(|data: &[u8]| {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (head, value) = (&data[..end], data.get(end + 2..).unwrap_or_default());
    let headers = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.windows(2).position(|pair| pair == b": ")?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 2..]))
    });
    let Ok(envelope) = Envelope::from_headers(headers) else { return };
    fold::<OrderProjection>(&envelope, value);
    fold::<PaymentProjection>(&envelope, value);
    fold::<ProductProjection>(&envelope, value);
    fold::<UserProjection>(&envelope, value);
    let known = |types: &[&str]| types.contains(&&*envelope.event_type);
    let types = [OrderEvent::TYPES, PaymentEvent::TYPES, ProductEvent::TYPES, UserEvent::TYPES];
    if !types.into_iter().any(known) {
        assert!(OrderEvent::decode(&envelope.event_type, value).is_err());
    }
});
