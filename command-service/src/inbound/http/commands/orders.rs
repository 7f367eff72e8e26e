//! Commands on orders.

use std::sync::Arc;

use events::{
    Context, Currency, Money, ProductId, Quantity, ReturnId, UserId,
    orders::Fulfilment,
    text::{Carrier, PaymentMethod, Reason, TrackingCode},
};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::Role::{self, Customer, Service, Staff},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{Call, CommandBody, Target, body, endpoint, send};
use crate::{
    application::{commands::Commands, writer::Answer},
    domain::order::{self, Command, MAX_LINES, NewLine, Payer, ProductQuote, Return},
    inbound::http::problems,
};

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(endpoint::<PlaceOrder>(Method::POST, "/v1/orders"))
        .merge(endpoint::<ConfirmOrder>(Method::POST, "/v1/orders/{id}/confirm"))
        .merge(endpoint::<CancelOrder>(Method::POST, "/v1/orders/{id}/cancel"))
        .merge(endpoint::<ShipOrder>(Method::POST, "/v1/orders/{id}/ship"))
        .merge(endpoint::<DeliverOrder>(Method::POST, "/v1/orders/{id}/deliver"))
        .merge(endpoint::<ReturnOrder>(Method::POST, "/v1/orders/{id}/returns"))
}

body! {
    /// `POST /v1/orders`
    pub struct PlaceOrder creates {
        /// Who orders; nobody for a guest. A customer orders for themselves.
        user_id: Option<UserId>,
        #[serde(default)]
        fulfilment: Fulfilment,
        /// In which all prices must be; that of the first product unless given.
        currency: Option<Currency>,
        #[schemars(length(max = MAX_LINES))]
        lines: Vec<Line>,
        /// A provider's token; what the user pays with unless given.
        // Not hashed when it is absent: a retry across the upgrade that brought it is the same request.
        #[serde(skip_serializing_if = "Option::is_none")]
        payment_method: Option<PaymentMethod>,
    }
}

/// One line of [`PlaceOrder`].
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOrderLine")]
pub(super) struct Line {
    product_id: ProductId,
    quantity: Quantity,
    /// A price of one piece that was agreed on, in place of the list price: for staff and services.
    unit_price: Option<Money>,
}

body! {
    /// `POST /v1/orders/{id}/confirm`
    pub struct ConfirmOrder {}
}

body! {
    /// `POST /v1/orders/{id}/cancel`
    pub struct CancelOrder {
        reason: Reason,
    }
}

body! {
    /// `POST /v1/orders/{id}/ship`
    pub struct ShipOrder {
        carrier: Option<Carrier>,
        tracking: Option<TrackingCode>,
    }
}

body! {
    /// `POST /v1/orders/{id}/deliver`
    pub struct DeliverOrder {}
}

body! {
    /// `POST /v1/orders/{id}/returns`
    pub struct ReturnOrder {
        /// Chosen by the caller, and used once; made here unless given.
        return_id: Option<ReturnId>,
        #[schemars(length(max = MAX_LINES))]
        lines: Vec<ReturnLine>,
        reason: Option<Reason>,
    }
}

/// One line of [`ReturnOrder`].
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReturnLine {
    line: u16,
    quantity: Quantity,
}

impl CommandBody for PlaceOrder {
    const NAME: &'static str = "place-order";
    const SUMMARY: &'static str = "Places an order.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Orders;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        let user_id = self.permitted(call)?;
        if self.lines.len() > MAX_LINES {
            return Err(Problem::invalid_field(
                call.field("/lines"),
                format!("has {} lines; at most {MAX_LINES} are allowed", self.lines.len()),
            ));
        }
        let (payer, quotes) = tokio::try_join!(payer_of(commands, user_id), self.quotes(commands))?;
        let customer = match (user_id, &payer) {
            (Some(id), Some(payer)) => order::Customer::User { id, standing: payer.standing },
            (Some(id), None) => order::Customer::User { id, standing: order::Standing::Unknown },
            (None, _) => order::Customer::Guest,
        };
        let default_method = payer.and_then(|payer| payer.payment_method);
        // Whoever carries an external order out is paid for it, too.
        let default_method = default_method.filter(|_| self.fulfilment == Fulfilment::Managed);
        let lines = self.lines.into_iter().zip(quotes).map(|(line, quote)| NewLine {
            product_id: line.product_id,
            quantity: line.quantity,
            quote,
            negotiated: line.unit_price,
        });
        let place = order::PlaceOrder {
            customer,
            fulfilment: self.fulfilment,
            currency: self.currency,
            lines: lines.collect(),
            payment_method: self.payment_method.or(default_method),
        };
        send(&commands.orders, call, target, Command::Place(place)).await
    }
}

