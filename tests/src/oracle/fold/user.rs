//! Users. Their events have personal data only in encrypted form, so it is taken from what the clients sent.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Personal, View, time};
use crate::oracle::postgres::Stored;

pub(super) fn fold(stream: Uuid, events: &[&Stored], personal: &Personal<'_>) -> Result<View, String> {
    let mut view = View { owner: stream, ..View::default() };
    for event in events {
        match event.event_type.as_str() {
            "user.registered.v1" => view.json = json!({"status": "active", "registered_at": time(event.occurred_at)}),
            "user.name-changed.v1" | "user.email-changed.v1" => {}
            "user.payment-method-changed.v1" => match event.json()["method"] {
                Value::Null => drop(view.json.as_object_mut().and_then(|view| view.remove("payment_method_set_at"))),
                _ => view.json["payment_method_set_at"] = time(event.occurred_at),
            },
            "user.deactivated.v1" => {
                view.json["status"] = "deactivated".into();
                view.json["deactivated_at"] = time(event.occurred_at);
            }
            other => return Err(format!("the type {other} is unknown here")),
        }
        for (field, text) in personal.get(&(stream, event.version)).copied().into_iter().flatten() {
            view.json[*field] = text.as_str().into();
        }
    }
    if view.json["status"] == "active" {
        view.owns = view.json["email"].as_str().map(|email| ("email", email.to_lowercase()));
    }
    Ok(view)
}
