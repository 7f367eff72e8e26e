//! `orderctl journey`: one order's way from the event store over Kafka into its view, as a table.

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use crate::api::{Api, Connection, Service};
use crate::text::table;

/// Show one order's way: committed, published, applied, notified, with the milliseconds of each hop
#[derive(Debug, Args)]
pub struct JourneyArgs {
    /// The order
    order: Uuid,
    /// The projector's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Asks a projector and prints.
pub async fn run(args: &JourneyArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let journey = api.get(Service::Projector, &format!("/v1/orders/{}/journey", args.order)).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&journey)?);
    } else {
        println!("{}", text(&journey));
    }
    Ok(())
}

fn text(journey: &Value) -> String {
    let header =
        ["event", "version", "lane/seq", "committed", "topic partition/offset", "published", "applied", "notified", "trace"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for event in journey["events"].as_array().into_iter().flatten() {
        let (committed, published, applied) = (&event["committed"], &event["published"], &event["applied"]);
        let millis = &event["millis"];
        rows.push(vec![
            word(&event["type"]),
            word(&event["version"]),
            format!("{}/{}", word(&committed["lane"]), word(&committed["seq"])),
            word(&committed["at"]),
            if published.is_null() { "–".to_owned() } else { place(published) },
            if published.is_null() { "not found".to_owned() } else { after(&millis["publish"], "yes") },
            if applied.is_null() { "not yet".to_owned() } else { after(&millis["apply"], "yes") },
            notified(&event["notified"], &millis["notify"]),
            word(&event["trace_id"]),
        ]);
    }
    let mut text = format!("Order {}, view at version {}\n\n", word(&journey["order"]), word(&journey["view_version"]));
    text += &table(&rows);
    if let Some(why) = journey["notifier"].as_str() {
        text += &format!("\nNothing is known of messages: {why}.");
    }
    let stuck = &journey["stuck"];
    if stuck.is_null() {
        return text + "\nEverything has arrived.";
    }
    text + &format!("\nSTUCK at version {}, at the {}: {}", word(&stuck["version"]), word(&stuck["at"]), word(&stuck["why"]))
}

fn place(published: &Value) -> String {
    format!("{} {}/{}", word(&published["topic"]), word(&published["partition"]), word(&published["offset"]))
}

/// How many messages follow from it and were sent, and how soon the first of them.
fn notified(messages: &Value, millis: &Value) -> String {
    let Some(messages) = messages.as_array() else { return "?".to_owned() };
    let sent = messages.iter().filter(|message| message["state"] == "sent").count();
    match messages.len() {
        0 => "–".to_owned(),
        all if sent == all => format!("{all}, {}", after(millis, "sent")),
        all => format!("{sent} of {all}"),
    }
}

/// How long after the hop before; of some hops the time is no longer known.
fn after(millis: &Value, unknown: &str) -> String {
    millis.as_i64().map_or_else(|| unknown.to_owned(), |millis| format!("{millis:+} ms"))
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_where_an_order_is_stuck() {
        let at = "2026-01-01T00:00:00Z";
        let event = |version: u64, applied: Value| {
            let published = json!({"topic": "t", "partition": 3, "offset": 7, "at": at});
            let notified = json!([{"state": "sent"}, {"state": "pending"}]);
            json!({"version": version, "type": "order.placed.v1", "trace_id": null, "committed": {"lane": 1, "seq": 2, "at": at},
                   "published": published, "applied": applied, "notified": notified, "millis": {"publish": 12}})
        };
        let stuck = json!({"version": 2, "at": "projector", "why": "the checkpoint is 7"});
        let events = [event(1, json!({"at": null})), event(2, Value::Null)];
        let text = text(&json!({"order": "o", "view_version": 1, "events": events, "stuck": stuck}));
        assert!(text.contains("+12 ms") && text.contains("t 3/7") && text.contains("not yet"), "{text}");
        assert!(text.contains("1 of 2"), "{text}");
        assert!(text.ends_with("STUCK at version 2, at the projector: the checkpoint is 7"), "{text}");
    }
}
