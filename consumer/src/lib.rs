//! What a service that reacts to events needs: from a topic's record to its handler, each partition's records in order,
//! again until they are handled.
//!
//! A service writes a [`Handler`] and calls [`run`]. Offsets are committed to the consumer group after the handler
//! succeeded, so nothing is lost by a crash, a rebalance or a dependency that is down; the same records may come again, and a
//! handler that has handled them already does nothing. Partitions are independent: while one waits for its handler to
//! succeed, the others go on.
//!
//! ```no_run
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//!
//! use consumer::{Handler, Position, Received, Settings, Status};
//! use events::{Context, DecodeError};
//! use tokio_util::sync::CancellationToken;
//!
//! struct Print;
//!
//! impl Handler for Print {
//!     type Error = Infallible;
//!
//!     async fn handle(&self, partition: &[Received]) -> Result<(), Infallible> {
//!         for record in partition {
//!             println!("{} {} {:?}", record.envelope.stream_id, record.envelope.version, record.event);
//!         }
//!         Ok(())
//!     }
//!
//!     async fn unreadable(&self, position: &Position, _: Option<&[u8]>, why: &DecodeError) -> Result<(), Infallible> {
//!         println!("{position}: {why}");
//!         Ok(())
//!     }
//! }
//!
//! # async fn example() -> Result<(), consumer::Error> {
//! let settings = Settings {
//!     brokers: "127.0.0.1:9092".to_owned(),
//!     client_id: "example".to_owned(),
//!     group_id: "example".to_owned(),
//!     instance_id: None,
//!     session_timeout: Duration::from_secs(10),
//!     topic_prefix: "orderflow".to_owned(),
//!     contexts: vec![Context::Orders],
//!     batch: 100,
//! };
//! consumer::run(settings, Arc::new(Print), CancellationToken::new(), Status::default()).await
//! # }
//! ```

mod group;
mod handler;
mod metrics;
mod partition;
mod record;
mod settings;
mod status;

pub use self::metrics::METRICS;
pub use group::{Error, run};
pub use handler::Handler;
pub use record::{Position, Received, read};
pub use settings::Settings;
pub use status::Status;
