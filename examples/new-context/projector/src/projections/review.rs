//! Reviews: the view, and the list of a product's reviews.

use events::{ReviewEvent, reviews::ReviewWritten};
use read_model::ReviewView;
use uuid::Uuid;

use super::{Folded, IndexEntry, IndexName, KeyRing, Meta, Projection, existing, refused};

/// See the module.
pub struct ReviewProjection;

impl Projection for ReviewProjection {
    type View = ReviewView;
    type Event = ReviewEvent;

    const VERSION: u32 = 1;

    fn apply(view: Option<ReviewView>, event: &ReviewEvent, meta: &Meta, _keys: &KeyRing) -> Folded<ReviewView> {
        match event {
            ReviewEvent::Written(written) => match view {
                None => Ok(write(written, meta)),
                Some(view) => refused(view, "a review is written once"),
            },
            ReviewEvent::Withdrawn(_) => {
                Ok(ReviewView { version: meta.version, withdrawn_at: Some(meta.occurred_at), ..existing(view)? })
            }
        }
    }

    fn version(view: &ReviewView) -> u64 {
        view.version
    }

    fn owner(view: &ReviewView) -> Option<Uuid> {
        Some(view.user_id.0)
    }

    fn index_entries(view: &ReviewView) -> Vec<IndexEntry> {
        let of_product = IndexEntry::timed(IndexName::of("product:", view.product_id.0), view.written_at, view.id);
        if view.withdrawn_at.is_none() { vec![of_product] } else { Vec::new() }
    }

    fn size(view: &ReviewView) -> usize {
        size_of::<ReviewView>() + view.text.as_ref().map_or(0, String::capacity)
    }
}

fn write(written: &ReviewWritten, meta: &Meta) -> ReviewView {
    ReviewView {
        id: meta.stream,
        version: meta.version,
        product_id: written.product_id,
        user_id: written.user_id,
        stars: written.stars,
        text: written.text.as_ref().map(|text| text.as_str().to_owned()),
        written_at: meta.occurred_at,
        withdrawn_at: None,
    }
}
