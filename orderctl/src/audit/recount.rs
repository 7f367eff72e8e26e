//! The file, counted again.
//!
//! Amounts are whole millionths of a pound, so that nothing in the file has to be rounded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Millionths of a pound in a penny.
pub const PENNY: i128 = 10_000;

/// Decimals of an amount.
const DECIMALS: usize = 6;

const HEADER: [&str; 8] =
    ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// What the file says.
#[derive(Debug, Default)]
pub struct Recount {
    /// Every line: by its number, what has to become of it.
    pub lines: BTreeMap<u64, Fate>,
    /// Every day that an invoice has, and what was sold and given back on it.
    pub days: BTreeMap<String, Day>,
}

/// What has to become of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Its quantity × price.
    pub amount: i128,
    /// Why it has to be refused, if it has to.
    pub refused: Option<&'static str>,
}

/// A day's sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Day {
    /// Orders placed.
    pub orders: i128,
    /// Pieces sold.
    pub units: i128,
    /// Pieces given back.
    pub returned_units: i128,
    /// Pence of what was sold.
    pub gross: i128,
    /// Pence of what was given back.
    pub refunds: i128,
}

impl Day {
    /// Both together.
    pub fn plus(self, other: &Self) -> Self {
        Self {
            orders: self.orders + other.orders,
            units: self.units + other.units,
            returned_units: self.returned_units + other.returned_units,
            gross: self.gross + other.gross,
            refunds: self.refunds + other.refunds,
        }
    }
}

#[derive(Default)]
struct Ledger {
    recount: Recount,
    days_of_invoices: HashMap<String, String>,
    placed: HashSet<String>,
    /// Pieces of a product that a customer has bought at a price and not given back.
    balances: HashMap<(String, String, i128), i128>,
}

struct Row<'a> {
    invoice: &'a str,
    code: &'a str,
    quantity: i128,
    day: &'a str,
    price: i128,
    customer: &'a str,
}

impl Recount {
    /// Counts a file.
    pub fn read(file: &Path) -> Result<Self> {
        let explain = || format!("can't read {}", file.display());
        let mut bytes = std::fs::read(file).with_context(explain)?;
        if file.to_string_lossy().ends_with(".xz") {
            let mut plain = Vec::new();
            liblzma::read::XzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).with_context(explain)?;
            bytes = plain;
        }
        Self::of(&bytes).with_context(explain)
    }

    /// Counts the bytes of a CSV file.
    pub fn of(csv: &[u8]) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(csv);
        let mut ledger = Ledger::default();
        for (index, record) in reader.records().enumerate() {
            let record = record?;
            let cells: Vec<&str> = record.iter().map(str::trim).collect();
            if index == 0 {
                ensure!(cells == HEADER, "the first line has not the columns {}", HEADER.join(","));
                continue;
            }
            ledger.line(record.position().map_or(0, csv::Position::line), &cells);
        }
        Ok(ledger.recount)
    }
}

impl Ledger {
    fn line(&mut self, number: u64, cells: &[&str]) {
        let fate = match row(cells) {
            None => Fate { amount: 0, refused: Some("malformed") },
            Some(row) => {
                let day = self.days_of_invoices.entry(row.invoice.to_owned()).or_insert_with(|| row.day.to_owned()).clone();
                self.recount.days.entry(day.clone()).or_default();
                Fate { amount: row.quantity * row.price, refused: self.book(&row, &day).err() }
            }
        };
        self.recount.lines.insert(number, fate);
    }

    /// Books a line, or says why it can't be.
    fn book(&mut self, row: &Row<'_>, day: &str) -> Result<(), &'static str> {
        let kind = row.invoice.as_bytes()[0].to_ascii_uppercase();
        if kind == b'A' {
            return Err("adjustment");
        }
        if row.price <= 0 {
            return Err("non-positive-price");
        }
        if row.price % PENNY != 0 {
            return Err("too-many-decimals");
        }
        let amount = row.quantity * (row.price / PENNY);
        let key = (row.customer.to_owned(), row.code.to_uppercase(), row.price);
        if kind != b'C' {
            if row.quantity <= 0 {
                return Err("non-positive-quantity");
            }
            *self.balances.entry(key).or_default() += row.quantity;
            let first_of_its_invoice = self.placed.insert(row.invoice.to_owned());
            let day = self.recount.days.entry(day.to_owned()).or_default();
            day.orders += i128::from(first_of_its_invoice);
            day.units += row.quantity;
            day.gross += amount;
            return Ok(());
        }
        if row.quantity >= 0 {
            return Err("non-negative-credit");
        }
        if row.customer.is_empty() {
            return Err("return-without-customer");
        }
        // A credit may be split over any earlier purchases of its kind, so only their balance decides.
        let balance = self.balances.get_mut(&key).ok_or("no-earlier-purchase")?;
        if *balance + row.quantity < 0 {
            return Err("only-part-matches");
        }
        *balance += row.quantity;
        let day = self.recount.days.entry(day.to_owned()).or_default();
        day.returned_units -= row.quantity;
        day.refunds -= amount;
        Ok(())
    }
}

fn row<'a>(cells: &[&'a str]) -> Option<Row<'a>> {
    let &[invoice, code, _, quantity, date, price, customer, ..] = cells else { return None };
    let day = date.get(..10)?;
    let dated = day.bytes().enumerate().all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    if invoice.is_empty() || code.is_empty() || !dated {
        return None;
    }
    Some(Row { invoice, code, quantity: quantity.parse().ok()?, day, price: decimal(price)?, customer })
}

/// Decimal pounds as whole millionths; no float touches them.
fn decimal(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() || fraction.len() > DECIMALS || !(whole.to_owned() + fraction).bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
    Some(if unsigned.len() < text.len() { -digits } else { digits })
}
