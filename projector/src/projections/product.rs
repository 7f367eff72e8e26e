//! Products: the view, the list by name, and the list by stock that low stock is read from.

use events::{ProductEvent, Quantity, products::ProductCreated};
use read_model::{ProductStatus, ProductView};
use uuid::Uuid;

use super::{Folded, IndexEntry, IndexName, KeyRing, Meta, Projection, derived::Rank, existing, refused};

/// See the module.
pub struct ProductProjection;

impl Projection for ProductProjection {
    type View = ProductView;
    type Event = ProductEvent;

    const VERSION: u32 = 1;

    fn apply(view: Option<ProductView>, event: &ProductEvent, meta: &Meta, _keys: &KeyRing) -> Folded<ProductView> {
        if let ProductEvent::Created(created) = event {
            return match view {
                None => Ok(create(created, meta)),
                Some(view) => refused(view, "a product is created once"),
            };
        }
        let mut view = change(existing(view)?, event)?;
        view.version = meta.version;
        Ok(view)
    }

    fn version(view: &ProductView) -> u64 {
        view.version
    }

    fn owner(_view: &ProductView) -> Option<Uuid> {
        None
    }

    fn index_entries(view: &ProductView) -> Vec<IndexEntry> {
        let entry = |name, rank| IndexEntry { index: IndexName::fixed(name), rank, id: view.id.0 };
        let mut entries = vec![entry("name", Rank::Text(view.name.clone()))];
        match view.status {
            ProductStatus::Active => entries.push(entry("stock", Rank::Number(view.available))),
            ProductStatus::Discontinued => {}
        }
        entries
    }

    fn size(view: &ProductView) -> usize {
        size_of::<ProductView>() + view.sku.capacity() + view.name.capacity()
    }
}

fn create(created: &ProductCreated, meta: &Meta) -> ProductView {
    ProductView {
        id: meta.stream.into(),
        version: meta.version,
        status: ProductStatus::Active,
        sku: created.sku.as_str().to_owned(),
        name: created.name.as_str().to_owned(),
        price: created.price,
        on_hand: 0,
        reserved: 0,
        available: 0,
        created_at: meta.occurred_at,
    }
}

fn change(mut view: ProductView, event: &ProductEvent) -> Folded<ProductView> {
    match event {
        ProductEvent::Created(_) => refused(view, "a product is created once"),
        ProductEvent::Renamed(renamed) => {
            renamed.name.as_str().clone_into(&mut view.name);
            Ok(view)
        }
        ProductEvent::Repriced(repriced) => {
            view.price = repriced.price;
            Ok(view)
        }
        ProductEvent::Discontinued(_) => {
            view.status = ProductStatus::Discontinued;
            Ok(view)
        }
        ProductEvent::StockAdjusted(adjusted) => stock(view, adjusted.delta, 0),
        ProductEvent::StockReserved(reserved) => stock(view, 0, pieces(reserved.quantity)),
        ProductEvent::StockReleased(released) => stock(view, 0, -pieces(released.quantity)),
        ProductEvent::StockCommitted(committed) => {
            let left = -pieces(committed.quantity);
            stock(view, left, left)
        }
    }
}

fn pieces(quantity: Quantity) -> i64 {
    i64::from(quantity.get())
}

fn stock(mut view: ProductView, on_hand: i64, reserved: i64) -> Folded<ProductView> {
    let sums = view.on_hand.checked_add(on_hand).zip(view.reserved.checked_add(reserved));
    let Some(((on_hand, reserved), available)) =
        sums.and_then(|(on_hand, reserved)| Some(((on_hand, reserved), on_hand.checked_sub(reserved)?)))
    else {
        return refused(view, "the stock is too large to count");
    };
    view.on_hand = on_hand;
    view.reserved = reserved;
    view.available = available;
    Ok(view)
}

#[cfg(test)]
mod tests;
