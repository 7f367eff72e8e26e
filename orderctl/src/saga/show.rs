//! How sagas are written on a terminal.

use std::fmt::Write as _;

use serde_json::Value;

use crate::text::{grouped, table};

/// Characters of an error in a table.
const ERROR: usize = 100;

/// How many are where, and then some of them.
pub(super) fn listing(listing: &Value) -> String {
    let counts = listing["counts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if counts.is_empty() {
        return "no sagas\n".to_owned();
    }
    let mut rows = vec![["stage", "why", "sagas"].map(str::to_owned).to_vec()];
    for count in counts {
        rows.push(vec![plain(&count["stage"]), plain(&count["ending"]), grouped(count["sagas"].as_i64().unwrap_or_default())]);
    }
    let mut text = table(&rows);
    let sagas = listing["sagas"].as_array().map(Vec::as_slice).unwrap_or_default();
    if sagas.is_empty() {
        return text;
    }
    text.push('\n');
    let mut rows = vec![["order", "stage", "why", "step", "attempts", "placed", "error"].map(str::to_owned).to_vec()];
    for saga in sagas {
        let fields = ["order_id", "stage", "ending", "step", "attempts", "placed_at"];
        let mut row: Vec<String> = fields.iter().map(|field| plain(&saga[*field])).collect();
        row.push(cut(&plain(&saga["error"])));
        rows.push(row);
    }
    text += &table(&rows);
    text
}

/// One saga, with every attempt.
pub(super) fn details(saga: &Value) -> String {
    let mut text = format!("{}\n", line(saga));
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<10}{value}");
        }
    };
    field("placed", &plain(&saga["placed_at"]));
    field("changed", &plain(&saga["changed_at"]));
    field("why", &plain(&saga["ending"]["reason"]));
    field("order", &plain(&saga["order"]));
    field("payment", &format!("{} of {} {}", plain(&saga["payment"]), saga["total"]["minor"], plain(&saga["total"]["currency"])));
    field("until", &plain(&saga["payment_until"]));
    field("returns", &format!("{} to be paid back, {} paid back", saga["refunds"], saga["refunded"]));
    field("next try", &plain(&saga["step"]["due"]));
    field("error", &plain(&saga["step"]["error"]));
    text += "\nstock\n";
    let stock = saga["stock"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |of: &Value| vec![plain(&of["product_id"]), plain(&of["quantity"]), plain(&of["state"])];
    text += &table(&stock.iter().map(row).collect::<Vec<_>>());
    let attempts = saga["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if attempts.is_empty() {
        return text + "\nnothing was tried yet\n";
    }
    text += "\nwhat was tried\n";
    let mut rows = vec![["when", "took ms", "step", "outcome", "key", "who", "answer"].map(str::to_owned).to_vec()];
    for attempt in attempts {
        let fields = ["at", "took_ms", "step", "outcome", "key", "who", "detail"];
        rows.push(fields.iter().map(|field| plain(&attempt[*field])).collect());
    }
    text += &table(&rows);
    text
}

/// Where one saga is, in a line.
pub(super) fn line(saga: &Value) -> String {
    let mut text = format!("{}: {}", plain(&saga["order_id"]), plain(&saga["stage"]));
    if let Some(ending) = saga["ending"]["name"].as_str() {
        let _ = write!(text, " ({ending})");
    }
    if let Some(step) = saga["step"]["name"].as_str() {
        let _ = write!(text, ", step {step}, begun {} times", saga["step"]["attempts"]);
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= ERROR {
        return text.to_owned();
    }
    text.chars().take(ERROR).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_attempt_is_shown() {
        let saga = json!({
            "order_id": "0190", "stage": "parked", "order": "placed", "payment": "none",
            "total": {"minor": 5, "currency": "GBP"}, "refunds": 0, "refunded": 0,
            "stock": [{"product_id": "p", "quantity": 2, "state": "reserved"}],
            "step": {"name": "authorise", "key": "0190:authorise", "attempts": 2, "error": "no answer"},
            "attempts": [
                {"at": "t1", "took_ms": 5, "step": "authorise", "key": "0190:authorise", "outcome": "unknown", "detail": "no answer"},
                {"at": "t2", "took_ms": 0, "step": "authorise", "key": "authorise", "outcome": "retry", "who": "ann"},
            ],
        });
        let text = details(&saga);
        assert!(text.starts_with("0190: parked, step authorise, begun 2 times\n"), "{text}");
        for part in ["5 GBP", "reserved", "t1", "no answer", "retry", "ann"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let listed = listing(&json!({"counts": [{"stage": "parked", "sagas": 1200}], "sagas": []}));
        assert!(listed.contains("1,200"), "{listed}");
        assert_eq!(listing(&json!({"counts": [], "sagas": []})), "no sagas\n");
    }
}
