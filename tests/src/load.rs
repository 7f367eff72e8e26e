//! Random commands by seed: many lives of users, products and orders at once, with duplicates, stale versions, contended
//! products and streams of commands.

mod lives;
mod shop;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::task::JoinSet;

use crate::{client::Client, wait::until};
use lives::Worker;
use shop::Shop;

/// The pause between two turns of a worker, at most: faults should find the services at work, not the machine on its knees.
const PAUSE_MS: u64 = 12;

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    client: Client,
    workers: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Opens a shop, and sets `workers` clients to work on it.
    pub async fn begin(client: &Client, seed: u64, workers: u64) -> Self {
        let shop = Arc::new(Shop::open(client, &mut Rng::with_seed(seed)).await);
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..workers {
            let rng = Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(number + 1));
            let worker = Worker::new(client.clone(), Arc::clone(&shop), rng);
            tasks.spawn(work(worker, Arc::clone(&stop)));
        }
        Self { client: client.clone(), workers: tasks, stop }
    }

    /// Lets the clients work until `more` commands more were accepted.
    pub async fn accepts(&mut self, more: usize) {
        let goal = self.client.ledger().count() + more;
        until("commands are accepted", Duration::from_secs(240), async || {
            self.check();
            (self.client.ledger().count() >= goal).then_some(())
        })
        .await;
    }

    /// Fails when a client has.
    pub fn check(&mut self) {
        while let Some(ended) = self.workers.try_join_next() {
            ended.expect("a client of the load failed");
        }
    }

    /// Ends it; every command's fate is known then.
    pub async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.expect("a client of the load failed");
        }
    }
}

async fn work(mut worker: Worker, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        worker.turn().await;
        let pause = worker.pause(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
