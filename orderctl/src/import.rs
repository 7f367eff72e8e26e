//! `orderctl import`: the Online Retail file through the public API.
//!
//! It runs in phases: users, products, orders, returns. Ids and idempotency keys come from the data, so running it
//! again changes nothing and completes what an earlier run left.

pub mod jobs;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod purchases;
pub mod rejects;
pub mod retail;
pub mod stream;
pub mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use futures::future::try_join_all;
use tokio::sync::watch;
use uuid::Uuid;

use self::jobs::Phase;
use self::plan::Plan;
use self::rejects::{Reason, Reject, by_reason};
use self::stream::Phased;
use self::tally::{Failure, Tally};
use crate::api::{Api, Connection};
use crate::text::{duration, grouped, per_second, table};

/// Refusals that are printed; the rest is in the report.
const SHOWN_FAILURES: usize = 5;

/// Import an Online Retail CSV through the public API.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The CSV file, compressed by xz or not
    file: PathBuf,
    #[command(flatten)]
    pub options: ImportOptions,
    #[command(flatten)]
    connection: Connection,
}

/// How to import.
#[derive(Debug, Clone, Args)]
pub struct ImportOptions {
    /// Where to report the lines that can't be taken
    #[arg(long, default_value = "rejects.csv", value_name = "FILE")]
    pub rejects: PathBuf,
    /// Connections to the command service
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "N")]
    pub concurrency: u16,
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// Lines in the file.
    pub lines: u64,
    /// Each phase: its name, jobs, commands, and how long it took.
    pub phases: Vec<(&'static str, usize, u64, Duration)>,
    /// Commands that an earlier import had already done.
    pub replayed: u64,
    /// Jobs sent more than once.
    pub resent: u64,
    /// Refused lines by reason, and the reason's code.
    pub refused: Vec<(&'static str, u64)>,
    /// What the command service refused.
    pub failures: Vec<String>,
    /// From answer to visible, sorted.
    pub lag: Vec<Duration>,
}

/// Imports and reports.
pub async fn run(args: &ImportArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let plan = Arc::new(Plan::read(&args.file)?);
    let imported = import(&api, plan, &args.options).await?;
    println!("{}", imported.summary(&args.options.rejects));
    imported.verdict()
}

/// Sends the plan and writes the report of what was not taken.
pub async fn import(api: &Api, plan: Arc<Plan>, options: &ImportOptions) -> Result<Imported> {
    api.check_commands_alive().await?;
    let (latest, acknowledged) = watch::channel(None);
    let probe = tokio::spawn(probe::run(api.clone(), acknowledged));
    let mut imported = Imported::of(&plan);
    let mut rejects = plan.rejects.clone();
    for phase in Phase::ALL {
        // Lag is sampled on whole orders; the other phases tell nobody.
        let told = if phase == Phase::Orders { latest.clone() } else { watch::channel(None).0 };
        let start = Instant::now();
        let tally = send(api, &plan, phase, options.concurrency, told).await?;
        let jobs = phase.jobs(&plan);
        imported.phases.push((phase.name(), jobs, tally.answered(), start.elapsed()));
        imported.replayed += tally.replayed();
        imported.resent += tally.resent();
        for failure in tally.failures() {
            imported.failures.push(format!("{} {}: {}", phase.name(), failure.job, failure.problem));
            rejects.extend(refused_lines(&plan, phase, &failure));
        }
    }
    drop(latest);
    imported.refused = by_reason(&rejects).into_iter().map(|(reason, count)| (reason.code(), count)).collect();
    rejects::write(&options.rejects, rejects)?;
    imported.lag = probe.await.unwrap_or_default();
    Ok(imported)
}

async fn send(
    api: &Api,
    plan: &Arc<Plan>,
    phase: Phase,
    connections: u16,
    latest: watch::Sender<Option<(Uuid, u64)>>,
) -> Result<Arc<Tally>> {
    let tally = Arc::new(Tally::new(latest));
    let jobs = Arc::new(Phased { phase, plan: Arc::clone(plan), tally: Arc::clone(&tally), next: AtomicUsize::new(0) });
    let all = try_join_all((0..connections).map(|_| {
        let (api, jobs) = (api.clone(), Arc::clone(&jobs));
        async move { tokio::spawn(async move { stream::run(&api, &jobs).await }).await? }
    }));
    let commands = u64::try_from(phase.jobs(plan) * phase.commands_per_job()).unwrap_or(u64::MAX);
    tokio::select! {
        sent = all => sent.map(|_| ())?,
        () = progress::show(phase.name(), commands, &tally) => {}
    }
    Ok(tally)
}

fn refused_lines(plan: &Plan, phase: Phase, failure: &Failure) -> Vec<Reject> {
    let reject =
        |line| Reject { line, columns: Default::default(), reason: Reason::RefusedByService, detail: failure.problem.clone() };
    phase.sources(plan, failure.job).into_iter().map(reject).collect()
}

impl Imported {
    fn of(plan: &Plan) -> Self {
        Self {
            lines: plan.lines,
            phases: Vec::new(),
            replayed: 0,
            resent: 0,
            refused: Vec::new(),
            failures: Vec::new(),
            lag: Vec::new(),
        }
    }

    /// Commands sent, and how long all phases took.
    pub fn commands(&self) -> (u64, Duration) {
        (self.phases.iter().map(|phase| phase.2).sum(), self.phases.iter().map(|phase| phase.3).sum())
    }

    /// Orders placed.
    pub fn orders(&self) -> usize {
        self.phases.iter().find(|phase| phase.0 == Phase::Orders.name()).map_or(0, |phase| phase.1)
    }

    /// What was done, for people.
    pub fn summary(&self, rejects: &Path) -> String {
        let mut rows = vec![["phase", "streams", "commands", "time", "commands/s"].map(str::to_owned).to_vec()];
        for (name, jobs, commands, elapsed) in &self.phases {
            rows.push(vec![
                (*name).to_owned(),
                grouped(i64::try_from(*jobs).unwrap_or(i64::MAX)),
                grouped(*commands),
                duration(*elapsed),
                grouped(per_second(*commands, *elapsed)),
            ]);
        }
        let (commands, elapsed) = self.commands();
        rows.push(vec![
            "all".to_owned(),
            String::new(),
            grouped(commands),
            duration(elapsed),
            grouped(per_second(commands, elapsed)),
        ]);
        let refused: u64 = self.refused.iter().map(|(_, count)| count).sum();
        let mut text = format!("Imported {} lines.\n\n{}\n", grouped(self.lines), table(&rows));
        if self.replayed > 0 {
            text += &format!("An earlier import had already done {} of these commands.\n", grouped(self.replayed));
        }
        if self.resent > 0 {
            text += &format!("Streams of commands that had to be sent again: {}.\n", grouped(self.resent));
        }
        text += &format!("{} lines were not taken; {} says which and why:\n\n", grouped(refused), rejects.display());
        let rows: Vec<_> = self.refused.iter().map(|(reason, count)| vec![(*reason).to_owned(), grouped(*count)]).collect();
        text + &table(&rows)
    }

    /// Fails when the command service refused something.
    pub fn verdict(&self) -> Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = self.failures.iter().take(SHOWN_FAILURES).map(String::as_str).collect();
        bail!("the command service refused {} of the streams:\n  {}", self.failures.len(), shown.join("\n  "))
    }
}
