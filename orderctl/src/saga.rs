//! `orderctl saga`: how orders are carried out, and what an operator decides about those that need a person.

mod show;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Api, Connection, Service};

/// Sagas that one run works on, at most: what the service lists.
const MOST: u32 = 10_000;

/// List, show, retry, skip and abort the sagas of orders.
#[derive(Debug, Args)]
pub struct SagaArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List sagas, oldest first, and count them by stage
    List(ListArgs),
    /// Show one saga: every step, attempt, answer and time
    Show(OrderArgs),
    /// Have the step under way taken again now
    Retry(RetryArgs),
    /// Go on as if the step under way were done, because it is
    Skip(SkipArgs),
    /// Go on as if the step under way were not done, because it is not, and cancel the order
    Abort(AbortArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only these: running, confirmed, fulfilled, ending, cancelled, stuck (refused) or parked (no answer)
    #[arg(long)]
    stage: Option<String>,
    /// Sagas to list; the counts are of all
    #[arg(long, default_value_t = 50, value_name = "SAGAS")]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct OrderArgs {
    /// The order
    order: Uuid,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct RetryArgs {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// These orders
    #[arg(value_name = "ORDER")]
    orders: Vec<Uuid>,
    /// All that are parked or stuck
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct SkipArgs {
    /// The order
    order: Uuid,
    /// What the payment provider calls the authorisation or the capture that was done by hand
    #[arg(long)]
    reference: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct AbortArgs {
    /// The order
    order: Uuid,
    /// Why: whoever placed the order is told
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one of the verbs.
pub async fn run(args: &SagaArgs) -> Result<()> {
    match &args.verb {
        Verb::List(args) => {
            let listing = list(&Api::new(&args.connection)?, args.stage.as_deref(), args.limit).await?;
            print!("{}", show::listing(&listing));
            Ok(())
        }
        Verb::Show(args) => {
            let saga = Api::new(&args.connection)?.get(Service::Fulfilment, &path(args.order, "")).await?;
            print!("{}", show::details(&saga));
            Ok(())
        }
        Verb::Retry(args) => retry(args).await,
        Verb::Skip(args) => {
            let body = args.reference.as_ref().map_or_else(|| json!({}), |reference| json!({ "reference": reference }));
            decide(&Api::new(&args.connection)?, args.order, "/skip", &body).await
        }
        Verb::Abort(args) => decide(&Api::new(&args.connection)?, args.order, "/abort", &json!({ "reason": args.reason })).await,
    }
}

async fn list(api: &Api, stage: Option<&str>, limit: u32) -> Result<Value> {
    let stage = stage.map(|stage| format!("&stage={stage}")).unwrap_or_default();
    api.get(Service::Fulfilment, &format!("/v1/sagas?limit={limit}{stage}")).await
}

async fn retry(args: &RetryArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let mut orders = args.what.orders.clone();
    if args.what.all {
        for stage in ["parked", "stuck"] {
            let listing = list(&api, Some(stage), MOST).await?;
            for saga in listing["sagas"].as_array().into_iter().flatten() {
                orders.push(saga["order_id"].as_str().and_then(|id| id.parse().ok()).context("a saga without an order")?);
            }
        }
    }
    let mut failed = 0_u32;
    for order in &orders {
        if let Err(error) = decide(&api, *order, "/retry", &json!({})).await {
            println!("{order}: {error:#}");
            failed += 1;
        }
    }
    if failed > 0 {
        bail!("{failed} of {} sagas were not asked to try again", orders.len());
    }
    println!("{} sagas try again", orders.len());
    Ok(())
}

async fn decide(api: &Api, order: Uuid, verb: &str, body: &Value) -> Result<()> {
    let saga = api.post(Service::Fulfilment, &path(order, verb), body).await?;
    println!("{}", show::line(&saga));
    Ok(())
}

fn path(order: Uuid, verb: &str) -> String {
    format!("/v1/sagas/{order}{verb}")
}
