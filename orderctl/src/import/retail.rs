//! The Online Retail CSV, one record after another, compressed by xz or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::NaiveDateTime;
use csv::StringRecord;
use liblzma::read::XzDecoder;

use super::rejects::Reason;

const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// What an invoice number says by its first letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goods sold.
    Sale,
    /// `C`: goods credited.
    Credit,
    /// `A`: a correction of accounts, no goods.
    Adjustment,
}

/// A line of an invoice whose columns could be read.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// What kind of invoice it is on.
    pub kind: Kind,
    /// The invoice's number.
    pub invoice: &'a str,
    /// The stock code as written.
    pub code: &'a str,
    /// The product's description; may be empty.
    pub description: &'a str,
    /// Pieces; negative on credits and write-offs.
    pub quantity: i64,
    /// The invoice's date, taken as UTC.
    pub at: NaiveDateTime,
    /// Pounds.
    pub price: Price,
    /// The customer's number; none is a guest.
    pub customer: Option<&'a str>,
}

/// A price as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price {
    /// Whole pence, more than none.
    Pence(u64),
    /// Zero or less.
    NotPositive,
    /// Fractions of a penny.
    FractionOfAPenny,
}

impl<'a> Line<'a> {
    /// Reads the columns of a record, or says what is wrong with them.
    pub fn read(record: &'a StringRecord) -> Result<Self, (Reason, String)> {
        let column = |index: usize, name: &str| {
            record.get(index).map(str::trim).ok_or((Reason::Malformed, format!("the column {name} is missing")))
        };
        let malformed = |name: &str, text: &str| (Reason::Malformed, format!("{name} {text:?} can't be read"));
        let (invoice, code) = (column(0, "InvoiceNo")?, column(1, "StockCode")?);
        let (quantity, date, price) = (column(3, "Quantity")?, column(4, "InvoiceDate")?, column(5, "UnitPrice")?);
        let kind = match invoice.bytes().next() {
            Some(b'C' | b'c') => Kind::Credit,
            Some(b'A' | b'a') => Kind::Adjustment,
            Some(_) if !code.is_empty() => Kind::Sale,
            _ => return Err((Reason::Malformed, "there is no invoice number or no stock code".to_owned())),
        };
        Ok(Self {
            kind,
            invoice,
            code,
            description: column(2, "Description")?,
            quantity: quantity.parse().map_err(|_| malformed("Quantity", quantity))?,
            at: NaiveDateTime::parse_from_str(date, DATE_FORMAT).map_err(|_| malformed("InvoiceDate", date))?,
            price: Price::read(price).ok_or_else(|| malformed("UnitPrice", price))?,
            customer: Some(column(6, "CustomerID")?).filter(|customer| !customer.is_empty()),
        })
    }
}

impl Price {
    /// Reads decimal pounds; no float touches them.
    fn read(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (pounds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if pounds.is_empty() || !numeric(pounds) || !numeric(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let all_zero = pounds.bytes().all(|byte| byte == b'0') && fraction.is_empty();
        if negative || all_zero {
            return Some(Self::NotPositive);
        }
        if fraction.len() > 2 {
            return Some(Self::FractionOfAPenny);
        }
        let pence = format!("{pounds}{fraction:0<2}").parse().ok()?;
        Some(Self::Pence(pence))
    }
}

/// Opens a CSV file, through a decompressor when its name ends in `.xz`.
pub fn open(file: &Path) -> Result<csv::Reader<Box<dyn Read>>> {
    let opened = File::open(file).with_context(|| format!("can't open {}", file.display()))?;
    let is_xz = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xz"));
    let bytes: Box<dyn Read> = if is_xz { Box::new(XzDecoder::new(BufReader::new(opened))) } else { Box::new(opened) };
    Ok(csv::ReaderBuilder::new().flexible(true).from_reader(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_prices_without_floats() {
        for (text, price) in [
            ("2.55", Some(Price::Pence(255))),
            ("2.5", Some(Price::Pence(250))),
            ("16888.02", Some(Price::Pence(1_688_802))),
            ("3", Some(Price::Pence(300))),
            ("1.100", Some(Price::Pence(110))),
            ("0.001", Some(Price::FractionOfAPenny)),
            ("0.0", Some(Price::NotPositive)),
            ("-11062.06", Some(Price::NotPositive)),
            ("", None),
            (".5", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Price::read(text), price, "{text}");
        }
    }

    #[test]
    fn says_which_column_is_unreadable() {
        let record = StringRecord::from(vec!["536365", "85123A", "", "six", "2010-12-01 08:26:00", "2.55", "", "UK"]);
        assert_eq!(Line::read(&record).unwrap_err(), (Reason::Malformed, "Quantity \"six\" can't be read".to_owned()));
        let short = StringRecord::from(vec!["536365", "85123A"]);
        assert_eq!(Line::read(&short).unwrap_err().1, "the column Quantity is missing");
    }
}
