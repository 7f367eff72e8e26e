//! `orderctl verify`: every view and every record on Kafka against the event store. A projector does it, where the folds,
//! Redis and Kafka are; this asks for it, shows how far it is, and fails on any difference.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;

use crate::api::{Api, Connection};
use crate::text::{grouped, table};

/// Between two lines of progress where there is no terminal.
const LINE: Duration = Duration::from_secs(2);

/// Compare the read models, and Kafka, with the event store; exits with 1 on any difference
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Everything: each view, and each record on Kafka
    #[arg(long, required_unless_present = "sample", conflicts_with = "sample")]
    full: bool,
    /// So many streams of each context, their lists too, and not Kafka
    #[arg(long, value_name = "STREAMS")]
    sample: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Progress(Progress),
    Context(Report),
    Done {},
    Error(String),
}

#[derive(Debug, Deserialize)]
struct Progress {
    context: String,
    phase: String,
    done: u64,
    of: u64,
}

/// What was found in one context.
#[derive(Debug, Deserialize)]
struct Report {
    context: String,
    streams: u64,
    events: u64,
    compared: u64,
    entries: u64,
    parked: u64,
    wrong: BTreeMap<String, u64>,
    kafka: Option<Kafka>,
    samples: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Kafka {
    records: u64,
    duplicates: u64,
    gaps: u64,
    #[serde(default)]
    deleted: u64,
    out_of_order: u64,
    unknown: u64,
}

impl Report {
    fn differences(&self) -> u64 {
        let kafka = self.kafka.as_ref().map_or(0, |kafka| kafka.duplicates + kafka.gaps + kafka.out_of_order + kafka.unknown);
        self.wrong.values().sum::<u64>() + kafka
    }
}

/// Verifies; fails on any difference.
pub async fn run(args: &VerifyArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let reports = ask(&api, args.sample).await?;
    println!("{}", text(&reports));
    match reports.iter().map(Report::differences).sum::<u64>() {
        0 => Ok(()),
        differences => bail!("{} differences from the event store", grouped(differences)),
    }
}

async fn ask(api: &Api, sample: Option<u32>) -> Result<Vec<Report>> {
    let path = sample.map_or_else(|| "/v1/verify".to_owned(), |sample| format!("/v1/verify?sample={sample}"));
    let (mut reports, mut shown) = (Vec::new(), Shown::new());
    api.lines(Method::POST, &path, |message| {
        match message {
            Message::Progress(progress) => shown.show(&progress),
            Message::Context(report) => reports.push(report),
            Message::Done {} => return Ok(Some(std::mem::take(&mut reports))),
            Message::Error(cause) => bail!("the projector could not go on: {cause}"),
        }
        Ok(None)
    })
    .await
}

/// A bar on a terminal, a line every few seconds elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Shown {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()));
        // The template is a constant; should it ever be wrong, the plain bar does too.
        if let (Some(bar), Ok(style)) =
            (&bar, ProgressStyle::with_template("{prefix:>15} [{bar:30}] {human_pos}/{human_len}  {per_sec}"))
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, last: Instant::now() }
    }

    fn show(&mut self, progress: &Progress) {
        let Progress { context, phase, done, of } = progress;
        if let Some(bar) = &self.bar {
            let prefix = format!("{context} {phase}");
            if bar.prefix() != prefix {
                bar.reset();
                bar.set_prefix(prefix);
            }
            bar.set_length(*of);
            bar.set_position(*done);
        } else if self.last.elapsed() >= LINE {
            self.last = Instant::now();
            eprintln!("{context:>9} {phase}  {}/{}", grouped(*done), grouped(*of));
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn text(reports: &[Report]) -> String {
    let kinds = ["missing", "behind", "different", "ahead", "extra", "index", "orphan"];
    let mut views = vec![[&["views", "streams", "events", "compared", "entries", "parked"], &kinds[..]].concat()]
        .into_iter()
        .map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    let header = ["kafka", "records", "duplicates", "gaps", "out of order", "unknown", "deleted"];
    let mut topics = vec![header.map(str::to_owned).to_vec()];
    for report in reports {
        let mut row = vec![report.context.clone()];
        row.extend([report.streams, report.events, report.compared, report.entries, report.parked].map(grouped));
        row.extend(kinds.iter().map(|kind| grouped(report.wrong.get(*kind).copied().unwrap_or(0))));
        views.push(row);
        if let Some(kafka) = &report.kafka {
            let mut row = vec![report.context.clone()];
            let Kafka { records, duplicates, gaps, deleted, out_of_order, unknown } = *kafka;
            row.extend([records, duplicates, gaps, out_of_order, unknown, deleted].map(grouped));
            topics.push(row);
        }
    }
    let mut text = table(&views);
    if topics.len() > 1 {
        text.push('\n');
        text += &table(&topics);
    }
    for sample in reports.iter().flat_map(|report| &report.samples) {
        text += &format!("\nDIFFERENCE  {sample}");
    }
    if reports.iter().all(|report| report.differences() == 0) {
        text += "\nNo difference.";
    }
    text
}
