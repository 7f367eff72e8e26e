//! The lines that were not taken, each with its reason.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// Why a line was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A column is missing or can't be read.
    Malformed,
    /// An `A` invoice: a correction of accounts, no goods.
    Adjustment,
    /// The price is zero or less.
    NonPositivePrice,
    /// The price has fractions of a penny.
    TooManyDecimals,
    /// A sale of no goods, or of fewer than none.
    NonPositiveQuantity,
    /// A credit that gives nothing back.
    NonNegativeCredit,
    /// A guest's credit: nobody knows which guest it was.
    ReturnWithoutCustomer,
    /// A credit for what this customer has not bought at that price before.
    NoEarlierPurchase,
    /// A credit for more than is left of what this customer has bought at that price before.
    OnlyPartMatches,
    /// The command service did not take it.
    RefusedByService,
}

impl Reason {
    /// The code that stands in the report.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Adjustment => "adjustment",
            Self::NonPositivePrice => "non-positive-price",
            Self::TooManyDecimals => "too-many-decimals",
            Self::NonPositiveQuantity => "non-positive-quantity",
            Self::NonNegativeCredit => "non-negative-credit",
            Self::ReturnWithoutCustomer => "return-without-customer",
            Self::NoEarlierPurchase => "no-earlier-purchase",
            Self::OnlyPartMatches => "only-part-matches",
            Self::RefusedByService => "refused-by-service",
        }
    }
}

/// A line that was not taken.
#[derive(Debug, Clone)]
pub struct Reject {
    /// Its line number in the file; the header is line 1.
    pub line: u64,
    /// Its invoice, stock code, quantity and price as written, as far as they are known.
    pub columns: [String; 4],
    /// Why.
    pub reason: Reason,
    /// What a person would want to know beside the reason.
    pub detail: String,
}

/// Counts rejects by their reason.
pub fn by_reason(rejects: &[Reject]) -> BTreeMap<Reason, u64> {
    let mut counts = BTreeMap::new();
    for reject in rejects {
        *counts.entry(reject.reason).or_default() += 1;
    }
    counts
}

/// Writes the report, sorted by line.
pub fn write(file: &Path, mut rejects: Vec<Reject>) -> Result<()> {
    let explain = || format!("can't write the rejected lines to {}", file.display());
    rejects.sort_by_key(|reject| reject.line);
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(explain)?;
    }
    let mut writer = csv::Writer::from_path(file).with_context(explain)?;
    writer.write_record(["line", "invoice", "stock_code", "quantity", "unit_price", "reason", "detail"]).with_context(explain)?;
    for reject in rejects {
        let [invoice, code, quantity, price] = reject.columns;
        let line = reject.line.to_string();
        writer
            .write_record([&line, &invoice, &code, &quantity, &price, reject.reason.code(), &reject.detail])
            .with_context(explain)?;
    }
    writer.flush().with_context(explain)
}
