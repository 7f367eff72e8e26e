//! Everything is killed, stopped, cut off and emptied at random, by a seed: our services and the servers.

use std::{path::PathBuf, time::Duration};

use system_tests::chaos;

/// How long faults are made, in seconds, unless `DURATION` says otherwise.
const SECONDS: u64 = 25;
/// The schedule, unless `SEED` names another: what fails in everybody's way should fail the same way twice.
const EVERYDAY: u64 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_nothing_is_lost_doubled_or_reordered() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = setting("SEED").unwrap_or(EVERYDAY);
    let record = chaos::run(seed, Duration::from_secs(setting("DURATION").unwrap_or(SECONDS))).await;
    say(&record.table());
    if let Some(page) = std::env::var_os("CHAOS_PAGE") {
        chaos::page::write(&PathBuf::from(page), &record.table()).unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "make chaos shows it")]
fn say(text: &str) {
    println!("{text}");
}
