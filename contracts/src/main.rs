//! `contracts RELEASED CURRENT`: what of the current descriptions breaks the released ones. Fails when something does.

use std::{path::PathBuf, process::ExitCode};

use chrono::{NaiveDate, Utc};
use clap::Parser;

/// Compares descriptions of interfaces and schemas of events with those of the last release.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The folder with what was released: openapi/*.json and events/*.json.
    released: PathBuf,
    /// The same as it is now.
    current: PathBuf,
    /// The day, for sunsets of what is deprecated; today unless given.
    #[arg(long)]
    today: Option<NaiveDate>,
}

#[expect(clippy::print_stdout, reason = "it is a command")]
fn main() -> anyhow::Result<ExitCode> {
    let Arguments { released, current, today } = Arguments::parse();
    let breaks = contracts::compare(&released, &current, today.unwrap_or_else(|| Utc::now().date_naive()))?;
    for found in &breaks {
        println!("{found}");
    }
    if breaks.is_empty() {
        println!("Nothing that was released is broken.");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "\n{} released promises are broken. Ways out (docs/VERSIONING.md): a new version of the event, or /v2.",
        breaks.len()
    );
    Ok(ExitCode::FAILURE)
}
