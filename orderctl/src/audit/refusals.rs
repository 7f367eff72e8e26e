//! The importer's report, as a list of line numbers with reasons and nothing more.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The lines that the importer says it did not take.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Reasons by line number.
    pub reasons: BTreeMap<u64, String>,
}

impl Refusals {
    /// Reads the report.
    pub fn read(file: &Path) -> Result<Self> {
        let report = std::fs::read(file).with_context(|| {
            format!("can't read the report of refused lines {}; `orderctl import --rejects` writes it", file.display())
        })?;
        Self::of(&report).with_context(|| format!("{} is not a report of refused lines", file.display()))
    }

    /// Reads the bytes of a report.
    pub fn of(csv: &[u8]) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(csv);
        let headers = reader.headers()?.clone();
        let column = |name: &str| {
            headers.iter().position(|header| header == name).with_context(|| format!("the column {name} is missing"))
        };
        let (line, reason) = (column("line")?, column("reason")?);
        let mut reasons = BTreeMap::new();
        for record in reader.records() {
            let record = record?;
            let number = record[line].parse().with_context(|| format!("{:?} is no line number", &record[line]))?;
            ensure!(reasons.insert(number, record[reason].to_owned()).is_none(), "line {number} is in it twice");
        }
        Ok(Self { reasons })
    }
}
