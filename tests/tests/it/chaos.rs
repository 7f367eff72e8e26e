//! Everything is killed, stopped and started at random, by a seed.

use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;
use system_tests::{Oracle, Plan, Stack, load::Load, process::Process};
use tokio::time::{Instant, sleep};

/// How long faults are made, unless `CHAOS_SECONDS` says otherwise.
const SECONDS: u64 = 30;

#[tokio::test]
async fn whatever_is_killed_nothing_is_lost_doubled_or_reordered() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = setting("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let duration = Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or(SECONDS));
    // Shown when the test fails.
    say(&format!("run it again with SEED={seed} CHAOS_SECONDS={}", duration.as_secs()));
    let mut stack = Stack::start(Plan { commands: 2, projectors: 2, own_redis: true, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), seed, 8).await;
    let mut rng = Rng::with_seed(seed);
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline {
        fault(&mut stack, &mut rng).await;
        load.check();
        sleep(Duration::from_millis(rng.u64(200..1_500))).await;
    }
    for process in processes(&mut stack) {
        process.signal(Signal::CONT);
        if !process.is_running() {
            process.spawn();
        }
    }
    load.accepts(100).await;
    load.finish().await;
    stack.ready().await;
    Oracle::of(&stack).verify().await;
}

fn processes(stack: &mut Stack) -> impl Iterator<Item = &mut Process> {
    stack.commands.iter_mut().chain(&mut stack.projectors).chain([&mut stack.query])
}

async fn fault(stack: &mut Stack, rng: &mut Rng) {
    let kind = rng.u8(0..20);
    if kind == 0 {
        say("chaos: Redis is emptied");
        return stack.own_redis().flush().await;
    }
    if kind == 1 {
        say("chaos: Redis is killed and comes back empty");
        stack.own_redis().kill();
        sleep(Duration::from_millis(rng.u64(0..2_000))).await;
        return stack.own_redis().restart().await;
    }
    let index = rng.usize(0..5);
    let Some(process) = processes(stack).nth(index) else { return };
    match kind {
        2..6 => {
            say(&format!("chaos: {index} is stopped"));
            process.signal(Signal::STOP);
            // Longer than a session without a sign of life may last, now and then.
            let long = rng.u8(0..4) == 0;
            sleep(Duration::from_millis(if long { 7_000 } else { rng.u64(50..2_000) })).await;
            process.signal(Signal::CONT);
        }
        6..9 => {
            say(&format!("chaos: {index} is asked to end"));
            process.signal(Signal::TERM);
            process.ended(Duration::from_secs(120)).await;
            process.spawn();
        }
        _ => {
            say(&format!("chaos: {index} is killed"));
            process.kill();
            sleep(Duration::from_millis(rng.u64(0..1_500))).await;
            process.spawn();
        }
    }
}

#[expect(clippy::print_stdout, reason = "cargo shows it with the test that failed")]
fn say(text: &str) {
    println!("{text}");
}
