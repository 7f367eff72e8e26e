//! Use cases: commands on their way through the writers into the store, and events on theirs through the relay to Kafka.

pub mod command;
pub mod commands;
pub mod directory;
pub mod facts;
pub mod lane;
pub mod relay;
pub mod state;
pub mod writer;
