//! `orderctl services`: which instances of services there are, and how they are. The query service lists and asks them.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::api::{Api, Connection, Service};
use crate::text::table;

/// List the instances of all services, with their health
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// The query service's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Asks the query service and prints.
pub async fn run(args: &ServicesArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let listed = api.get(Service::Query, "/v1/services").await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&listed)?);
    } else {
        println!("{}", text(&listed));
    }
    Ok(())
}

fn text(listed: &Value) -> String {
    let services: Vec<_> = listed["services"].as_array().into_iter().flatten().collect();
    if services.is_empty() {
        return "Nobody is registered. Have the services a REGISTRY_URL, or the query service SERVICES?".to_owned();
    }
    let header = ["service", "address", "health", "latency", "version", "contexts"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut details = String::new();
    for service in services {
        let health = &service["health"];
        let address = format!("{}:{}", word(&service["host"]), word(&service["port"]));
        let contexts: Vec<_> = service["contexts"].as_array().into_iter().flatten().map(word).collect();
        let contexts = if contexts.is_empty() { "–".to_owned() } else { contexts.join(",") };
        if let Some(detail) = health["detail"].as_str() {
            details += &format!("\n{} at {address}: {detail}", word(&service["name"]));
        }
        rows.push(vec![
            word(&service["name"]),
            address,
            word(&health["status"]),
            format!("{} ms", word(&health["latency_ms"])),
            word(&service["version"]),
            contexts,
        ]);
    }
    let mut text = table(&rows) + &details;
    if listed["current"] == false {
        text += "\nThe registry does not answer: these are those that were known last.";
    }
    text
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) if text.is_empty() => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_instances_and_says_what_is_wrong_with_them() {
        let instance = |port: u16, contexts: &[&str], health: Value| json!({"name": "projector", "host": "10.0.0.1", "port": port, "version": "1.2.3", "contexts": contexts, "health": health});
        let well = instance(1, &["users", "orders"], json!({"status": "healthy", "latency_ms": 1.5}));
        let gone = instance(2, &[], json!({"status": "unreachable", "latency_ms": 0.2, "detail": "Connection refused"}));
        let told = text(&json!({"current": false, "services": [well, gone]}));
        assert!(told.contains("10.0.0.1:1      healthy   1.5 ms    1.2.3  users,orders"), "{told}");
        assert!(told.contains("\nprojector at 10.0.0.1:2: Connection refused\n"), "{told}");
        assert!(told.ends_with("these are those that were known last."), "{told}");
        assert!(text(&json!({"current": true, "services": []})).starts_with("Nobody is registered"));
    }
}
