//! What can be asked of an order, and what it has to know of users and products to decide.

use events::{
    Currency, Money, ProductId, Quantity, ReturnId, UserId,
    orders::Fulfilment,
    text::{Carrier, PaymentMethod, Reason, TrackingCode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What can be asked of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Places it.
    Place(PlaceOrder),
    /// Promises to fulfil it.
    Confirm,
    /// Gives it up, before it ships.
    Cancel {
        /// Why.
        reason: Reason,
    },
    /// Sends the goods.
    Ship {
        /// With whom.
        carrier: Option<Carrier>,
        /// Under which code.
        tracking: Option<TrackingCode>,
    },
    /// Notes that the goods arrived.
    Deliver,
    /// Takes some or all of the goods back.
    Return(Return),
}

/// Places an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Who orders.
    pub customer: Customer,
    /// Who carries it out. External orders tell history: products may be discontinued and users deactivated since.
    pub fulfilment: Fulfilment,
    /// The currency that every price must have; that of the first line unless given.
    pub currency: Option<Currency>,
    /// What is ordered; the first line gets the number 1.
    pub lines: Vec<NewLine>,
    /// What to pay with; none when that is not known.
    pub payment_method: Option<PaymentMethod>,
}

/// Who orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Customer {
    /// Somebody without an account.
    Guest,
    /// A user.
    User {
        /// Which one.
        id: UserId,
        /// How they stand.
        standing: Standing,
    },
}

/// What an order needs to know of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// May order.
    Active,
    /// Has closed the account.
    Deactivated,
    /// Does not exist.
    Unknown,
}

/// What is known of a user who orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payer {
    /// How they stand.
    pub standing: Standing,
    /// What they pay with unless the order says otherwise.
    pub payment_method: Option<PaymentMethod>,
}

/// One line of a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine {
    /// What is ordered. A product may stand on several lines.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
    /// What is known of the product; nothing when it does not exist.
    pub quote: Option<ProductQuote>,
    /// The price of one piece that was agreed on, in place of the list price.
    pub negotiated: Option<Money>,
}

/// What an order needs to know of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductQuote {
    /// The version of the product that the price was read at.
    pub version: u64,
    /// The list price of one piece.
    pub price: Money,
    /// Whether it can be ordered; discontinued products can't.
    pub orderable: bool,
}

/// Takes some or all of the goods back. Repeating it under the same id changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The return, chosen by the caller and used once.
    pub return_id: ReturnId,
    /// Line numbers, and how many pieces of each came back. A line is named once at most.
    pub lines: Vec<(u16, Quantity)>,
    /// Why, in a person's words.
    pub reason: Option<Reason>,
}
