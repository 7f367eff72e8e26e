//! Orders, payments, users and products, stored as the projector stores them.

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    AttemptId, Context, Currency, MinorUnits, Money, OrderId, PaymentId, ProductId, Quantity, UserId, orders::Fulfilment,
};
use read_model::{
    Flags, Header, OrderStatus, OrderView, PaymentStatus, PaymentView, ProductStatus, ProductView, UserStatus, UserView, index,
    order::OrderLineView, user::EMAIL_OWNERS,
};
use uuid::Uuid;

use super::{Shop, at_version};

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number)
}

pub(crate) fn day(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_291_161_600, 0).unwrap() + TimeDelta::days(day)
}

pub(crate) fn order(number: u128, user: Option<u128>) -> OrderView {
    OrderView {
        id: OrderId(id(number)),
        version: 1,
        status: OrderStatus::Placed,
        user_id: user.map(|user| UserId(id(user))),
        fulfilment: Fulfilment::Managed,
        currency: Currency::GBP,
        lines: vec![OrderLineView {
            line: 1,
            product_id: ProductId(id(900)),
            quantity: Quantity::new(6).unwrap(),
            unit_price: MinorUnits::new(255).unwrap(),
            returned: 0,
        }],
        total: MinorUnits::new(1_530).unwrap(),
        refunded: MinorUnits::ZERO,
        placed_at: day(number.try_into().unwrap()),
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

/// Requested on the day of its number.
pub(crate) fn payment(number: u128, of_order: u128, user: Option<u128>) -> PaymentView {
    PaymentView {
        id: PaymentId(id(number)),
        version: 1,
        status: PaymentStatus::Requested,
        order_id: OrderId(id(of_order)),
        user_id: user.map(|user| UserId(id(user))),
        currency: Currency::GBP,
        amount: MinorUnits::new(1_530).unwrap(),
        captured: MinorUnits::ZERO,
        refunded: MinorUnits::ZERO,
        attempt_id: AttemptId(id(1_000 + number)),
        requested_at: day(number.try_into().unwrap()),
        authorised_at: None,
        reference: None,
        declined_at: None,
        decline_reason: None,
        voided_at: None,
        expired_at: None,
        captures: Vec::new(),
        voids: Vec::new(),
        refunds: Vec::new(),
    }
}

pub(crate) fn user(number: u128, email: &str) -> UserView {
    UserView {
        id: UserId(id(number)),
        version: 1,
        status: UserStatus::Active,
        name: Some(format!("User {number}")),
        email: Some(email.to_owned()),
        payment_method_set_at: None,
        registered_at: day(0),
        deactivated_at: None,
    }
}

pub(crate) fn product(number: u128, name: &str, available: i64) -> ProductView {
    ProductView {
        id: ProductId(id(number)),
        version: 1,
        status: ProductStatus::Active,
        sku: format!("SKU{number}"),
        name: name.to_owned(),
        price: Money { minor: MinorUnits::new(255).unwrap(), currency: Currency::GBP },
        on_hand: available + 2,
        reserved: 2,
        available,
        created_at: day(0),
    }
}

impl Shop {
    pub(crate) async fn put_order(&self, order: &OrderView) {
        let (id, member) = (order.id.0, index::timed(order.placed_at, order.id.0));
        let header = Header { flags: Flags::NONE, version: order.version, owner: order.user_id.map(|user| user.0) };
        self.put(Context::Orders, id, header, order).await;
        self.index(Context::Orders, id, "recent", &member).await;
        self.index(Context::Orders, id, &format!("status:{}", order.status.name()), &member).await;
        if let Some(user) = order.user_id {
            self.index(Context::Orders, id, &format!("user:{}", user.0.simple()), &member).await;
        }
    }

    pub(crate) async fn put_payment(&self, payment: &PaymentView) {
        let id = payment.id.0;
        let header = Header { owner: payment.user_id.map(|user| user.0), ..at_version(payment.version) };
        self.put(Context::Payments, id, header, payment).await;
        let list = format!("order:{}", payment.order_id.0.simple());
        self.index(Context::Payments, id, &list, &index::timed(payment.requested_at, id)).await;
    }

    pub(crate) async fn put_user(&self, user: &UserView) {
        let id = user.id.0;
        self.put(Context::Users, id, Header { owner: Some(id), ..at_version(user.version) }, user).await;
        if let Some(email) = &user.email {
            let owners = self.slot(Context::Users, id).owners(EMAIL_OWNERS);
            self.command(redis::cmd("HSET").arg(owners).arg(email.to_lowercase()).arg(id.simple().to_string())).await;
        }
    }

    pub(crate) async fn put_product(&self, product: &ProductView) {
        let id = product.id.0;
        self.put(Context::Products, id, at_version(product.version), product).await;
        self.index(Context::Products, id, "name", &index::named(&product.name, id)).await;
        if product.status == ProductStatus::Active {
            self.index(Context::Products, id, "stock", &index::counted(product.available, id)).await;
        }
    }
}
