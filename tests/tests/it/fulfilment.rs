//! Orders fulfil themselves: the saga as a process, between the write side and a payment provider.

mod endings;
mod gaps;
mod kills;
mod life;
mod operators;
pub(crate) mod shop;
