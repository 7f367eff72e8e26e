//! What differs between the file, the report of refused lines and what is served.

use std::collections::BTreeSet;

use super::recount::{Day, PENNY, Recount};
use super::refusals::Refusals;
use super::served::Served;
use crate::text::grouped;

/// Everything that differs, each as a sentence.
pub fn all(recount: &Recount, refusals: &Refusals, served: &Served) -> Vec<String> {
    let mut differences = days(recount, served);
    differences.extend(lines(recount, refusals));
    let (file, booked) = (file_sum(recount), served_sum(served) + refused_sum(recount, refusals));
    if file != booked {
        let missing = grouped(file - booked);
        differences.push(format!(
            "the sum of the file is not what is served plus what was refused: {missing} millionths of a pound are missing"
        ));
    }
    differences
}

/// Days that differ.
pub fn days(recount: &Recount, served: &Served) -> Vec<String> {
    let all: BTreeSet<_> = recount.days.keys().chain(served.days.keys()).collect();
    let mut differences = Vec::new();
    for day in all {
        let file = recount.days.get(day).copied().unwrap_or_default();
        let there = served.days.get(day).copied().unwrap_or_default();
        for (what, file, there) in [
            ("orders", file.orders, there.orders),
            ("units", file.units, there.units),
            ("returned units", file.returned_units, there.returned_units),
            ("pence sold", file.gross, there.gross),
            ("pence refunded", file.refunds, there.refunds),
        ] {
            if file != there {
                differences.push(format!("{day}: {} {what} in the file, {} served", grouped(file), grouped(there)));
            }
        }
    }
    differences
}

/// Lines that were refused and should not have been, or the other way round.
fn lines(recount: &Recount, refusals: &Refusals) -> Vec<String> {
    let mut differences = Vec::new();
    for (line, reason) in &refusals.reasons {
        if !recount.lines.contains_key(line) {
            differences.push(format!("line {line} was refused ({reason}), but the file has no such line"));
        }
    }
    for (line, fate) in &recount.lines {
        match (fate.refused, refusals.reasons.get(line).map(String::as_str)) {
            (None, Some(reason)) => differences.push(format!("line {line} was refused ({reason}) and is fine")),
            (Some(reason), None) => differences.push(format!("line {line} was taken and should be refused: {reason}")),
            (Some(reason), Some(given)) if reason != given => {
                differences.push(format!("line {line} was refused as {given} and is {reason}"));
            }
            _ => {}
        }
    }
    differences
}

/// The sum of every line of the file.
pub fn file_sum(recount: &Recount) -> i128 {
    recount.lines.values().map(|fate| fate.amount).sum()
}

/// Accepted sales less accepted returns, as served.
pub fn served_sum(served: &Served) -> i128 {
    let total = served.days.values().fold(Day::default(), Day::plus);
    (total.gross - total.refunds) * PENNY
}

fn refused_sum(recount: &Recount, refusals: &Refusals) -> i128 {
    refusals.reasons.keys().filter_map(|line| recount.lines.get(line)).map(|fate| fate.amount).sum()
}
