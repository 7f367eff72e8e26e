//! What clients of live updates bring back in `Last-Event-ID`: text as it comes, and what base64 makes of any bytes. What is
//! taken is given out again as a text that means the same, wherever the stream goes from there.

#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use events::Context;
use libfuzzer_sys::fuzz_target;
use query_service::{
    application::updates::{OrderPosition, Positions},
    outbound::redis::{EntryId, Log},
};
use read_model::Generation;

/// An entry that is told in part, in full, and passed.
const ENTRY: EntryId = EntryId { millis: 1_784_000_000_000, seq: 7 };

fn check(positions: &Positions) {
    let text = positions.encode();
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{text}");
    assert_eq!(&Positions::decode(&text).expect("what was given out is taken"), positions, "{text}");
}

fn go_on(text: &str) {
    if let Ok(position) = OrderPosition::decode(text) {
        assert_eq!(OrderPosition::decode(&position.encode()).expect("what was given out is taken"), position);
        assert!(Positions::decode(text).is_err(), "{text} is of both kinds");
    }
    let Ok(mut positions) = Positions::decode(text) else { return };
    check(&positions);
    for context in Context::ALL {
        let generation = Generation { number: 1, partitions: 3, projection: 1 };
        let log = Log { context, generation, partition: 1 };
        if positions.follows(context, generation) != Some(true) {
            positions.begin(context, generation, vec![EntryId::default(); 3]);
        }
        positions.tell(&log, ENTRY, 1, 2);
        check(&positions);
        assert_eq!(positions.of(&log).1, 1);
        positions.tell(&log, ENTRY, 2, 2);
        check(&positions);
        assert_eq!(positions.of(&log), (ENTRY, 0));
    }
    assert!(positions.unfinished().is_none(), "all were told completely");
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        go_on(text);
    }
    go_on(&URL_SAFE_NO_PAD.encode(data));
});
