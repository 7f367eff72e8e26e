//! Payments: the view, and the list of an order's payments.

use events::{
    MinorUnits, Money, PaymentEvent,
    payments::PaymentRequested,
    text::{ProviderReference, Reason},
};
use read_model::{
    PaymentStatus, PaymentView,
    payment::{StepStatus, StepView},
};
use uuid::Uuid;

use super::{Folded, IndexEntry, IndexName, KeyRing, Meta, Projection, existing, refused};

/// See the module.
pub struct PaymentProjection;

impl Projection for PaymentProjection {
    type View = PaymentView;
    type Event = PaymentEvent;

    const VERSION: u32 = 1;

    fn apply(view: Option<PaymentView>, event: &PaymentEvent, meta: &Meta, _keys: &KeyRing) -> Folded<PaymentView> {
        if let (PaymentEvent::Requested(requested), None) = (event, &view) {
            return Ok(request(requested, meta));
        }
        let view = existing(view)?;
        // On a copy, so that a refusal leaves the view as it was.
        let mut next = view.clone();
        if let Err(cause) = change(&mut next, event, meta) {
            return refused(view, cause);
        }
        next.status = status(&next);
        next.version = meta.version;
        Ok(next)
    }

    fn version(view: &PaymentView) -> u64 {
        view.version
    }

    fn owner(view: &PaymentView) -> Option<Uuid> {
        view.user_id.map(Uuid::from)
    }

    fn index_entries(view: &PaymentView) -> Vec<IndexEntry> {
        vec![IndexEntry::timed(IndexName::of("order:", view.order_id.0), view.requested_at, view.id.0)]
    }

    fn size(view: &PaymentView) -> usize {
        let steps = || [&view.captures, &view.voids, &view.refunds].into_iter();
        let texts = steps().flatten().flat_map(|step| [&step.reference, &step.reason]);
        size_of::<PaymentView>()
            + steps().map(|steps| steps.capacity() * size_of::<StepView>()).sum::<usize>()
            + texts.chain([&view.reference, &view.decline_reason]).flatten().map(String::capacity).sum::<usize>()
    }
}

