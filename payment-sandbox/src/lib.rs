#![doc = include_str!("../README.md")]

pub mod application;
pub mod config;
pub mod domain;
pub mod inbound;
pub mod metrics;
pub mod outbound;
