//! Taking calls.

pub mod desk;
