//! Orders that fulfil themselves: the order saga.

pub mod domain;
