//! Ids that follow from what they are for: whoever comes back, however late, names the same thing by the same id.

use events::{AttemptId, CaptureId, OrderId, PaymentId, ProductId, RefundId, ReservationId, VoidId};
use uuid::Uuid;

use crate::domain::saga::Step;

/// The namespace of the ids that fulfilment makes. Never changes.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f1a_0c1e_6e0d_4b5a_9a52_3f6c_6f72_6465);

/// The key of a step: `{order}:{step}`, and a number after it when an operator has it taken again after a refusal (`round`
/// from 1 on), because the answer to the first key will not change.
#[must_use]
pub fn key(order: OrderId, step: Step, round: u32) -> String {
    let key = format!("{}:{}", order.0.simple(), step.key());
    if round == 0 { key } else { format!("{key}:{round}") }
}

/// The only reservation of a product for an order.
#[must_use]
pub fn reservation(order: OrderId, product: ProductId) -> ReservationId {
    ReservationId(derived(&format!("{}:{}", order.0.simple(), product.0.simple())))
}

/// The only payment for an order.
#[must_use]
pub fn payment(order: OrderId) -> PaymentId {
    PaymentId(derived(&format!("{}:payment", order.0.simple())))
}

/// The attempt to get a payment authorised that a step's key stands for.
#[must_use]
pub fn attempt(key: &str) -> AttemptId {
    AttemptId(derived(key))
}

/// The capture that a step's key stands for.
#[must_use]
pub fn capture(key: &str) -> CaptureId {
    CaptureId(derived(key))
}

/// The void that a step's key stands for.
#[must_use]
pub fn void(key: &str) -> VoidId {
    VoidId(derived(key))
}

/// The refund that a step's key stands for.
#[must_use]
pub fn refund(key: &str) -> RefundId {
    RefundId(derived(key))
}

fn derived(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_change() {
        let (order, product) = (OrderId(Uuid::from_u128(1)), ProductId(Uuid::from_u128(2)));
        let first = key(order, Step::Authorise, 0);
        assert_eq!(first, "00000000000000000000000000000001:authorise");
        assert_eq!(key(order, Step::Void, 2), "00000000000000000000000000000001:void:2");
        assert!(key(order, Step::Reserve(product), 99).len() <= 128, "the longest that the command service takes");
        assert_eq!(payment(order), payment(order));
        assert_ne!(payment(order).0, attempt(&first).0);
        assert_ne!(reservation(order, product), reservation(order, ProductId(Uuid::from_u128(3))));
    }
}
