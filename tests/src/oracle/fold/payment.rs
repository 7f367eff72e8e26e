//! Payments.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{View, number, ranked, time};
use crate::oracle::postgres::Stored;

pub(super) fn fold(stream: Uuid, events: &[&Stored]) -> Result<View, String> {
    let mut view = View::default();
    let Some(first) = events.first() else { return Ok(view) };
    for event in events {
        step(&mut view.json, event).map_err(|error| format!("version {}: {error}", event.version))?;
        check(&view.json).map_err(|error| format!("version {}: {error}", event.version))?;
    }
    let status = status(&view.json);
    view.json["status"] = status.into();
    if let Some(user) = view.json["user_id"].as_str() {
        view.owner = user.parse().map_err(|_| "no user id")?;
    }
    let order: Uuid = view.json["order_id"].as_str().and_then(|order| order.parse().ok()).ok_or("no order id")?;
    view.lists.push((format!("order:{}", order.simple()), ranked(first.occurred_at.timestamp_micros(), stream)));
    Ok(view)
}

fn step(view: &mut Value, event: &Stored) -> Result<(), String> {
    let (data, at) = (event.json(), time(event.occurred_at));
    let kind = event.event_type.strip_prefix("payment.").and_then(|kind| kind.strip_suffix(".v1")).unwrap_or_default();
    match kind {
        "requested" if view.is_null() => {
            *view = json!({
                "order_id": data["order_id"], "user_id": data["user_id"], "currency": data["amount"]["currency"],
                "amount": data["amount"]["minor"], "captured": 0, "refunded": 0, "attempt_id": data["attempt_id"],
                "requested_at": at,
            });
        }
        "requested" => {
            if view["declined_at"].is_null() || data["amount"]["minor"] != view["amount"] {
                return Err("it was not declined before, or is about another amount".to_owned());
            }
            view["attempt_id"] = data["attempt_id"].clone();
            let members = view.as_object_mut().ok_or("no object")?;
            members.retain(|name, _| !name.starts_with("decline"));
        }
        "authorised" | "declined" if data["attempt_id"] != view["attempt_id"] => return Err("another attempt".to_owned()),
        "authorised" => {
            view["authorised_at"] = at;
            view["reference"] = data["reference"].clone();
        }
        "declined" => {
            view["declined_at"] = at.clone();
            view["decline_reason"] = data["reason"].clone();
            end_voids(view, &at);
        }
        "expired" => {
            view["expired_at"] = at.clone();
            end_voids(view, &at);
        }
        "capture-requested" => ask(view, "captures", &data["capture_id"], &data["amount"], at),
        "captured" => answer(view, ("captures", &data["capture_id"]), &data, at, Some("captured"))?,
        "capture-failed" => answer(view, ("captures", &data["capture_id"]), &data, at, None)?,
        "void-requested" => ask(view, "voids", &data["void_id"], &Value::Null, at),
        "voided" => {
            answer(view, ("voids", &data["void_id"]), &data, at.clone(), Some("voided"))?;
            view["voided_at"] = at;
        }
        "void-failed" => answer(view, ("voids", &data["void_id"]), &data, at, None)?,
        "refund-requested" => ask(view, "refunds", &data["refund_id"], &data["amount"], at),
        "refunded" => answer(view, ("refunds", &data["refund_id"]), &data, at, Some("refunded"))?,
        "refund-failed" => answer(view, ("refunds", &data["refund_id"]), &data, at, None)?,
        _ => return Err(format!("the type {} is unknown here", event.event_type)),
    }
    Ok(())
}

fn ask(view: &mut Value, steps: &str, id: &Value, amount: &Value, at: Value) {
    let mut step = json!({"id": id, "status": "requested", "requested_at": at});
    if !amount.is_null() {
        step["amount"] = amount["minor"].clone();
    }
    match view[steps].as_array_mut() {
        Some(steps) => steps.push(step),
        None => view[steps] = json!([step]),
    }
}

/// Ends a step; one that is done adds to the sum of this name.
fn answer(view: &mut Value, (steps, id): (&str, &Value), data: &Value, at: Value, sum: Option<&str>) -> Result<(), String> {
    let open = view.get_mut(steps).and_then(Value::as_array_mut).into_iter().flatten();
    let mut open = open.filter(|step| step["id"] == *id && step["status"] == "requested");
    let step = open.next().ok_or("it was not asked for")?;
    if !data["amount"].is_null() && data["amount"]["minor"] != step["amount"] {
        return Err("another amount was asked for".to_owned());
    }
    step["answered_at"] = at;
    step["status"] = if sum.is_some() { "succeeded" } else { "failed" }.into();
    for field in ["reference", "reason"] {
        if !data[field].is_null() {
            step[field] = data[field].clone();
        }
    }
    if let Some(sum) = sum.filter(|_| !data["amount"].is_null()) {
        view[sum] = (number(&view[sum])? + number(&data["amount"]["minor"])?).into();
    }
    Ok(())
}

fn end_voids(view: &mut Value, at: &Value) {
    let voids = view.get_mut("voids").and_then(Value::as_array_mut).into_iter().flatten();
    for void in voids.filter(|void| void["status"] == "requested") {
        void["status"] = "failed".into();
        void["answered_at"] = at.clone();
    }
}

/// What may have been taken and paid back is never more than there is.
fn check(view: &Value) -> Result<(), String> {
    let counted = |steps: &str| -> i64 {
        let steps = view[steps].as_array().into_iter().flatten().filter(|step| step["status"] != "failed");
        steps.filter_map(|step| step["amount"].as_i64()).sum()
    };
    let (amount, captured) = (number(&view["amount"])?, number(&view["captured"])?);
    if counted("captures") > amount || counted("refunds") > captured {
        return Err(format!("{amount} are paid, and this is too much: {view}"));
    }
    Ok(())
}

fn status(view: &Value) -> &'static str {
    match (&view["captured"], &view["refunded"]) {
        (captured, refunded) if *captured != 0 && captured == refunded => "refunded",
        (captured, _) if *captured != 0 => "captured",
        _ => {
            let ends = [
                ("voided_at", "voided"),
                ("expired_at", "expired"),
                ("authorised_at", "authorised"),
                ("declined_at", "declined"),
            ];
            ends.into_iter().find(|(field, _)| !view[*field].is_null()).map_or("requested", |(_, status)| status)
        }
    }
}
