//! Events of every version ever published: the type, a newline, and the data. What can be read is written in its current
//! version, and that is read as the same.

#![no_main]

use events::{DomainEvent, OrderEvent, PaymentEvent, ProductEvent, UserEvent};
use libfuzzer_sys::fuzz_target;

fn lifted<E: DomainEvent + PartialEq + std::fmt::Debug>(event_type: &str, data: &[u8]) {
    if let Ok(event) = E::decode(event_type, data) {
        let written = event.encode().expect("an event can be written");
        assert_eq!(E::decode(event.event_type(), &written).expect("what was written is read"), event);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(event_type) = std::str::from_utf8(&data[..end]) else { return };
    let data = &data[end + 1..];
    lifted::<OrderEvent>(event_type, data);
    lifted::<PaymentEvent>(event_type, data);
    lifted::<ProductEvent>(event_type, data);
    lifted::<UserEvent>(event_type, data);
});
