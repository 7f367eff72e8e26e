//! Where its state is, and whom it asks.

pub mod command_service;
pub mod postgres;
pub mod provider;
