//! Every measure, in the order of the table.

mod catch_up;
mod commands;
mod growth;
mod process;
mod published;
mod reads;
mod relay;
mod visible;

use std::{collections::BTreeMap, pin::Pin};

use crate::{
    machine::{Machine, versions},
    measure::Measure,
    report::Results,
    say,
    scale::Scale,
};

pub(crate) use commands::post;

type Measuring<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Measure>>> + 'a>>;

/// One measurement, that gives one or more lines.
struct Entry {
    /// The names of its lines begin with one of these.
    names: &'static [&'static str],
    run: fn(&Scale) -> Measuring<'_>,
}

const ENTRIES: &[Entry] = &[
    Entry { names: &["commands_vs_single_insert"], run: |scale| Box::pin(commands::against_single_insert(scale)) },
    Entry { names: &["growth_store"], run: |scale| Box::pin(growth::store(scale)) },
    Entry { names: &["growth_stream"], run: |scale| Box::pin(growth::stream(scale)) },
    Entry { names: &["rss_mb", "start_ms"], run: |scale| Box::pin(process::all(scale)) },
    Entry { names: &["relay_vs_producer"], run: |scale| Box::pin(relay::against_producer(scale)) },
    Entry { names: &["commit_to_kafka_ms"], run: |scale| Box::pin(published::against_outbox(scale)) },
    Entry { names: visible::NAMES, run: |scale| Box::pin(visible::with_both_deliveries(scale)) },
    Entry { names: &["catch_up_vs_limit", "catch_up_vs_naive"], run: |scale| Box::pin(catch_up::placed(scale)) },
    Entry { names: &["catch_up_life"], run: |scale| Box::pin(catch_up::life(scale)) },
    Entry { names: reads::NAMES, run: |scale| Box::pin(reads::against_peers(scale)) },
];

/// Measures all, or what is asked for.
pub(crate) async fn all(scale: &Scale, only: &[String]) -> anyhow::Result<Results> {
    let asked = |entry: &&Entry| {
        if only.is_empty() {
            return scale.growth || !entry.names.iter().any(|name| name.starts_with("growth_"));
        }
        entry.names.iter().any(|name| only.iter().any(|only| name.starts_with(only.as_str())))
    };
    let mut measures = Vec::new();
    for entry in ENTRIES.iter().filter(asked) {
        say(&format!("==> {}", entry.names.join(", ")));
        for measure in (entry.run)(scale).await? {
            say(&format!("    {}", measure.line()));
            measures.push(measure);
        }
    }
    Ok(Results { machine: Machine::this(), versions: versions(), at: chrono::Utc::now(), curves: BTreeMap::new(), measures })
}
