//! `orderctl demo`: the whole way once, with real orders, and then one order of our own.

pub mod fulfilment;
pub mod journey;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use self::journey::Journey;
use crate::api::{Api, BoundedContext, Connection, Service};
use crate::audit::audit;
use crate::import::plan::Plan;
use crate::import::probe::quantile;
use crate::import::{ImportOptions, Imported, import};
use crate::text::{duration, grouped, table};
use crate::wait::wait;

/// How long the read side may take for the rest once everything is written.
const PATIENCE: Duration = Duration::from_secs(120);

/// Import real orders, wait for the read side, audit it, and follow one order through.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The CSV file, compressed by xz or not
    #[arg(long, default_value = "demo/online-retail-2010-12-to-2011-05.csv.xz")]
    file: PathBuf,
    #[command(flatten)]
    options: ImportOptions,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the demonstration; fails when the audit does.
pub async fn run(args: &DemoArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    api.check_commands_alive().await?;
    api.check_alive(Service::Query).await?;
    let plan = Arc::new(Plan::read(&args.file)?);
    println!("Importing {} lines of {} …", grouped(plan.lines), args.file.display());
    let start = Instant::now();
    let imported = import(&api, Arc::clone(&plan), &args.options).await?;
    println!("{}", imported.summary(&args.options.rejects));
    imported.verdict()?;

    println!("Waiting until the read side has all of it …");
    let waiting = Instant::now();
    let streams = wait(&api, &plan, PATIENCE).await?;
    println!("\n{}", summary(&api, &imported, streams, waiting.elapsed(), start.elapsed()).await?);

    audit(&api, &args.file, &args.options.rejects).await?;

    println!("\nOrders that carry themselves out\n");
    let fulfilled = fulfilment::run(&api, &plan).await?;
    println!("{}", fulfilled.text());
    fulfilled.verdict()?;

    println!("\nOne order of our own\n");
    let journey = Journey::run(&api).await.context("the order of our own")?;
    println!("{}", journey.text(&api)?);
    Ok(())
}

/// What happened, in one table.
async fn summary(api: &Api, imported: &Imported, streams: u64, waited: Duration, whole: Duration) -> Result<String> {
    let refused: u64 = imported.refused.iter().map(|(_, count)| count).sum();
    let mut rows = vec![
        vec!["lines read".to_owned(), grouped(imported.lines)],
        vec!["lines taken".to_owned(), grouped(imported.lines - refused)],
    ];
    for (reason, count) in &imported.refused {
        rows.push(vec![format!("lines refused: {reason}"), grouped(*count)]);
    }
    let (commands, elapsed) = imported.commands();
    rows.push(vec!["orders placed".to_owned(), grouped(i64::try_from(imported.orders())?)]);
    rows.push(vec!["commands".to_owned(), grouped(commands)]);
    rows.push(vec!["events in the store".to_owned(), grouped(events(api).await?)]);
    rows.push(vec!["import".to_owned(), duration(elapsed)]);
    rows.push(vec![format!("until all {} streams could be read", grouped(streams)), duration(waited)]);
    rows.push(vec!["both".to_owned(), duration(whole)]);
    if let (Some(median), Some(worst)) = (quantile(&imported.lag, 50), quantile(&imported.lag, 100)) {
        rows.push(vec!["end-to-end lag under load, median".to_owned(), duration(median)]);
        rows.push(vec![format!("  worst of {} samples", imported.lag.len()), duration(worst)]);
    } else {
        rows.push(vec!["end-to-end lag: all was imported before".to_owned(), "-".to_owned()]);
    }
    Ok(table(&rows))
}

/// All events written so far: the sum of every lane's head.
async fn events(api: &Api) -> Result<u64> {
    let mut events = 0;
    for context in BoundedContext::ALL {
        let name = context.name();
        let answer = api.get(Service::Command(context), &format!("/v1/lanes?context={name}")).await?;
        let heads = answer["heads"].as_array().with_context(|| format!("the lanes of {name} have no heads"))?;
        events += heads.iter().filter_map(serde_json::Value::as_u64).sum::<u64>();
    }
    Ok(events)
}
