//! Strategies for events of every type.

use events::{
    AttemptId, CaptureId, Currency, MinorUnits, Money, OrderEvent, OrderId, PaymentEvent, Personal, ProductEvent, ProductId,
    Quantity, RefundId, ReservationId, ReturnId, UserEvent, UserId, VoidId,
    money::{MAX_MINOR, MAX_QUANTITY},
    orders::{
        Fulfilment, OrderCancelled, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderReturned, OrderShipped,
        ReturnedLine,
    },
    payments::{
        CaptureFailed, CaptureRequested, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
        PaymentRequested, PaymentVoided, RefundFailed, RefundRequested, VoidFailed, VoidRequested,
    },
    products::{
        AdjustmentReason, ProductCreated, ProductDiscontinued, ProductRenamed, ProductRepriced, StockAdjusted, StockCommitted,
        StockReleased, StockReserved,
    },
    text::{Carrier, PaymentMethod, ProductName, ProviderReference, Reason, Sku, TrackingCode},
    users::{UserDeactivated, UserEmailChanged, UserNameChanged, UserPaymentMethodChanged, UserRegistered},
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::json;
use uuid::Uuid;

pub(crate) fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn minor() -> impl Strategy<Value = MinorUnits> {
    (0..=MAX_MINOR).prop_map(|minor| MinorUnits::new(minor).unwrap())
}

fn currency() -> impl Strategy<Value = Currency> {
    prop_oneof![Just(Currency::GBP), Just(Currency::EUR)]
}

fn money() -> impl Strategy<Value = Money> {
    (minor(), currency()).prop_map(|(minor, currency)| Money { minor, currency })
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (1..=MAX_QUANTITY).prop_map(|pieces| Quantity::new(pieces).unwrap())
}

/// Texts of all scripts that have something in them and nothing to trim.
fn text() -> impl Strategy<Value = String> {
    r#"[\PC&&[^ ]]([\PC"\\]{0,30}[\PC&&[^ ]])?"#.prop_filter("nothing to trim", |text| text.trim() == text)
}

fn reason() -> impl Strategy<Value = Reason> {
    text().prop_map(|text| Reason::parse(&text).unwrap())
}

fn method() -> impl Strategy<Value = PaymentMethod> {
    "[!-~]{1,200}".prop_map(|token| PaymentMethod::parse(&token).unwrap())
}

fn personal<T: serde::Serialize + serde::de::DeserializeOwned>() -> impl Strategy<Value = Personal<T>> {
    (uuid(), "[A-Za-z0-9+/]{40,80}")
        .prop_map(|(kid, ct)| serde_json::from_value(json!({ "kid": kid, "ct": ct })).unwrap())
        .no_shrink()
}

pub(crate) fn user_event() -> impl Strategy<Value = UserEvent> {
    prop_oneof![
        (personal(), personal()).prop_map(|(name, email)| UserRegistered { name, email }.into()),
        personal().prop_map(|name| UserNameChanged { name }.into()),
        personal().prop_map(|email| UserEmailChanged { email }.into()),
        option::of(method()).prop_map(|method| UserPaymentMethodChanged { method }.into()),
        option::of(reason()).prop_map(|reason| UserDeactivated { reason }.into()),
    ]
}

fn adjustment_reason() -> impl Strategy<Value = AdjustmentReason> {
    use AdjustmentReason::{Counted, Damaged, Imported, Lost, Other, Received, Returned};
    proptest::sample::select(vec![Received, Counted, Damaged, Lost, Returned, Imported, Other])
}

pub(crate) fn product_event() -> impl Strategy<Value = ProductEvent> {
    let name = || text().prop_map(|name| ProductName::parse(&name).unwrap());
    let sku = text().prop_map(|sku| Sku::parse(&sku).unwrap());
    let stock = || (uuid().prop_map(ReservationId), uuid().prop_map(OrderId), quantity());
    prop_oneof![
        (sku, name(), money()).prop_map(|(sku, name, price)| ProductCreated { sku, name, price }.into()),
        name().prop_map(|name| ProductRenamed { name }.into()),
        money().prop_map(|price| ProductRepriced { price }.into()),
        Just(ProductDiscontinued {}.into()),
        (any::<i64>(), adjustment_reason()).prop_map(|(delta, reason)| StockAdjusted { delta, reason }.into()),
        stock().prop_map(|(reservation_id, order_id, quantity)| StockReserved { reservation_id, order_id, quantity }.into()),
        stock().prop_map(|(reservation_id, order_id, quantity)| StockReleased { reservation_id, order_id, quantity }.into()),
        stock().prop_map(|(reservation_id, order_id, quantity)| StockCommitted { reservation_id, order_id, quantity }.into()),
    ]
}

fn placed() -> impl Strategy<Value = OrderPlaced> {
    let line = (1_u16..=2000, uuid(), 1..=u64::MAX, quantity(), minor()).prop_map(
        |(line, product_id, product_version, quantity, unit_price)| OrderLine {
            line,
            product_id: ProductId(product_id),
            product_version,
            quantity,
            unit_price,
        },
    );
    let fulfilment = prop_oneof![Just(Fulfilment::Managed), Just(Fulfilment::External)];
    (option::of(uuid().prop_map(UserId)), fulfilment, currency(), vec(line, 1..5), minor(), option::of(method())).prop_map(
        |(user_id, fulfilment, currency, lines, total, payment_method)| OrderPlaced {
            user_id,
            fulfilment,
            currency,
            lines,
            total,
            payment_method,
        },
    )
}

fn returned() -> impl Strategy<Value = OrderReturned> {
    let line = (1_u16..=2000, quantity(), minor()).prop_map(|(line, quantity, refund)| ReturnedLine { line, quantity, refund });
    (uuid().prop_map(ReturnId), vec(line, 1..5), minor(), option::of(reason()))
        .prop_map(|(return_id, lines, refund, reason)| OrderReturned { return_id, lines, refund, reason })
}

pub(crate) fn order_event() -> impl Strategy<Value = OrderEvent> {
    let carrier = option::of(text().prop_map(|carrier| Carrier::parse(&carrier).unwrap()));
    let tracking = option::of(text().prop_map(|code| TrackingCode::parse(&code).unwrap()));
    prop_oneof![
        placed().prop_map_into(),
        Just(OrderConfirmed {}.into()),
        reason().prop_map(|reason| OrderCancelled { reason }.into()),
        (carrier, tracking).prop_map(|(carrier, tracking)| OrderShipped { carrier, tracking }.into()),
        Just(OrderDelivered {}.into()),
        returned().prop_map_into(),
    ]
}

fn requested() -> impl Strategy<Value = PaymentRequested> {
    (uuid(), uuid(), option::of(uuid().prop_map(UserId)), money(), method()).prop_map(
        |(attempt, order, user_id, amount, method)| PaymentRequested {
            attempt_id: AttemptId(attempt),
            order_id: OrderId(order),
            user_id,
            amount,
            method,
        },
    )
}

pub(crate) fn payment_event() -> impl Strategy<Value = PaymentEvent> {
    let reference = || text().prop_map(|text| ProviderReference::parse(&text).unwrap());
    let attempt = || uuid().prop_map(AttemptId);
    let capture = || (uuid().prop_map(CaptureId), money());
    let void = || uuid().prop_map(VoidId);
    let refund = || (uuid().prop_map(RefundId), money());
    prop_oneof![
        requested().prop_map_into(),
        (attempt(), money(), reference()).prop_map(|(attempt_id, amount, reference)| PaymentAuthorised {
            attempt_id,
            amount,
            reference
        }
        .into()),
        (attempt(), reason()).prop_map(|(attempt_id, reason)| PaymentDeclined { attempt_id, reason }.into()),
        Just(PaymentExpired {}.into()),
        capture().prop_map(|(capture_id, amount)| CaptureRequested { capture_id, amount }.into()),
        (capture(), reference())
            .prop_map(|((capture_id, amount), reference)| PaymentCaptured { capture_id, amount, reference }.into()),
        (capture(), reason()).prop_map(|((capture_id, amount), reason)| CaptureFailed { capture_id, amount, reason }.into()),
        void().prop_map(|void_id| VoidRequested { void_id }.into()),
        (void(), reference()).prop_map(|(void_id, reference)| PaymentVoided { void_id, reference }.into()),
        (void(), reason()).prop_map(|(void_id, reason)| VoidFailed { void_id, reason }.into()),
        refund().prop_map(|(refund_id, amount)| RefundRequested { refund_id, amount }.into()),
        (refund(), reference())
            .prop_map(|((refund_id, amount), reference)| PaymentRefunded { refund_id, amount, reference }.into()),
        (refund(), reason()).prop_map(|((refund_id, amount), reason)| RefundFailed { refund_id, amount, reason }.into()),
    ]
}
