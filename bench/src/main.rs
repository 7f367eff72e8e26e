//! Measures orderflow against physical limits and peers: same machine, one run, interleaved. See `docs/BENCHMARKS.md`.

mod chart;
mod counters;
mod cpu;
mod kafka;
mod load;
mod machine;
mod measure;
mod measures;
mod orders;
mod page;
mod peers;
mod pin;
mod rate;
mod report;
mod scale;
mod system;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use crate::scale::Scale;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure, print the table, and write the results.
    Run {
        /// Three repetitions, smaller backlogs, no `growth_*`: ten minutes.
        #[arg(long)]
        quick: bool,
        /// Only measures whose name begins with one of these.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Where the results go.
        #[arg(long, default_value = "bench/results/latest.json")]
        out: PathBuf,
    },
    /// Make `docs/BENCHMARKS.md` and its drawing from the results.
    Report {
        /// The results.
        #[arg(long, default_value = "bench/results/latest.json")]
        results: PathBuf,
        /// Where it goes.
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
    },
    /// Be one of those that orderflow is measured against, until told to end.
    #[command(hide = true)]
    Peer {
        /// Which.
        peer: peers::Peer,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().verb {
        Verb::Run { quick, only, out } => {
            let scale = if quick { Scale::QUICK } else { Scale::FULL };
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(measures::all(&scale, &only, &out))?.show();
            Ok(())
        }
        Verb::Report { results, docs } => report::document(&results, &docs),
        Verb::Peer { peer } => peers::run(peer),
    }
}

/// Progress and results, for the person who waits.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
fn say(line: &str) {
    println!("{line}");
}
