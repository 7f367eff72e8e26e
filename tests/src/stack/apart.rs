//! Contexts that have command services and databases of their own.

use std::collections::BTreeMap;

use crate::{context::Context, process::Process, servers::Database};

/// A database for each context.
pub(super) async fn databases(name: &str) -> BTreeMap<Context, Database> {
    let mut databases = BTreeMap::new();
    for context in Context::ALL {
        databases.insert(context, Database::create(&format!("{name}_{context}")).await);
    }
    databases
}

/// Gives each command service one context with its own database, and tells everybody where it is. Without databases all
/// stays together.
pub(super) fn separate(commands: &mut [Process], projectors: &mut [Process], databases: &BTreeMap<Context, Database>) {
    let urls: Vec<_> = commands.iter().map(Process::url).collect();
    for ((context, database), command) in databases.iter().zip(&mut *commands) {
        command.set("COMMAND_CONTEXTS", context.name());
        command.set("DATABASE_URL", "");
        command.set(&setting("DATABASE_URL", *context), &database.url);
    }
    for (context, url) in databases.keys().zip(&urls) {
        for process in projectors.iter_mut().chain(&mut *commands) {
            process.set(&setting("COMMAND_SERVICE_URL", *context), url);
        }
    }
}

/// The name of a setting of a context's own.
fn setting(name: &str, context: Context) -> String {
    format!("{name}_{}", context.name().to_uppercase())
}
