//! Faults by a seed, under load, in services and servers alike; and how long each takes to be got over.
//!
//! [`schedule`] says what happens, from the seed alone; [`fault`] does it; [`record`] keeps what was done when, and shows it
//! when the run fails. Whether anything was lost, doubled or reordered is the oracle's to say.

pub mod fault;
mod idle;
pub mod page;
pub mod record;
pub mod schedule;

use std::{fmt::Write as _, time::Duration};

use fastrand::Rng;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{Client, Oracle, Plan, Stack, load::Load, wait::until_every};
use fault::Faults;
use record::Record;
use schedule::{Fault, Schedule, Step};

/// Clients that send commands all the time.
const CLIENTS: u64 = 8;
/// Fresh orders that have to be accepted and seen until a fault counts as got over: about one for each lane.
const PROBES: usize = 6;
/// How long that may take before the system counts as stuck.
const STUCK: Duration = Duration::from_secs(240);
/// How long a service is waited for that is to say why nothing moves.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// The pause between two looks for an order.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a stack with servers of its own, makes faults for so long, and lets the oracle decide.
///
/// # Panics
///
/// When anything was lost, doubled, reordered, wrong or stuck. Seed, schedule and the place of all logs are shown then.
pub async fn run(seed: u64, duration: Duration) -> Record {
    let mut record = Record::new(seed, duration);
    let mut stack = Stack::start(Plan { commands: 2, projectors: 2, own_servers: true, ..Plan::default() }).await;
    record.keep_in(stack.file("schedule.log"));
    let client = stack.client();
    // The oracle looks at every event in the end: a long run makes about as many as it can look at.
    let pause = Duration::from_millis(12).max(duration / 6_000);
    let mut load = Load::begin_with_pauses(&client, seed, CLIENTS, pause).await;
    let mut faults = Faults::new(&stack);
    let (mut schedule, mut rng) = (Schedule::new(seed), Rng::with_seed(!seed));
    record.begin();
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline {
        let step = schedule.next_step();
        make(&step, &mut faults, &mut stack, &mut record).await;
        load.check();
        if step.measured {
            let orders: Vec<_> = (0..PROBES).map(|_| load.order(&mut rng)).collect();
            let recovered = tokio::time::timeout(STUCK, seen(&client, &orders)).await;
            let Ok(taken) = recovered else {
                let complaints = complaints(&mut stack).await;
                panic!("stuck: {STUCK:?} after {step:?} no fresh order is accepted and seen{complaints}");
            };
            record.recovered(&step.faults, taken);
            faults.probed();
        }
        load.check();
        sleep(step.pause).await;
    }
    // A short run does not wait for a transaction to have had its minute.
    if duration >= idle::MINUTE {
        faults.finish().await;
    }
    record.say("the faults are over");
    load.accepts(100).await;
    load.finish().await;
    stack.ready().await;
    record.say(&format!("{} commands were accepted; the oracle looks", stack.ledger.count()));
    Oracle::of(&stack).verify().await;
    record.passed(stack.ledger.count());
    record
}

/// Makes the faults of a step and ends them.
async fn make(step: &Step, faults: &mut Faults, stack: &mut Stack, record: &mut Record) {
    for fault in &step.faults {
        record.made(*fault, step.hold);
        faults.begin(*fault, stack).await;
    }
    sleep(step.hold).await;
    record.ended();
    // Who is asked to end may wait for what the other fault keeps from it.
    let (asked, others): (Vec<Fault>, Vec<Fault>) = step.faults.iter().partition(|fault| matches!(fault, Fault::Restart(_)));
    for fault in others.into_iter().chain(asked) {
        faults.end(fault, stack).await;
    }
}

/// Sends orders and waits until the query service shows each; how long that took.
pub async fn seen(client: &Client, orders: &[crate::Command]) -> Duration {
    let started = Instant::now();
    join_all(orders.iter().map(async |order| {
        // It may be refused as any other (a product that is no more); then there is nothing to be seen.
        let crate::Answer::Accepted(id, _) = client.send(order).await else { return };
        let path = format!("/v1/orders/{id}");
        until_every(LOOK, "an order is seen", STUCK * 2, async || {
            matches!(client.read(&path).await, Ok((200, ..))).then_some(())
        })
        .await;
    }))
    .await;
    started.elapsed()
}

/// What the services say of themselves when they are stuck.
async fn complaints(stack: &mut Stack) -> String {
    let mut complaints = String::new();
    for process in stack.commands.iter_mut().chain(&mut stack.projectors).chain([&mut stack.query]) {
        let url = format!("{}/ready", process.url());
        let asked = async { reqwest::get(&url).await?.text().await };
        let answer = match tokio::time::timeout(LAST_WORDS, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {LAST_WORDS:?}"),
        };
        let state = if process.is_running() { "runs" } else { "is down" };
        let _ = write!(complaints, "\n  {} ({state}): {answer}", process.name());
    }
    complaints
}
