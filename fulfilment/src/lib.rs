//! Orders that fulfil themselves: the order saga as a process manager. Orders' events come in, commands and payments go out.

pub mod application;
pub mod domain;
pub mod outbound;
