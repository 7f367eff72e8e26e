//! What was done and when, and how long it took to be got over.

use std::{collections::BTreeMap, fmt::Write as _, fs::File, io::Write as _, path::PathBuf, time::Duration};

use tokio::time::Instant;

use super::schedule::Fault;

/// The kind that stands for all pairs.
const TWO: &str = "two of these at once";

/// A run's record. When the run fails, it shows itself.
#[derive(Debug)]
pub struct Record {
    seed: u64,
    duration: Duration,
    begun: Instant,
    fault_ended: Instant,
    lines: Vec<String>,
    file: Option<File>,
    path: PathBuf,
    rows: BTreeMap<String, Row>,
    faults: usize,
    commands: usize,
}

/// One kind of fault.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// How often it was made, alone or with another.
    pub count: usize,
    /// How long the system took to get over it when it came alone and nothing came in between.
    pub recoveries: Vec<Duration>,
}

impl Record {
    /// The record of a run that begins now.
    #[must_use]
    pub fn new(seed: u64, duration: Duration) -> Self {
        let (begun, path) = (Instant::now(), PathBuf::new());
        let (lines, rows) = (Vec::new(), BTreeMap::new());
        let record = Self { seed, duration, begun, fault_ended: begun, lines, file: None, path, rows, faults: 0, commands: 0 };
        show(&record.again());
        record
    }

    /// Keeps a copy in this file from now on, beside the logs.
    pub fn keep_in(&mut self, path: PathBuf) {
        self.file = Some(File::create(&path).expect("a file beside the logs"));
        self.path = path;
        let again = self.again();
        self.say(&again);
    }

    /// The load has begun: times are counted from here.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// Notes something.
    pub fn say(&mut self, text: &str) {
        let utc = chrono::Utc::now().format("%H:%M:%S%.3f");
        let line = format!("{:8.3} s ({utc}) {text}", self.begun.elapsed().as_secs_f64());
        if let Some(file) = &mut self.file {
            drop(writeln!(file, "{line}"));
        }
        self.lines.push(line);
    }

    /// A fault is made.
    pub fn made(&mut self, fault: Fault, hold: Duration) {
        self.faults += 1;
        self.rows.entry(fault.kind()).or_default().count += 1;
        self.say(&format!("{fault} for {hold:?}"));
    }

    /// The faults of a step end: from now on the system may recover.
    pub fn ended(&mut self) {
        self.fault_ended = Instant::now();
        self.say("  ends");
    }

    /// Fresh orders were accepted and seen, this long after they were sent.
    pub fn recovered(&mut self, faults: &[Fault], probing: Duration) {
        let taken = self.fault_ended.elapsed();
        self.say(&format!("  got over after {taken:?} (the orders took {probing:?})"));
        let kind = if let [fault] = faults { fault.kind() } else { TWO.to_owned() };
        let row = self.rows.entry(kind).or_default();
        row.recoveries.push(taken);
        if faults.len() > 1 {
            row.count += 1;
        }
    }

    /// The oracle found nothing.
    pub fn passed(&mut self, commands: usize) {
        self.commands = commands;
        self.say(&format!("{} faults, {commands} commands, nothing lost, doubled, reordered, wrong or stuck", self.faults));
    }

    /// How to run it again.
    fn again(&self) -> String {
        format!("chaos: make chaos SEED={} DURATION={}", self.seed, self.duration.as_secs())
    }

    /// How many faults were made.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.faults
    }

    /// A Markdown table of faults and recovery times, with a line above it that says what was run.
    #[must_use]
    pub fn table(&self) -> String {
        let (seed, seconds) = (self.seed, self.duration.as_secs());
        let mut text = format!(
            "`make chaos SEED={seed} DURATION={seconds}`: {} faults, {} commands accepted; nothing lost, doubled, reordered, \
             wrong or stuck.\n\n| fault | count | recovery p50, s | recovery max, s |\n|---|--:|--:|--:|\n",
            self.faults, self.commands
        );
        for (kind, row) in &self.rows {
            let mut times = row.recoveries.clone();
            times.sort_unstable();
            let seconds = |time: Option<&Duration>| time.map_or("–".to_owned(), |time| format!("{:.2}", time.as_secs_f64()));
            let (middle, most) = (seconds(times.get(times.len() / 2)), seconds(times.last()));
            let _ = writeln!(text, "| {kind} | {} | {middle} | {most} |", row.count);
        }
        text
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say("failed");
            show(&format!("{}\nwhat happened (also in {}):\n{}", self.again(), self.path.display(), self.lines.join("\n")));
        }
    }
}

#[expect(clippy::print_stdout, reason = "cargo shows it with the test that failed")]
fn show(text: &str) {
    println!("{text}");
}
