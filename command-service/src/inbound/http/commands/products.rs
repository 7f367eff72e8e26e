//! Commands on products.

use std::sync::Arc;

use events::{
    Context, Money, OrderId, ProductId, Quantity, ReservationId,
    products::AdjustmentReason,
    text::{ProductName, Sku},
};
use http::{Method, StatusCode};
use service_kit::{
    auth::Role::{self, Service, Staff},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{Call, CommandBody, Target, body, endpoint, send};
use crate::{
    application::{commands::Commands, writer::Answer},
    domain::product::{Command, Reserve, StockDelta},
};

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(endpoint::<CreateProduct>(Method::POST, "/v1/products"))
        .merge(endpoint::<ChangeProduct>(Method::PATCH, "/v1/products/{id}"))
        .merge(endpoint::<AdjustStock>(Method::POST, "/v1/products/{id}/stock-adjustments"))
        .merge(endpoint::<DiscontinueProduct>(Method::POST, "/v1/products/{id}/discontinue"))
        .merge(endpoint::<ReserveStock>(Method::POST, "/v1/products/{id}/reservations"))
        .merge(endpoint::<ReleaseStock>(Method::POST, "/v1/products/{id}/reservations/{reservation}/release"))
        .merge(endpoint::<CommitStock>(Method::POST, "/v1/products/{id}/reservations/{reservation}/commit"))
}

body! {
    /// `POST /v1/products`
    pub struct CreateProduct creates {
        sku: Sku,
        name: ProductName,
        price: Money,
    }
}

body! {
    /// `PATCH /v1/products/{id}`
    pub struct ChangeProduct {
        name: Option<ProductName>,
        price: Option<Money>,
    }
}

body! {
    /// `POST /v1/products/{id}/stock-adjustments`
    pub struct AdjustStock {
        delta: StockDelta,
        reason: AdjustmentReason,
    }
}

body! {
    /// `POST /v1/products/{id}/discontinue`
    pub struct DiscontinueProduct {}
}

body! {
    /// `POST /v1/products/{id}/reservations`
    pub struct ReserveStock {
        reservation_id: ReservationId,
        order_id: OrderId,
        quantity: Quantity,
    }
}

body! {
    /// `POST /v1/products/{id}/reservations/{reservation}/release`
    pub struct ReleaseStock {
        /// Named by the path; given here in a line of `/v1/commands` only.
        reservation_id: Option<ReservationId>,
    }
}

body! {
    /// `POST /v1/products/{id}/reservations/{reservation}/commit`
    pub struct CommitStock {
        /// Named by the path; given here in a line of `/v1/commands` only.
        reservation_id: Option<ReservationId>,
    }
}

impl CommandBody for CreateProduct {
    const NAME: &'static str = "create-product";
    const SUMMARY: &'static str = "Puts a product into the catalogue.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Products;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.products, call, target, Command::Create { sku: self.sku, name: self.name, price: self.price }).await
    }
}

impl CommandBody for ChangeProduct {
    const NAME: &'static str = "change-product";
    const SUMMARY: &'static str = "Changes a product's name, price, or both.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Products;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        if self.name.is_none() && self.price.is_none() {
            return Err(Problem::invalid_request("Give a name, a price, or both."));
        }
        send(&commands.products, call, target, Command::Change { name: self.name, price: self.price }).await
    }
}

impl CommandBody for AdjustStock {
    const NAME: &'static str = "adjust-stock";
    const SUMMARY: &'static str = "Corrects the stock on hand.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Products;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.products, call, target, Command::AdjustStock { delta: self.delta, reason: self.reason }).await
    }
}

impl CommandBody for DiscontinueProduct {
    const NAME: &'static str = "discontinue-product";
    const SUMMARY: &'static str = "Takes a product out of the catalogue, for good.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Products;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.products, call, target, Command::Discontinue).await
    }
}

impl CommandBody for ReserveStock {
    const NAME: &'static str = "reserve-stock";
    const SUMMARY: &'static str = "Sets stock aside for an order.";
    const ROLES: &'static [Role] = &[Service];
    const CONTEXT: Context = Context::Products;
    const STATUS: StatusCode = StatusCode::CREATED;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        let command = Command::Reserve(Reserve {
            product_id: ProductId(target.id),
            reservation_id: self.reservation_id,
            order_id: self.order_id,
            quantity: self.quantity,
        });
        send(&commands.products, call, target, command).await
    }
}

impl CommandBody for ReleaseStock {
    const NAME: &'static str = "release-stock";
    const SUMMARY: &'static str = "Makes reserved stock available again.";
    const ROLES: &'static [Role] = &[Service];
    const CONTEXT: Context = Context::Products;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        let reservation_id = reservation(call, self.reservation_id)?;
        send(&commands.products, call, target, Command::Release { reservation_id }).await
    }
}

impl CommandBody for CommitStock {
    const NAME: &'static str = "commit-stock";
    const SUMMARY: &'static str = "Says that reserved stock has left.";
    const ROLES: &'static [Role] = &[Service];
    const CONTEXT: Context = Context::Products;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        let reservation_id = reservation(call, self.reservation_id)?;
        send(&commands.products, call, target, Command::Commit { reservation_id }).await
    }
}

fn reservation(call: &Call, in_body: Option<ReservationId>) -> Result<ReservationId, Problem> {
    call.part("/reservation_id", in_body.map(Uuid::from)).map(ReservationId)
}
