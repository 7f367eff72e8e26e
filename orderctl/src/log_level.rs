//! `orderctl log-level`: what the instances of services log, and changing that while they run.

use anyhow::{Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Connection, Service};

/// Show or change what services log, until they are started again
#[derive(Debug, Args)]
pub struct LogLevelArgs {
    /// A level, or `target=level` directives separated by commas (`info,projector=debug`); without, nothing is changed
    filter: Option<String>,
    /// Only the instances of this service, such as `projector`; else all that are registered
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Asks every instance, and prints what it logs then.
pub async fn run(args: &LogLevelArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let listed = api.get(Service::Query, "/v1/services").await?;
    let instances = instances(&listed, args.service.as_deref());
    if instances.is_empty() {
        bail!("no such instance is registered (orderctl services shows which are)");
    }
    let (method, body) = match &args.filter {
        Some(filter) => (Method::PUT, Some(json!({ "filter": filter }))),
        None => (Method::GET, None),
    };
    let mut failed = 0;
    for (name, address) in instances {
        let answer = api.at(method.clone(), &format!("http://{address}/admin/log-level"), body.as_ref()).await;
        match answer {
            Ok(now) => println!("{name} at {address}: {}", now["filter"].as_str().unwrap_or_default()),
            Err(error) => {
                failed += 1;
                println!("{name} at {address}: {error:#}");
            }
        }
    }
    if failed > 0 { bail!("{failed} of them did not do it") } else { Ok(()) }
}

/// Names and addresses of the instances of a service, or of all.
fn instances(listed: &Value, service: Option<&str>) -> Vec<(String, String)> {
    let all = listed["services"].as_array().into_iter().flatten();
    let one = |instance: &Value| {
        let (name, host, port) = (instance["name"].as_str()?, instance["host"].as_str()?, instance["port"].as_u64()?);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Some((name.to_owned(), format!("{host}:{port}")))
    };
    all.filter_map(one).filter(|(name, _)| service.is_none_or(|service| service == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_those_of_the_service() {
        let instance = |name: &str, host: &str, port: u16| json!({"name": name, "host": host, "port": port});
        let listed = json!({"services": [instance("projector", "10.0.0.1", 1), instance("notifier", "::1", 2)]});
        let of = |service| instances(&listed, service).into_iter().map(|(_, address)| address).collect::<Vec<_>>();
        assert_eq!(of(None), ["10.0.0.1:1", "[::1]:2"]);
        assert_eq!(of(Some("notifier")), ["[::1]:2"]);
        assert!(of(Some("nobody")).is_empty());
    }
}
