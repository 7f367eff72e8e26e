//! `orderctl audit`: what the query service answers, against the file alone.
//!
//! It shares no code with the importer: its own reading, its own rules, its own arithmetic. Of the importer it reads
//! nothing but the report of refused lines, and checks that too.

pub mod compare;
pub mod recount;
pub mod refusals;
pub mod report;
pub mod served;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use self::recount::Recount;
use self::refusals::Refusals;
use self::served::Served;
use crate::api::{Api, Connection, Service};

/// The query service repeats its statistics for a second.
const STATISTICS_AGE: Duration = Duration::from_millis(1_200);

/// Compare what the query service answers with the file, to the penny.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The file that was imported
    file: PathBuf,
    /// The importer's report of lines that it did not take
    #[arg(long, default_value = "rejects.csv", value_name = "FILE")]
    rejects: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Audits; fails on any difference.
pub async fn run(args: &AuditArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    audit(&api, &args.file, &args.rejects).await
}

/// Recounts the file, asks the query service, prints both side by side, and fails on any difference.
pub async fn audit(api: &Api, file: &Path, rejects: &Path) -> Result<()> {
    let recount = Recount::read(file)?;
    let refusals = Refusals::read(rejects)?;
    let mut served = ask(api, &recount).await?;
    if !compare::days(&recount, &served).is_empty() {
        tokio::time::sleep(STATISTICS_AGE).await;
        served = ask(api, &recount).await?;
    }
    let differences = compare::all(&recount, &refusals, &served);
    println!("{}", report::text(&recount, &served, &differences));
    if differences.is_empty() {
        return Ok(());
    }
    bail!("the audit found {} differences between the file and what is served", differences.len())
}

async fn ask(api: &Api, recount: &Recount) -> Result<Served> {
    let (Some(first), Some(last)) = (recount.days.keys().next(), recount.days.keys().next_back()) else {
        bail!("no line of the file has a date: there is nothing to audit");
    };
    Served::read(api.get(Service::Query, &format!("/v1/stats?from={first}&to={last}")).await?)
}

#[cfg(test)]
mod tests;
