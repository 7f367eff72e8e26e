//! One service is cut off from one server, while all others reach it.

use std::{fs, time::Duration};

use fastrand::Rng;
use system_tests::{
    Oracle, Plan, Stack, chaos,
    load::Load,
    network::{Line, Server, Service},
    proxy::Proxy,
    wait::until,
};

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// So many orders fall into every lane and every partition.
const ORDERS: usize = 16;
/// One group of each of four contexts.
pub(crate) const RELAYS: f64 = 4.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_that_is_cut_off_did_others_do() {
    let mut stack = Stack::start(Plan { commands: 2, projectors: 2, own_servers: true, ..Plan::default() }).await;
    let (client, mut rng) = (stack.client(), Rng::with_seed(91));
    let mut load = Load::begin(&client, 91, 4).await;
    load.accepts(60).await;
    let lost = [Line::One(Service::Command(0), Server::Postgres), Line::One(Service::Projector(0), Server::Kafka)];
    for line in lost {
        stack.servers().network.line(line).for_each(Proxy::cut);
    }
    // It publishes none of its lanes and folds none of its partitions any more.
    until("the command service is not ready", PATIENCE, async || {
        let answer = reqwest::get(format!("{}/ready", stack.commands[0].url())).await.ok()?;
        (!answer.status().is_success()).then_some(())
    })
    .await;
    let orders: Vec<_> = (0..ORDERS).map(|_| load.order(&mut rng)).collect();
    tokio::time::timeout(PATIENCE, chaos::seen(&client, &orders)).await.expect("the others take over");
    assert!(reqwest::get(format!("{}/ready", stack.commands[1].url())).await.unwrap().status().is_success());
    for line in lost {
        stack.servers().network.line(line).for_each(Proxy::restore);
    }
    stack.ready().await;
    load.accepts(60).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_lost_records_on_the_way_is_not_used_again() {
    let mut stack = Stack::start(Plan { own_servers: true, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 92, 4).await;
    load.accepts(60).await;
    stack.metric_reaches(&stack.commands[0].url(), "orderflow_relay_owned", RELAYS).await;
    let line = Line::One(Service::Command(0), Server::Kafka);
    stack.servers().network.line(line).for_each(Proxy::cut);
    let (log, kafka_log) = (stack.file("command-service-0.log"), stack.file("kafka.log"));
    until("a relay gives up on what it has sent", PATIENCE, async || {
        fs::read_to_string(&log).unwrap_or_default().contains("Flush error").then_some(())
    })
    .await;
    stack.servers().network.line(line).for_each(Proxy::restore);
    load.accepts(60).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    // What the old producer would send next has numbers that the broker does not expect.
    let refusals = fs::read_to_string(kafka_log).unwrap();
    assert!(!refusals.contains("OutOfOrderSequence"), "{refusals}");
}
