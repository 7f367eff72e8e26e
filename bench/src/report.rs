//! The results: as a table, as JSON, and as the page in `docs/`.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    chart,
    machine::{Machine, versions},
    measure::{Curves, Goal, Measure},
    page, say,
};

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Where.
    pub(crate) machine: Machine,
    /// With what.
    pub(crate) versions: BTreeMap<String, String>,
    /// When it began.
    pub(crate) at: DateTime<Utc>,
    /// What is drawn.
    pub(crate) curves: Curves,
    /// The table.
    pub(crate) measures: Vec<Measure>,
}

impl Measure {
    /// One line for the terminal.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let verdict = match self.reached() {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        let reference = self.reference.as_ref().map_or_else(String::new, |reference| number(reference.median));
        let ratio = self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let goal = self.goal.map_or_else(String::new, Goal::text);
        format!(
            "{:<34} {:>10} {:>10} {:<9} {:>7} {:>9} {verdict}",
            self.name,
            number(self.ours.median),
            reference,
            self.unit,
            ratio,
            goal
        )
    }
}

impl Goal {
    pub(crate) fn text(self) -> String {
        match self {
            Self::RatioAtLeast(least) => format!("≥ {least}"),
            Self::RatioAtMost(most) | Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// A figure as a person reads it: three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => {
            let whole = format!("{value:.0}");
            let groups: Vec<_> = whole.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
            groups.join(",")
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Results {
    /// Of a run on this machine that begins now.
    pub(crate) fn empty() -> Self {
        Self { machine: Machine::this(), versions: versions(), at: Utc::now(), curves: Curves::new(), measures: Vec::new() }
    }

    /// Writes them.
    pub(crate) fn save(&self, out: &Path) -> anyhow::Result<()> {
        if let Some(directory) = out.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(std::fs::write(out, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Prints the table.
    pub(crate) fn show(&self) {
        say("");
        for measure in &self.measures {
            say(&measure.line());
        }
    }
}

/// Makes the page.
pub(crate) fn document(results: &Path, docs: &Path) -> anyhow::Result<()> {
    let results: Results = serde_json::from_slice(&std::fs::read(results)?)?;
    std::fs::create_dir_all(docs)?;
    let page = docs.join("BENCHMARKS.md");
    std::fs::write(&page, page::text(&results)?)?;
    say(&page.display().to_string());
    chart::overload(&results.curves, &docs.join("overload.svg"))
}