/// What is known of the user; none for a guest.
async fn payer_of(commands: &Commands, user: Option<UserId>) -> Result<Option<Payer>, Problem> {
    let Some(user) = user else { return Ok(None) };
    let payers = problems::here(commands.payers.as_ref(), Context::Users)?;
    Ok(payers.get(&[user.0]).await.map_err(problems::unknown)?.into_iter().next())
}

impl PlaceOrder {
    /// What is known of the product of each line.
    async fn quotes(&self, commands: &Commands) -> Result<Vec<Option<ProductQuote>>, Problem> {
        let products: Vec<Uuid> = self.lines.iter().map(|line| line.product_id.0).collect();
        let quotes = problems::here(commands.quotes.as_ref(), Context::Products)?;
        quotes.get(&products).await.map_err(problems::unknown)
    }

    /// Who the order is for, after checking what a customer may ask for.
    fn permitted(&self, call: &Call) -> Result<Option<UserId>, Problem> {
        if !call.principal.is_customer_only() {
            return Ok(self.user_id);
        }
        let own = call.principal.subject_id().ok_or_else(|| Problem::forbidden("The token's subject is no user id."))?;
        if self.user_id.is_some_and(|user| user.0 != own) {
            return Err(Problem::not_found("There is no such user."));
        }
        if self.fulfilment == Fulfilment::External {
            return Err(Problem::forbidden("Only staff and services may place external orders."));
        }
        if self.lines.iter().any(|line| line.unit_price.is_some()) {
            return Err(Problem::forbidden("Only staff and services may give negotiated prices."));
        }
        Ok(Some(UserId(own)))
    }
}

impl CommandBody for ConfirmOrder {
    const NAME: &'static str = "confirm-order";
    const SUMMARY: &'static str = "Confirms an order: it will be fulfilled.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Orders;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.orders, call, target, Command::Confirm).await
    }
}

impl CommandBody for CancelOrder {
    const NAME: &'static str = "cancel-order";
    const SUMMARY: &'static str = "Cancels an order that has not left yet.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Orders;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        if call.principal.is_customer_only() {
            let owner = commands.owner_of_order(target.id).await.map_err(problems::read_failed)?;
            if !owner.is_some_and(|owner| call.principal.may_act_for(owner.0)) {
                return Err(Problem::not_found("There is no such order."));
            }
        }
        send(&commands.orders, call, target, Command::Cancel { reason: self.reason }).await
    }
}

impl CommandBody for ShipOrder {
    const NAME: &'static str = "ship-order";
    const SUMMARY: &'static str = "Says that an order is on its way.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Orders;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.orders, call, target, Command::Ship { carrier: self.carrier, tracking: self.tracking }).await
    }
}

impl CommandBody for DeliverOrder {
    const NAME: &'static str = "deliver-order";
    const SUMMARY: &'static str = "Says that an order has arrived.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Orders;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.orders, call, target, Command::Deliver).await
    }
}

impl CommandBody for ReturnOrder {
    const NAME: &'static str = "return-order";
    const SUMMARY: &'static str = "Takes some or all of an order's goods back.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Orders;
    const STATUS: StatusCode = StatusCode::CREATED;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        if self.lines.len() > MAX_LINES {
            return Err(Problem::invalid_field(
                call.field("/lines"),
                format!("has {} lines; at most {MAX_LINES} are allowed", self.lines.len()),
            ));
        }
        // Without an id of the caller's, the idempotency key makes a repeated return the same one.
        let derived = target.request.key.map(|key| commands.digests.derived_id(key.id));
        let return_id = self.return_id.unwrap_or_else(|| ReturnId(derived.unwrap_or_else(Uuid::now_v7)));
        let lines = self.lines.iter().map(|line| (line.line, line.quantity)).collect();
        send(&commands.orders, call, target, Command::Return(Return { return_id, lines, reason: self.reason })).await
    }
}
