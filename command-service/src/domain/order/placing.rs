//! Placing an order: everyone and everything in it is known, in one currency, and adds up.

use events::{
    Currency, MinorUnits,
    orders::{Fulfilment, OrderLine, OrderPlaced},
};

use super::{Customer, Line, NewLine, OrderError, PlaceOrder, ProductQuote, Standing, Terms};

/// The most lines of one order. The real orders that we know have up to 1,114.
pub const MAX_LINES: usize = 2_000;

/// The event that places an order which does not exist yet.
pub(super) fn place(asked: &PlaceOrder) -> Result<OrderPlaced, OrderError> {
    let PlaceOrder { customer, fulfilment, ref lines, .. } = *asked;
    if lines.len() > MAX_LINES {
        return Err(OrderError::TooManyLines { lines: lines.len() });
    }
    let user_id = match customer {
        Customer::Guest => None,
        Customer::User { standing: Standing::Unknown, .. } => return Err(OrderError::UnknownUser),
        Customer::User { standing: Standing::Deactivated, .. } if fulfilment == Fulfilment::Managed => {
            return Err(OrderError::CustomerDeactivated);
        }
        Customer::User { id, standing: Standing::Active | Standing::Deactivated } => Some(id),
    };
    let (mut currency, mut total, mut priced) = (asked.currency, MinorUnits::ZERO, Vec::with_capacity(lines.len()));
    for (number, line) in (1_u16..).zip(lines) {
        let (line, of_line) = price(number, line, fulfilment)?;
        let expected = *currency.get_or_insert(of_line);
        if of_line != expected {
            return Err(OrderError::CurrencyMismatch { line: number, expected, found: of_line });
        }
        let amount = line.unit_price.times(line.quantity).and_then(|amount| total.checked_add(amount));
        total = amount.map_err(|_| OrderError::TotalTooLarge { line: number })?;
        priced.push(line);
    }
    match currency {
        Some(currency) if !priced.is_empty() => {
            let payment_method = asked.payment_method.clone();
            Ok(OrderPlaced { user_id, fulfilment, currency, lines: priced, total, payment_method })
        }
        Some(_) | None => Err(OrderError::NoLines),
    }
}

/// The line as it is ordered, and the currency of its price.
fn price(number: u16, line: &NewLine, fulfilment: Fulfilment) -> Result<(OrderLine, Currency), OrderError> {
    let NewLine { product_id, quantity, quote, negotiated } = *line;
    let ProductQuote { version, price, orderable } = quote.ok_or(OrderError::UnknownProduct { line: number, product_id })?;
    if !orderable && fulfilment == Fulfilment::Managed {
        return Err(OrderError::ProductDiscontinued { line: number, product_id });
    }
    let price = negotiated.unwrap_or(price);
    Ok((OrderLine { line: number, product_id, product_version: version, quantity, unit_price: price.minor }, price.currency))
}

impl From<&OrderPlaced> for Terms {
    fn from(placed: &OrderPlaced) -> Self {
        let lines = placed.lines.iter();
        let lines = lines.map(|&OrderLine { product_id, quantity, unit_price, .. }| Line { product_id, quantity, unit_price });
        Self {
            user_id: placed.user_id,
            fulfilment: placed.fulfilment,
            currency: placed.currency,
            total: placed.total,
            lines: lines.collect(),
        }
    }
}
