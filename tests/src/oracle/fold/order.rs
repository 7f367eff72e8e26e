//! Orders.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{View, number, ranked, time};
use crate::oracle::postgres::Stored;

pub(super) fn fold(stream: Uuid, events: &[&Stored]) -> Result<View, String> {
    let mut view = View::default();
    let Some(placed) = events.first() else { return Ok(view) };
    for event in events {
        step(&mut view.json, event)?;
    }
    if let Some(user) = view.json["user_id"].as_str() {
        view.owner = user.parse().map_err(|_| "no user id")?;
        view.lists.push((format!("user:{}", view.owner.simple()), Vec::new()));
    }
    let status = view.json["status"].as_str().unwrap_or_default().to_owned();
    view.lists.extend([("recent".to_owned(), Vec::new()), (format!("status:{status}"), Vec::new())]);
    for (_, member) in &mut view.lists {
        *member = ranked(placed.occurred_at.timestamp_micros(), stream);
    }
    count(&mut view, &status)?;
    Ok(view)
}

fn step(view: &mut Value, event: &Stored) -> Result<(), String> {
    let (data, at) = (event.json(), time(event.occurred_at));
    match event.event_type.as_str() {
        "order.placed.v1" => {
            let lines = data["lines"].as_array().ok_or("no lines")?.iter();
            let lines: Vec<_> = lines
                .map(|line| json!({"line": line["line"], "product_id": line["product_id"], "quantity": line["quantity"], "unit_price": line["unit_price"]}))
                .collect();
            let mut total = 0;
            for line in &lines {
                total += number(&line["quantity"])? * number(&line["unit_price"])?;
            }
            if number(&data["total"])? != total {
                return Err(format!("the lines add up to {total}, and the event says {}", data["total"]));
            }
            *view = json!({
                "status": "placed", "user_id": data["user_id"], "fulfilment": data["fulfilment"],
                "currency": data["currency"], "lines": lines, "total": total, "refunded": 0, "placed_at": at,
            });
        }
        "order.confirmed.v1" => {
            view["status"] = "confirmed".into();
            view["confirmed_at"] = at;
        }
        "order.cancelled.v1" => {
            view["status"] = "cancelled".into();
            view["cancelled_at"] = at;
            view["cancel_reason"] = data["reason"].clone();
        }
        "order.shipped.v1" => {
            view["status"] = "shipped".into();
            view["shipped_at"] = at;
            for field in ["carrier", "tracking"] {
                if !data[field].is_null() {
                    view[field] = data[field].clone();
                }
            }
        }
        "order.delivered.v1" => {
            view["status"] = "delivered".into();
            view["delivered_at"] = at;
        }
        "order.returned.v1" => take_back(view, &data, &at)?,
        other => return Err(format!("the type {other} is unknown here")),
    }
    Ok(())
}

fn take_back(view: &mut Value, data: &Value, at: &Value) -> Result<(), String> {
    let (mut units, mut refund) = (0, 0);
    for back in data["lines"].as_array().ok_or("no lines")? {
        let lines = view["lines"].as_array_mut().ok_or("no lines")?;
        let line = lines.iter_mut().find(|line| line["line"] == back["line"]).ok_or("no such line")?;
        let quantity = number(&back["quantity"])?;
        let returned = line["returned"].as_i64().unwrap_or(0) + quantity;
        if returned > number(&line["quantity"])? {
            return Err("more came back than was ordered".to_owned());
        }
        refund += quantity * number(&line["unit_price"])?;
        units += quantity;
        line["returned"] = returned.into();
    }
    if number(&data["refund"])? != refund {
        return Err(format!("the refund should be {refund}, and is {}", data["refund"]));
    }
    view["refunded"] = (number(&view["refunded"])? + refund).into();
    if view["returns"].is_null() {
        view["returns"] = json!([]);
    }
    let returns = view["returns"].as_array_mut().ok_or("no returns")?;
    returns.push(json!({"return_id": data["return_id"], "at": at, "units": units, "refund": refund}));
    if view["lines"].as_array().is_some_and(|lines| lines.iter().all(|line| line["returned"] == line["quantity"])) {
        view["status"] = "returned".into();
    }
    Ok(())
}

/// What the order adds to the shop's statistics.
fn count(view: &mut View, status: &str) -> Result<(), String> {
    let order = &view.json;
    let day = |at: &Value| at.as_str().and_then(|at| at.get(..10)).unwrap_or_default().to_owned();
    let (placed, currency) = (day(&order["placed_at"]), order["currency"].as_str().unwrap_or_default());
    let mut counts = Vec::new();
    if status == "cancelled" {
        counts.push(("days", format!("{placed}|cancelled"), 1));
        view.counts = counts;
        return Ok(());
    }
    counts.push(("days", format!("{placed}|orders"), 1));
    counts.push(("days", format!("{placed}|gross|{currency}"), number(&order["total"])?));
    for line in order["lines"].as_array().into_iter().flatten() {
        let (quantity, kept) = (number(&line["quantity"])?, number(&line["quantity"])? - line["returned"].as_i64().unwrap_or(0));
        let product = line["product_id"].as_str().unwrap_or_default().replace('-', "");
        counts.push(("days", format!("{placed}|units"), quantity));
        counts.push(("product-units", product.clone(), kept));
        counts.push(("product-revenue", format!("{product}|{currency}"), kept * number(&line["unit_price"])?));
    }
    for back in order["returns"].as_array().into_iter().flatten() {
        let returned = day(&back["at"]);
        counts.push(("days", format!("{returned}|returned-units"), number(&back["units"])?));
        counts.push(("days", format!("{returned}|refunds|{currency}"), number(&back["refund"])?));
    }
    view.counts = counts;
    Ok(())
}
