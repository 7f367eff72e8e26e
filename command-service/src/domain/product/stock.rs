//! What there is of a product, and what of that is set aside.

use std::collections::BTreeMap;

use events::{OrderId, Quantity, ReservationId};
use serde::{Deserialize, Serialize};

use super::{ProductError, StockDelta};

/// The most pieces on hand: 2^53 − 1, so that a reader that parses JSON numbers as doubles never rounds them.
pub const MAX_ON_HAND: u64 = (1 << 53) - 1;

/// The most reservations that are open at once, so that a product's state and its snapshots stay bounded (about 10 MB of
/// JSON). At 10,000 orders/s for one product it is ten seconds' worth.
pub const MAX_OPEN_RESERVATIONS: usize = 100_000;

/// What there is of a product. Never less on hand than is set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Stock {
    on_hand: u64,
    /// The sum over `reservations`: kept, because adding up thousands for every command would be slow.
    reserved: u64,
    reservations: BTreeMap<ReservationId, Reservation>,
}

/// Stock that is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// For which order.
    pub order_id: OrderId,
    /// How many pieces.
    pub quantity: Quantity,
}

/// [`Stock`] as a snapshot has it; the sum is computed anew.
#[derive(Deserialize)]
struct Stored {
    on_hand: u64,
    reservations: BTreeMap<ReservationId, Reservation>,
}

impl From<Stored> for Stock {
    fn from(Stored { on_hand, reservations }: Stored) -> Self {
        let reserved = reservations.values().map(|reservation| u64::from(reservation.quantity.get())).sum();
        Self { on_hand, reserved, reservations }
    }
}

impl Stock {
    /// Pieces that are there, set aside or not.
    #[must_use]
    pub const fn on_hand(&self) -> u64 {
        self.on_hand
    }

    /// Pieces that are set aside.
    #[must_use]
    pub const fn set_aside(&self) -> u64 {
        self.reserved
    }

    /// Pieces that can be set aside or taken out.
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }

    /// The open reservation with this id.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }

    pub(super) fn open(&self, id: ReservationId) -> Result<Reservation, ProductError> {
        self.reservation(id).copied().ok_or(ProductError::ReservationNotFound)
    }

    pub(super) fn check_adjust(&self, delta: StockDelta) -> Result<(), ProductError> {
        let asked = delta.get().unsigned_abs();
        if delta.get() > 0 {
            let fits = self.on_hand.checked_add(asked).is_some_and(|sum| sum <= MAX_ON_HAND);
            return if fits { Ok(()) } else { Err(ProductError::StockOverflow) };
        }
        self.check_available(asked)
    }

    pub(super) fn check_reserve(&self, quantity: Quantity) -> Result<(), ProductError> {
        if self.reservations.len() >= MAX_OPEN_RESERVATIONS {
            return Err(ProductError::TooManyReservations);
        }
        self.check_available(u64::from(quantity.get()))
    }

    fn check_available(&self, asked: u64) -> Result<(), ProductError> {
        let available = self.available();
        if asked > available { Err(ProductError::InsufficientStock { available, asked }) } else { Ok(()) }
    }

    pub(super) fn adjusted(&mut self, delta: i64) {
        self.on_hand = self.on_hand.saturating_add_signed(delta);
    }

    pub(super) fn reserved(&mut self, id: ReservationId, reservation: Reservation) {
        self.released(id);
        self.reserved = self.reserved.saturating_add(u64::from(reservation.quantity.get()));
        self.reservations.insert(id, reservation);
    }

    pub(super) fn released(&mut self, id: ReservationId) {
        if let Some(ended) = self.reservations.remove(&id) {
            self.reserved = self.reserved.saturating_sub(u64::from(ended.quantity.get()));
        }
    }

    pub(super) fn committed(&mut self, id: ReservationId, quantity: Quantity) {
        self.released(id);
        self.on_hand = self.on_hand.saturating_sub(u64::from(quantity.get()));
    }
}
