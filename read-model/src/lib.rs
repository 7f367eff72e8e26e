//! The contract between projector and query service: view types, how a view is stored, and Redis keys. No I/O.
//!
//! All state of one (generation, topic, partition) lies in one Redis Cluster slot, named by a [`Slot`]'s hash tag:
//! views, index entries, counters, parked streams, the change log, and the checkpoint with the revision that fences it.

pub mod filling;
pub mod index;
pub mod keys;
pub mod order;
pub mod payment;
pub mod pointers;
pub mod product;
pub mod stats;
pub mod stored;
pub mod user;

pub use filling::Filling;
pub use keys::{Generation, Slot};
pub use order::{OrderStatus, OrderView};
pub use payment::{PaymentStatus, PaymentView};
pub use pointers::{Building, Origin, Pointers, Previous};
pub use product::{ProductStatus, ProductView};
pub use stored::{Flags, Header, StoredView, StoredViewError};
pub use user::{UserStatus, UserView};
