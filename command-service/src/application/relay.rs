//! The relay: the only publisher. It carries each lane's events to Kafka, `seq` after `seq`.
//!
//! A relay owns groups of lanes. For a group it holds a lock in Postgres, a transactional producer that fences its
//! predecessor, and a cursor that is written to Kafka in the same transaction as the events it tells of. So after a
//! crash, a restart or a takeover every event is on Kafka exactly once for a `read_committed` consumer.

mod group;
mod signal;

pub use group::{Relay, RelayHealth};
pub use signal::{RelaySignal, hear_others};
