//! Products.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{View, number, ranked, time};
use crate::oracle::postgres::Stored;

pub(super) fn fold(stream: Uuid, events: &[&Stored]) -> Result<View, String> {
    let mut view = View::default();
    let (mut on_hand, mut reserved) = (0, 0);
    for event in events {
        let data = event.json();
        match event.event_type.as_str() {
            "product.created.v1" => {
                view.json = json!({
                    "status": "active", "sku": data["sku"], "name": data["name"], "price": data["price"],
                    "created_at": time(event.occurred_at),
                });
            }
            "product.renamed.v1" => view.json["name"] = data["name"].clone(),
            "product.repriced.v1" => view.json["price"] = data["price"].clone(),
            "product.discontinued.v1" => view.json["status"] = "discontinued".into(),
            "product.stock-adjusted.v1" | "product.stock-adjusted.v2" => on_hand += number(&data["delta"])?,
            "product.stock-reserved.v1" => reserved += number(&data["quantity"])?,
            "product.stock-released.v1" => reserved -= number(&data["quantity"])?,
            "product.stock-committed.v1" => {
                on_hand -= number(&data["quantity"])?;
                reserved -= number(&data["quantity"])?;
            }
            other => return Err(format!("the type {other} is unknown here")),
        }
        if reserved < 0 || on_hand < reserved {
            return Err(format!("at version {} there are {on_hand} on hand and {reserved} reserved", event.version));
        }
    }
    if view.json == Value::Null {
        return Ok(view);
    }
    view.json["on_hand"] = on_hand.into();
    view.json["reserved"] = reserved.into();
    view.json["available"] = (on_hand - reserved).into();
    let name = view.json["name"].as_str().unwrap_or_default().to_lowercase();
    view.lists.push(("name".to_owned(), format!("{name}\0{}", stream.simple()).into_bytes()));
    if view.json["status"] == "active" {
        view.lists.push(("stock".to_owned(), ranked(on_hand - reserved, stream)));
    }
    Ok(view)
}