fn request(requested: &PaymentRequested, meta: &Meta) -> PaymentView {
    PaymentView {
        id: meta.stream.into(),
        version: meta.version,
        status: PaymentStatus::Requested,
        order_id: requested.order_id,
        user_id: requested.user_id,
        currency: requested.amount.currency,
        amount: requested.amount.minor,
        captured: MinorUnits::ZERO,
        refunded: MinorUnits::ZERO,
        attempt_id: requested.attempt_id,
        requested_at: meta.occurred_at,
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

fn status(view: &PaymentView) -> PaymentStatus {
    if view.captured > MinorUnits::ZERO {
        if view.refunded == view.captured { PaymentStatus::Refunded } else { PaymentStatus::Captured }
    } else if view.voided_at.is_some() {
        PaymentStatus::Voided
    } else if view.expired_at.is_some() {
        PaymentStatus::Expired
    } else if view.authorised_at.is_some() {
        PaymentStatus::Authorised
    } else if view.declined_at.is_some() {
        PaymentStatus::Declined
    } else {
        PaymentStatus::Requested
    }
}

/// Changes the view, or says why that can't have happened; then the view is of no use any more.
fn change(view: &mut PaymentView, event: &PaymentEvent, meta: &Meta) -> Result<(), &'static str> {
    let at = Some(meta.occurred_at);
    match event {
        PaymentEvent::Requested(requested) => {
            if view.declined_at.is_none() || view.authorised_at.is_some() {
                return Err("a payment is requested again only after a decline");
            }
            if (requested.order_id, requested.amount) != (view.order_id, money(view, view.amount)) {
                return Err("a payment is requested again for another order or amount");
            }
            view.attempt_id = requested.attempt_id;
            (view.declined_at, view.decline_reason) = (None, None);
        }
        PaymentEvent::Authorised(authorised) => {
            if authorised.attempt_id != view.attempt_id || authorised.amount != money(view, view.amount) || is_answered(view) {
                return Err("what is authorised is not what was requested");
            }
            view.authorised_at = at;
            view.reference = Some(authorised.reference.as_str().to_owned());
        }
        PaymentEvent::Declined(declined) => {
            if declined.attempt_id != view.attempt_id || is_answered(view) {
                return Err("what is declined is not what was requested");
            }
            view.declined_at = at;
            view.decline_reason = Some(declined.reason.as_str().to_owned());
            moot(&mut view.voids, meta);
        }
        PaymentEvent::Expired(_) => {
            view.expired_at = at;
            moot(&mut view.voids, meta);
        }
        PaymentEvent::CaptureRequested(asked) => ask(&mut view.captures, asked.capture_id.0, Some(asked.amount), meta),
        PaymentEvent::Captured(captured) => {
            succeed(&mut view.captures, captured.capture_id.0, &captured.reference, meta)?;
            let sum = view.captured.checked_add(captured.amount.minor).ok().filter(|sum| *sum <= view.amount);
            view.captured = sum.ok_or("more is captured than was authorised")?;
        }
        PaymentEvent::CaptureFailed(failed) => fail(&mut view.captures, failed.capture_id.0, &failed.reason, meta)?,
        PaymentEvent::VoidRequested(asked) => ask(&mut view.voids, asked.void_id.0, None, meta),
        PaymentEvent::Voided(voided) => {
            succeed(&mut view.voids, voided.void_id.0, &voided.reference, meta)?;
            view.voided_at = at;
        }
        PaymentEvent::VoidFailed(failed) => fail(&mut view.voids, failed.void_id.0, &failed.reason, meta)?,
        PaymentEvent::RefundRequested(asked) => ask(&mut view.refunds, asked.refund_id.0, Some(asked.amount), meta),
        PaymentEvent::Refunded(refunded) => {
            succeed(&mut view.refunds, refunded.refund_id.0, &refunded.reference, meta)?;
            let sum = view.refunded.checked_add(refunded.amount.minor).ok().filter(|sum| *sum <= view.captured);
            view.refunded = sum.ok_or("more is refunded than was captured")?;
        }
        PaymentEvent::RefundFailed(failed) => fail(&mut view.refunds, failed.refund_id.0, &failed.reason, meta)?,
    }
    Ok(())
}

/// Whether the last attempt has an answer.
const fn is_answered(view: &PaymentView) -> bool {
    view.authorised_at.is_some() || view.declined_at.is_some()
}

const fn money(view: &PaymentView, minor: MinorUnits) -> Money {
    Money { minor, currency: view.currency }
}

fn ask(steps: &mut Vec<StepView>, id: Uuid, amount: Option<Money>, meta: &Meta) {
    steps.push(StepView {
        id,
        status: StepStatus::Requested,
        amount: amount.map(|amount| amount.minor),
        requested_at: meta.occurred_at,
        answered_at: None,
        reference: None,
        reason: None,
    });
}

fn succeed(steps: &mut [StepView], id: Uuid, reference: &ProviderReference, meta: &Meta) -> Result<(), &'static str> {
    let step = answer(steps, id, StepStatus::Succeeded, meta)?;
    step.reference = Some(reference.as_str().to_owned());
    Ok(())
}

fn fail(steps: &mut [StepView], id: Uuid, reason: &Reason, meta: &Meta) -> Result<(), &'static str> {
    let step = answer(steps, id, StepStatus::Failed, meta)?;
    step.reason = Some(reason.as_str().to_owned());
    Ok(())
}

fn answer<'a>(steps: &'a mut [StepView], id: Uuid, status: StepStatus, meta: &Meta) -> Result<&'a mut StepView, &'static str> {
    let open = steps.iter_mut().find(|step| step.id == id && step.status == StepStatus::Requested);
    let step = open.ok_or("an answer to a step that was not asked for")?;
    (step.status, step.answered_at) = (status, Some(meta.occurred_at));
    Ok(step)
}

/// What has no answer yet is pointless now.
fn moot(steps: &mut [StepView], meta: &Meta) {
    for step in steps.iter_mut().filter(|step| step.status == StepStatus::Requested) {
        (step.status, step.answered_at) = (StepStatus::Failed, Some(meta.occurred_at));
    }
}

#[cfg(test)]
mod tests;
