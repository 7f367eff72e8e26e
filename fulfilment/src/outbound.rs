//! Where its state is, and whom it asks.

pub mod provider;
