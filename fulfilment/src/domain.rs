//! What a saga is and does, without I/O and without a clock.

pub mod saga;
