//! Adapters: Redis, the HTTP APIs of command service and notifier, and the Kafka producer of dead letters.

pub mod command_service;
pub mod dead_letters;
pub mod notifier;
pub mod redis;
pub mod topic_reader;
