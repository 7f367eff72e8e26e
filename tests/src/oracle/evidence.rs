//! What the oracle looked at, in files beside the logs, once it has found something: the servers go with the test.

use std::fs;

use super::Found;
use crate::{ledger::Entry, stack::Stack};

/// Keeps all of it.
pub(super) fn keep(stack: &Stack, contexts: &[Found], entries: &[Entry], findings: &[String]) {
    // What can't be written is not worth losing the findings for.
    let write = |name: &str, lines: Vec<String>| drop(fs::write(stack.file(name), lines.join("\n")));
    write("findings.log", findings.to_vec());
    write("ledger.log", entries.iter().map(|entry| format!("{entry:?}")).collect());
    for Found { context, stored, records } in contexts {
        write(&format!("postgres-{context}.log"), stored.iter().map(|event| format!("{event:?}")).collect());
        write(&format!("kafka-{context}.log"), records.iter().map(|record| format!("{record:?}")).collect());
    }
}
