//! The audit as a table for people.

use std::collections::BTreeMap;

use super::compare::file_sum;
use super::recount::{Day, PENNY, Recount};
use super::served::Served;
use crate::text::{grouped, table};

/// Differences that are printed; more would hide the first.
const SHOWN: usize = 20;

/// Both sides by month, the sum that must come out even, and what differs.
pub fn text(recount: &Recount, served: &Served, differences: &[String]) -> String {
    let mut text = String::from("Audit: the file, counted again, against what the query service answers\n\n");
    text += &table(&months(recount, served));
    text.push('\n');
    text += &table(&reconciliation(recount, served));
    text.push('\n');
    if differences.is_empty() {
        return text + "No difference, to the penny, on any day.";
    }
    for difference in differences.iter().take(SHOWN) {
        text += &format!("DIFFERENCE  {difference}\n");
    }
    if differences.len() > SHOWN {
        text += &format!("… and {} more\n", differences.len() - SHOWN);
    }
    text
}

fn months(recount: &Recount, served: &Served) -> Vec<Vec<String>> {
    let header = ["month", "orders", "units", "returned", "sold £", "refunded £", "revenue £", ""];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let (file, there) = (by_month(&recount.days), by_month(&served.days));
    let mut sums = (Day::default(), Day::default());
    for month in file.keys().chain(there.keys().filter(|month| !file.contains_key(*month))) {
        let file = file.get(month).copied().unwrap_or_default();
        let there = there.get(month).copied().unwrap_or_default();
        sums = (sums.0.plus(&file), sums.1.plus(&there));
        rows.extend(compared(month, &file, &there));
    }
    rows.extend(compared("all", &sums.0, &sums.1));
    rows
}

/// One row when both sides are the same, else one for each.
fn compared(name: &str, file: &Day, there: &Day) -> Vec<Vec<String>> {
    if file == there {
        return vec![row(name, file, "same")];
    }
    vec![row(name, file, "in the file"), row("", there, "served")]
}

fn row(name: &str, day: &Day, verdict: &str) -> Vec<String> {
    vec![
        name.to_owned(),
        grouped(day.orders),
        grouped(day.units),
        grouped(day.returned_units),
        pounds(day.gross * PENNY),
        pounds(day.refunds * PENNY),
        pounds((day.gross - day.refunds) * PENNY),
        verdict.to_owned(),
    ]
}

fn by_month(days: &BTreeMap<String, Day>) -> BTreeMap<String, Day> {
    let mut months: BTreeMap<String, Day> = BTreeMap::new();
    for (day, counts) in days {
        let month = months.entry(day.get(..7).unwrap_or(day).to_owned()).or_default();
        *month = month.plus(counts);
    }
    months
}

fn reconciliation(recount: &Recount, served: &Served) -> Vec<Vec<String>> {
    let total = served.days.values().fold(Day::default(), Day::plus);
    let mut refused: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for fate in recount.lines.values() {
        if let Some(reason) = fate.refused {
            let (count, amount) = refused.entry(reason).or_default();
            *count += 1;
            *amount += fate.amount;
        }
    }
    let lines = i128::try_from(recount.lines.len()).unwrap_or(i128::MAX);
    let taken = lines - refused.values().map(|(count, _)| count).sum::<i128>();
    let cells = |name: String, count: String, amount: String| vec![name, count, amount];
    let mut rows = vec![
        cells("to reconcile".to_owned(), "lines".to_owned(), "£".to_owned()),
        cells("sales served".to_owned(), String::new(), pounds(total.gross * PENNY)),
        cells("returns served".to_owned(), String::new(), pounds(-total.refunds * PENNY)),
        cells("lines taken".to_owned(), grouped(taken), pounds((total.gross - total.refunds) * PENNY)),
    ];
    let mut sum = (total.gross - total.refunds) * PENNY;
    for (reason, (count, amount)) in refused {
        rows.push(cells(format!("refused: {reason}"), grouped(count), pounds(amount)));
        sum += amount;
    }
    rows.push(cells("together".to_owned(), grouped(lines), pounds(sum)));
    rows.push(cells("the whole file".to_owned(), grouped(lines), pounds(file_sum(recount))));
    rows
}

/// Pounds with as many decimals as are needed, two at least.
pub fn pounds(millionths: i128) -> String {
    let pence = millionths.unsigned_abs();
    let sign = if millionths < 0 { "-" } else { "" };
    let fraction = format!("{:06}", pence % 1_000_000);
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("{sign}{}.{}", grouped(i128::try_from(pence / 1_000_000).unwrap_or(i128::MAX)), &fraction[..kept])
}
