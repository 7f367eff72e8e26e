//! Adapters: Redis, the command service's HTTP API, and the Kafka producer of dead letters.

pub mod command_service;
pub mod dead_letters;
pub mod redis;
pub mod topic_reader;
