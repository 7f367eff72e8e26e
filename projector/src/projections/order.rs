//! Orders: the view, the lists of recent orders, of a status and of a user, and the shop's statistics.

use events::{
    MinorUnits, OrderEvent, Quantity,
    orders::{OrderPlaced, OrderReturned},
};
use read_model::{
    OrderStatus, OrderView,
    order::{OrderLineView, ReturnView},
    stats::{DayCounter, DayField},
};
use uuid::Uuid;

use super::{Counter, Folded, IndexEntry, IndexName, KeyRing, Meta, Projection, existing, refused};

/// See the module.
pub struct OrderProjection;

impl Projection for OrderProjection {
    type View = OrderView;
    type Event = OrderEvent;

    const VERSION: u32 = 1;
    const COUNTED_BY: Option<&'static str> = Some("recent");

    fn apply(view: Option<OrderView>, event: &OrderEvent, meta: &Meta, _keys: &KeyRing) -> Folded<OrderView> {
        if let OrderEvent::Placed(placed) = event {
            return match view {
                None => Ok(place(placed, meta)),
                Some(view) => refused(view, "an order is placed once"),
            };
        }
        let mut view = change(existing(view)?, event, meta)?;
        view.version = meta.version;
        Ok(view)
    }

    fn version(view: &OrderView) -> u64 {
        view.version
    }

    fn owner(view: &OrderView) -> Option<Uuid> {
        view.user_id.map(Uuid::from)
    }

    fn index_entries(view: &OrderView) -> Vec<IndexEntry> {
        let entry = |index| IndexEntry::timed(index, view.placed_at, view.id.0);
        let mut entries = Vec::with_capacity(3);
        entries.push(entry(IndexName::fixed("recent")));
        entries.push(entry(IndexName::fixed(status_index(view.status))));
        if let Some(user) = view.user_id {
            entries.push(entry(IndexName::of("user:", user.0)));
        }
        entries
    }

    fn contribution(view: &OrderView) -> Vec<(Counter, i64)> {
        let day = |at: chrono::DateTime<chrono::Utc>, counter| Counter::Day(DayField { day: at.date_naive(), counter });
        if view.status == OrderStatus::Cancelled {
            return vec![(day(view.placed_at, DayCounter::Cancelled), 1)];
        }
        let mut counters = Vec::with_capacity(3 + 2 * (view.lines.len() + view.returns.len()));
        let units: i64 = view.lines.iter().map(|line| i64::from(line.quantity.get())).sum();
        counters.push((day(view.placed_at, DayCounter::Orders), 1));
        counters.push((day(view.placed_at, DayCounter::Units), units));
        counters.push((day(view.placed_at, DayCounter::Gross(view.currency)), view.total.get().cast_signed()));
        for line in &view.lines {
            let kept = i64::from(line.quantity.get()) - i64::from(line.returned);
            let revenue = kept.saturating_mul(line.unit_price.get().cast_signed());
            counters.push((Counter::ProductUnits(line.product_id), kept));
            counters.push((Counter::ProductRevenue(line.product_id, view.currency), revenue));
        }
        for returned in &view.returns {
            counters.push((day(returned.at, DayCounter::ReturnedUnits), returned.units.cast_signed()));
            counters.push((day(returned.at, DayCounter::Refunds(view.currency)), returned.refund.get().cast_signed()));
        }
        counters
    }

    fn size(view: &OrderView) -> usize {
        let texts = [&view.cancel_reason, &view.carrier, &view.tracking];
        size_of::<OrderView>()
            + view.lines.capacity() * size_of::<OrderLineView>()
            + view.returns.capacity() * size_of::<ReturnView>()
            + texts.into_iter().flatten().map(String::capacity).sum::<usize>()
    }
}

fn place(placed: &OrderPlaced, meta: &Meta) -> OrderView {
    let line = |line: &events::orders::OrderLine| OrderLineView {
        line: line.line,
        product_id: line.product_id,
        quantity: line.quantity,
        unit_price: line.unit_price,
        returned: 0,
    };
    OrderView {
        id: meta.stream.into(),
        version: meta.version,
        status: OrderStatus::Placed,
        user_id: placed.user_id,
        fulfilment: placed.fulfilment,
        currency: placed.currency,
        lines: placed.lines.iter().map(line).collect(),
        total: placed.total,
        refunded: MinorUnits::ZERO,
        placed_at: meta.occurred_at,
        confirmed_at: None,
        cancelled_at: None,
        cancel_reason: None,
        shipped_at: None,
        carrier: None,
        tracking: None,
        delivered_at: None,
        returns: Vec::new(),
    }
}

fn change(mut view: OrderView, event: &OrderEvent, meta: &Meta) -> Folded<OrderView> {
    let at = Some(meta.occurred_at);
    match event {
        OrderEvent::Placed(_) => return refused(view, "an order is placed once"),
        OrderEvent::Confirmed(_) => {
            view.status = OrderStatus::Confirmed;
            view.confirmed_at = at;
        }
        OrderEvent::Cancelled(cancelled) => {
            view.status = OrderStatus::Cancelled;
            view.cancelled_at = at;
            view.cancel_reason = Some(cancelled.reason.as_str().to_owned());
        }
        OrderEvent::Shipped(shipped) => {
            view.status = OrderStatus::Shipped;
            view.shipped_at = at;
            view.carrier = shipped.carrier.as_ref().map(|carrier| carrier.as_str().to_owned());
            view.tracking = shipped.tracking.as_ref().map(|tracking| tracking.as_str().to_owned());
        }
        OrderEvent::Delivered(_) => {
            view.status = OrderStatus::Delivered;
            view.delivered_at = at;
        }
        OrderEvent::Returned(returned) => return take_back(view, returned, meta),
    }
    Ok(view)
}

fn take_back(mut view: OrderView, returned: &OrderReturned, meta: &Meta) -> Folded<OrderView> {
    // On a copy, so that a refusal leaves the view as it was; returns are rare.
    let mut lines = view.lines.clone();
    let mut units = 0;
    for back in &returned.lines {
        let Some(line) = lines.iter_mut().find(|line| line.line == back.line) else {
            return refused(view, "a return names a line that the order does not have");
        };
        match back_after(line, back.quantity) {
            Some(returned) => line.returned = returned,
            None => return refused(view, "more came back than was ordered"),
        }
        units += u64::from(back.quantity.get());
    }
    let Ok(refunded) = view.refunded.checked_add(returned.refund) else {
        return refused(view, "the refunds are too large to add up");
    };
    view.lines = lines;
    view.refunded = refunded;
    view.returns.push(ReturnView { return_id: returned.return_id, at: meta.occurred_at, units, refund: returned.refund });
    if view.lines.iter().all(|line| line.returned == line.quantity.get()) {
        view.status = OrderStatus::Returned;
    }
    Ok(view)
}

/// How many pieces of the line have come back after these.
fn back_after(line: &OrderLineView, back: Quantity) -> Option<u32> {
    line.returned.checked_add(back.get()).filter(|returned| *returned <= line.quantity.get())
}

const fn status_index(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Placed => "status:placed",
        OrderStatus::Confirmed => "status:confirmed",
        OrderStatus::Cancelled => "status:cancelled",
        OrderStatus::Shipped => "status:shipped",
        OrderStatus::Delivered => "status:delivered",
        OrderStatus::Returned => "status:returned",
    }
}

#[cfg(test)]
mod tests;
