//! What the crate publishes stays what it is: schemas, golden samples and round trips.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod arbitrary;
mod asyncapi;
mod catalogue;
mod round_trips;
mod samples;
mod schemas;
