//! What clients bring back: a byte for the list, and the cursor's text. And what lies in Redis: a view's header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use query_service::application::cursor::Cursor;
use read_model::StoredView;

fuzz_target!(|data: &[u8]| {
    if let Ok(stored) = StoredView::decode(data) {
        let again = stored.header.encode(stored.json);
        assert_eq!(StoredView::decode(&again).expect("what was written is read").header, stored.header);
    }
    let Some((list, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(cursor) = Cursor::decode(text, *list) {
        assert_eq!(Cursor::decode(&cursor.encode(), *list).expect("what was made is taken"), cursor);
    }
});
