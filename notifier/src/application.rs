//! From events to the ledger, and from the ledger to recipients.

pub mod explaining;
pub mod folding;
pub mod handling;
pub mod keeper;
pub mod mailbox;
pub mod mailboxes;
pub mod sender;
pub mod webhooks;
