//! What the provider is asked, how it behaves, and its book. No I/O, no clock.

pub mod behaviour;
pub mod book;
pub mod operation;

#[cfg(test)]
mod tests;
