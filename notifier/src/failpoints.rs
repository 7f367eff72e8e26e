//! Where tests kill the process or make a mailbox panic, by `FAILPOINTS=notifier::sent=return`; without the feature
//! `failpoints` nothing.

use crate::domain::effect::Mailbox;

/// Effects were taken up, and nothing is sent yet: `notifier::taken=return(MAILBOX)` panics in that mailbox.
pub(crate) fn taken(mailbox: Mailbox) {
    let _ = mailbox;
    fail::fail_point!("notifier::taken", |named| {
        assert!(named.is_none_or(|named| named != mailbox.to_string()), "a failpoint says so");
    });
}

/// The provider has the message, and the ledger does not know it yet: `notifier::sent=return` kills the process.
pub(crate) fn sent() {
    fail::fail_point!("notifier::sent", |_| {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    });
}
