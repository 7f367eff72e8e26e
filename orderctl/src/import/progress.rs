//! How far an import is: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tally::Tally;
use crate::text::{grouped, per_second};

const REDRAW: Duration = Duration::from_millis(100);

/// Lines in a log are for reading later: fewer do.
const LINE: Duration = Duration::from_secs(2);

/// Shows a phase's progress until it is dropped by whoever awaits the phase itself.
pub async fn show(name: &str, commands: u64, tally: &Tally) {
    if std::io::stderr().is_terminal() { bar(name, commands, tally).await } else { lines(name, commands, tally).await }
}

async fn bar(name: &str, commands: u64, tally: &Tally) {
    let bar = ProgressBar::with_draw_target(Some(commands), ProgressDrawTarget::stderr());
    // The template is a constant; should it ever be wrong, the plain bar does too.
    if let Ok(style) = ProgressStyle::with_template("{prefix:>9} [{bar:30}] {human_pos}/{human_len}  {per_sec}  {msg}  ETA {eta}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name.to_owned());
    let bar = Clearing(bar);
    loop {
        bar.0.set_position(tally.answered());
        bar.0.set_message(format!("{} errors", tally.failures().len()));
        tokio::time::sleep(REDRAW).await;
    }
}

struct Clearing(ProgressBar);

impl Drop for Clearing {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn lines(name: &str, commands: u64, tally: &Tally) {
    let start = Instant::now();
    loop {
        tokio::time::sleep(LINE).await;
        let answered = tally.answered();
        let rate = per_second(answered, start.elapsed());
        let eta = commands.saturating_sub(answered).checked_div(rate).map_or_else(|| "?".to_owned(), |left| format!("{left} s"));
        eprintln!(
            "{name:>9}  {}/{}  {}/s  {} errors  ETA {eta}",
            grouped(answered),
            grouped(commands),
            grouped(rate),
            tally.failures().len(),
        );
    }
}
