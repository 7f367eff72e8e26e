//! `orderctl log-level`: what the instances of services log, and changing that while they run.

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use service_kit::registry::Instance;

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
    let instances = Vec::<Instance>::deserialize(&listed["services"]);
    let mut instances = instances.context("the query service lists what this program can't read")?;
    instances.retain(|instance| args.service.as_ref().is_none_or(|name| *name == instance.name));
    if instances.is_empty() {
        bail!("no such instance is registered (orderctl services shows which are)");
    }
    let (method, body) = match &args.filter {
        Some(filter) => (Method::PUT, Some(json!({ "filter": filter }))),
        None => (Method::GET, None),
    };
    let mut failed = 0;
    for instance in instances {
        let (name, address) = (&instance.name, instance.address());
        match api.at(method.clone(), &format!("{}/admin/log-level", instance.base_url()), body.as_ref()).await {
            Ok(now) => println!("{name} at {address}: {}", now["filter"].as_str().unwrap_or_default()),
            Err(error) => {
                failed += 1;
                println!("{name} at {address}: {error:#}");
            }
        }
    }
    if failed > 0 { bail!("{failed} of them did not do it") } else { Ok(()) }
}
