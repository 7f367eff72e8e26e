//! `orderctl dlq retry`: folds parked streams anew, carefully where that is asked for.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Answer, Entry, Selection, ask, path, selected, show};
use crate::api::{Api, Connection};

/// Requests under way at a time: the owner of a partition looks once a second, and does all that it then finds.
const AT_A_TIME: usize = 64;

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    selection: Selection,
    /// Only say what would change in the views
    #[arg(long)]
    dry_run: bool,
    /// Retry one stream of each group first, and the others only if that passed
    #[arg(long, conflicts_with = "dry_run")]
    canary: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How many streams ended in which way.
type Tally = BTreeMap<String, usize>;

pub(super) async fn run(args: &RetryArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let entries = selected(&api, &args.selection).await?;
    if entries.is_empty() {
        println!("nothing is parked that fits");
        return Ok(());
    }
    let mut tally = Tally::new();
    if args.canary {
        for group in groups(entries) {
            canary(&api, &group, &mut tally).await?;
        }
    } else {
        all(&api, &entries, args.dry_run, &mut tally).await?;
    }
    let counts: Vec<_> = tally.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    println!("{}", counts.join(", "));
    // Somebody else may have been quicker.
    let is_well = |outcome: &str| ["redriven", "would-pass", "not-parked"].contains(&outcome);
    let bad: usize = tally.iter().filter(|(outcome, _)| !is_well(outcome)).map(|(_, count)| count).sum();
    if bad > 0 {
        bail!("{bad} of {} streams did not pass", tally.values().sum::<usize>());
    }
    Ok(())
}

/// The first of a group, and the others if that passed.
async fn canary(api: &Api, group: &[Entry], tally: &mut Tally) -> Result<()> {
    let Some((first, others)) = group.split_first() else { return Ok(()) };
    println!("group {}: {} streams, the canary is {}", first.fingerprint, group.len(), first.name());
    let answer = one(api, first, false).await?;
    println!("{}", show::answer(&first.name(), &answer));
    let passed = answer.outcome == "redriven";
    *tally.entry(answer.outcome).or_default() += 1;
    if passed {
        return all(api, others, false, tally).await;
    }
    println!("group {}: the canary did not pass, {} streams are left alone", first.fingerprint, others.len());
    if !others.is_empty() {
        *tally.entry("left alone".to_owned()).or_default() += others.len();
    }
    Ok(())
}

async fn all(api: &Api, entries: &[Entry], dry_run: bool, tally: &mut Tally) -> Result<()> {
    let answers = stream::iter(entries).map(async |entry| Ok::<_, anyhow::Error>((entry, one(api, entry, dry_run).await?)));
    let mut answers = std::pin::pin!(answers.buffered(AT_A_TIME));
    while let Some((entry, answer)) = answers.try_next().await? {
        println!("{}", show::answer(&entry.name(), &answer));
        *tally.entry(answer.outcome).or_default() += 1;
    }
    Ok(())
}

async fn one(api: &Api, entry: &Entry, dry_run: bool) -> Result<Answer> {
    let action = if dry_run { "/retry?dry_run=true" } else { "/retry" };
    ask(api, &path(&entry.name(), action)?, None).await
}

/// The streams by group; in each, and of the groups, those parked first come first.
fn groups(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|group| group[0].fingerprint == entry.fingerprint) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    groups
}
