//! `limit`, the same for every list.

use service_kit::problem::Problem;

/// Views a page where nothing is said.
const DEFAULT: u16 = 50;

/// The largest page.
const MAX: u16 = 200;

/// The number of views wanted.
pub(super) fn limit(given: Option<u16>) -> Result<usize, Problem> {
    match given.unwrap_or(DEFAULT) {
        limit @ 1..=MAX => Ok(usize::from(limit)),
        _ => Err(Problem::invalid_parameter("limit", format!("is a number from 1 to {MAX}"))),
    }
}
