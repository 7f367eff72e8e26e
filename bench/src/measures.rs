//! Every measure, in the order of the table.

mod batch;
mod catch_up;
mod commands;
mod everything;
mod growth;
mod overload;
mod process;
mod published;
mod reads;
mod relay;
mod stock;
mod traces;
mod visible;

use std::{path::Path, pin::Pin};

use anyhow::ensure;

use crate::{cpu::Stolen, measure::Measured, report::Results, say, scale::Scale};

pub(crate) use commands::post;

type Measuring<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Measured>> + 'a>>;

/// One measurement, that gives one or more lines.
struct Entry {
    /// The names of its lines begin with one of these.
    names: &'static [&'static str],
    run: fn(&Scale) -> Measuring<'_>,
}

const ENTRIES: &[Entry] = &[
    Entry {
        names: &["commands_vs_single_insert", "commands_vs_one_tx", "commands_vs_cqrs_es"],
        run: |scale| measuring(commands::against_peers(scale)),
    },
    Entry { names: &["commands_all_on"], run: |scale| measuring(everything::all_on(scale)) },
    Entry { names: traces::NAMES, run: |scale| measuring(traces::cost(scale)) },
    Entry { names: &["hot_aggregate_vs_spread"], run: |scale| measuring(stock::hot_against_spread(scale)) },
    Entry { names: &["batch_commands_vs_copy"], run: |scale| measuring(batch::against_copy(scale)) },
    Entry {
        names: &["overload_throughput", "overload_refusal_ms", "overload_recovery", "overload_rss_mb"],
        run: |scale| measuring(overload::overload(scale)),
    },
    Entry { names: &["relay_vs_producer"], run: |scale| measuring(relay::against_producer(scale)) },
    Entry { names: &["commit_to_kafka_ms"], run: |scale| measuring(published::against_outbox(scale)) },
    Entry { names: visible::NAMES, run: |scale| measuring(visible::with_both_deliveries(scale)) },
    Entry { names: &["catch_up_vs_limit", "catch_up_vs_naive"], run: |scale| measuring(catch_up::placed(scale)) },
    Entry { names: &["catch_up_life"], run: |scale| measuring(catch_up::life(scale)) },
    Entry { names: reads::NAMES, run: |scale| measuring(reads::against_peers(scale)) },
    Entry { names: &["rss_mb", "start_ms"], run: |scale| measuring(process::all(scale)) },
    Entry { names: &["growth_store"], run: |scale| measuring(growth::store(scale)) },
    Entry { names: &["growth_catch_up", "growth_memory"], run: |scale| measuring(catch_up::growth(scale)) },
    Entry { names: &["growth_stream"], run: |scale| measuring(growth::stream(scale)) },
];

fn measuring<'a, M: Into<Measured>>(measure: impl Future<Output = anyhow::Result<M>> + 'a) -> Measuring<'a> {
    Box::pin(async { Ok(measure.await?.into()) })
}

/// Measures all, or what is asked for. What is done is written after each; one that fails loses only its own, and is told
/// at the end.
pub(crate) async fn all(scale: &Scale, only: &[String], out: &Path) -> anyhow::Result<Results> {
    let asked = |entry: &&Entry| {
        if only.is_empty() {
            return scale.growth || !entry.names.iter().any(|name| name.starts_with("growth_"));
        }
        entry.names.iter().any(|name| only.iter().any(|only| name.starts_with(only.as_str())))
    };
    let (mut results, mut failed) = (Results::empty(), Vec::<&str>::new());
    for entry in ENTRIES.iter().filter(asked) {
        say(&format!("==> {}", entry.names.join(", ")));
        let stolen = Stolen::begin()?;
        let Measured { measures, curves } = match (entry.run)(scale).await {
            Ok(measured) => measured,
            Err(error) => {
                say(&format!("    failed: {error:#}"));
                failed.extend(entry.names);
                continue;
            }
        };
        let stolen = stolen.end()?;
        let measures: Vec<_> = measures.into_iter().map(|measure| measure.detail("stolen_share", stolen)).collect();
        for measure in &measures {
            say(&format!("    {}", measure.line()));
        }
        results.measures.extend(measures);
        results.curves.extend(curves);
        results.save(out)?;
    }
    ensure!(failed.is_empty(), "no figures for {}", failed.join(", "));
    Ok(results)
}
