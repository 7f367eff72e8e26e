//! What follows from events, and how it is written, signed and repeated: pure, without I/O, clock or chance.

pub mod address;
pub mod backoff;
pub mod cloudevent;
pub mod effect;
pub mod phone;
pub mod plan;
pub mod secret;
pub mod subscription;
pub mod written;
