//! `docs/BENCHMARKS.md`, made from the results.

use std::fmt::Write as _;

use crate::{
    measure::{Figure, Goal, Measure},
    report::{Results, number},
};

/// What every measure has in common.
const METHOD: &str = "\
Every figure is the median of its repetitions; ours and the reference take turns, so that whatever else the machine does
hits both, and a ratio is the median of the ratios of neighbouring turns. Servers, services, peers and the generator of the
load share the cores; `generator` is the generator's share of them. Latencies at a rate come from an open loop: a request is
timed from when it was due, not from when it could be sent. Postgres has `fsync` on, Kafka one broker with `acks=all`, Redis
no persistence. Everything is in one process tree on loopback. `stolen_share` is the share of the CPUs' time that the host of
this virtual machine gave to others meanwhile: the more, the less a figure says, and ratios suffer too.
";

/// The page.
pub(crate) fn text(results: &Results) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    let machine = &results.machine;
    writeln!(page, "# Benchmarks\n")?;
    writeln!(page, "<!-- Made by `make bench` from bench/results/latest.json: change bench/src/page.rs, not this file. -->\n")?;
    writeln!(page, "{METHOD}")?;
    writeln!(
        page,
        "Measured on {}: {}, {} cores, {} GiB, {}.",
        results.at.format("%Y-%m-%d"),
        machine.cpu,
        machine.cores,
        machine.memory_gib,
        machine.kernel
    )?;
    let versions: Vec<_> = results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(page, "Versions: {}.\n", versions.join(", "))?;
    writeln!(page, "| measure | ours | reference | unit | ratio | goal | |")?;
    writeln!(page, "|---|--:|--:|---|--:|--:|---|")?;
    for measure in &results.measures {
        row(&mut page, measure)?;
    }
    if !results.curves.is_empty() {
        writeln!(page, "\n## Overload\n\n![offered against done, and the 99th percentile](overload.svg)")?;
    }
    writeln!(page, "\n## What was measured\n")?;
    for measure in &results.measures {
        explain(&mut page, measure)?;
    }
    Ok(page)
}

fn row(page: &mut String, measure: &Measure) -> std::fmt::Result {
    let verdict = measure.reached().map_or("", |reached| if reached { "✓" } else { "missed" });
    let reference = measure.reference.as_ref().map_or_else(String::new, |reference| number(reference.median));
    let ratio = measure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let goal = measure.goal.map_or_else(String::new, Goal::text);
    let (name, ours, unit) = (&measure.name, number(measure.ours.median), &measure.unit);
    writeln!(page, "| `{name}` | {ours} | {reference} | {unit} | {ratio} | {goal} | {verdict} |")
}

fn explain(page: &mut String, measure: &Measure) -> std::fmt::Result {
    writeln!(page, "**`{}`**: {}: {}.", measure.name, measure.what, spread(&measure.ours))?;
    if let (Some(against), Some(reference)) = (&measure.against, &measure.reference) {
        writeln!(page, "Against {against}: {}.", spread(reference))?;
    }
    if !measure.details.is_empty() {
        let details: Vec<_> = measure.details.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
        writeln!(page, "({})", details.join(", "))?;
    }
    if let Some(note) = &measure.note {
        writeln!(page, "{note}")?;
    }
    writeln!(page)
}

fn spread(figure: &Figure) -> String {
    let (min, max, times) = (number(figure.min), number(figure.max), figure.repetitions.len());
    format!("{} (of {times}: {min} to {max})", number(figure.median))
}
