//! AsyncAPI documents: topics, keys, headers, and which messages there are.

use crate::{
    Break, Document,
    place::escaped,
    schema::{Comparison, Direction},
};

/// What of `new` breaks what `old` promised. All of it is sent.
pub(crate) fn compare(old: &Document, new: &Document) -> Vec<Break> {
    let mut comparison = Comparison::new(old, new);
    for name in names(old, "/channels") {
        let at = format!("/channels/{}", escaped(&name));
        if new.get(&at).is_null() {
            comparison.gone(&at, "was released and is gone");
            continue;
        }
        same(&mut comparison, &at, &at, "address");
        for message in names(old, &format!("{at}/messages")) {
            let place = format!("{at}/messages/{}", escaped(&message));
            let (before, after) = (old.resolved(&place), new.resolved(&place));
            if new.get(&after).is_null() {
                comparison.gone(&place, "was released and is gone");
            } else {
                messages(&mut comparison, &before, &after);
            }
        }
    }
    comparison.finish()
}

/// Another type of the value is another message; its schema itself never changes, as [`events`](crate::events) sees to.
fn messages(comparison: &mut Comparison<'_>, before: &str, after: &str) {
    same(comparison, before, after, "contentType");
    same(comparison, before, after, "payload/schema");
    for of in ["headers", "bindings/kafka/key"] {
        comparison.schemas(&format!("{before}/{of}"), &format!("{after}/{of}"), Direction::Sent);
    }
}

fn same(comparison: &mut Comparison<'_>, before: &str, after: &str, name: &str) {
    let (was, now) = (comparison.old.get(&format!("{before}/{name}")), comparison.new.get(&format!("{after}/{name}")));
    if was != now {
        comparison.found(&format!("{after}/{name}"), format!("is {now} and was {was}"));
    }
}

fn names(document: &Document, at: &str) -> Vec<String> {
    document.get(at).as_object().into_iter().flat_map(|members| members.keys().cloned()).collect()
}
