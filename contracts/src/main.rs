//! `contracts RELEASED CURRENT`: what of the current descriptions breaks the released ones. Fails when something does.

use std::{path::PathBuf, process::ExitCode};

use chrono::{NaiveDate, Utc};
use clap::Parser;
use contracts::Kinds;

/// Compares descriptions of interfaces and topics, and schemas of events, with those of the last release.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The folder with what was released: openapi/*.json, events/*.json and asyncapi.json.
    released: PathBuf,
    /// The same as it is now.
    current: PathBuf,
    /// The day, for sunsets of what is deprecated; today unless given.
    #[arg(long)]
    today: Option<NaiveDate>,
    /// What was released may lack kinds of descriptions, as old commits do.
    #[arg(long)]
    incomplete: bool,
}

#[expect(clippy::print_stdout, reason = "it is a command")]
fn main() -> anyhow::Result<ExitCode> {
    let Arguments { released, current, today, incomplete } = Arguments::parse();
    let kinds = if incomplete { Kinds::Any } else { Kinds::All };
    let breaks = contracts::compare(&released, &current, kinds, today.unwrap_or_else(|| Utc::now().date_naive()))?;
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
