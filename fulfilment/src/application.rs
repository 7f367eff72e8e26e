//! Taking the steps that sagas ask for, and watching their time.

pub mod executor;
pub mod ids;
pub mod provider;
pub mod taking;
pub mod task;
pub mod timers;
