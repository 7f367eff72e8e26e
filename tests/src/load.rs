//! Random commands by seed: many lives of users, products, orders and payments at once, with duplicates, stale versions, contended
//! products and streams of commands.

mod lives;
mod payments;
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

use crate::{
    client::{Client, Command},
    wait::until,
};
use lives::Worker;
use shop::{Shop, place_order};

/// The pause between two turns of a worker, at most: faults should find the services at work, not the machine on its knees.
const PAUSE: Duration = Duration::from_millis(12);

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    client: Client,
    shop: Arc<Shop>,
    workers: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Opens a shop, and sets `workers` clients to work on it.
    pub async fn begin(client: &Client, seed: u64, workers: u64) -> Self {
        Self::begin_with_pauses(client, seed, workers, PAUSE).await
    }

    /// The same with pauses of up to so long between two turns of a client, for runs of many minutes.
    pub async fn begin_with_pauses(client: &Client, seed: u64, workers: u64, pause: Duration) -> Self {
        let shop = Arc::new(Shop::open(client, &mut Rng::with_seed(seed)).await);
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..workers {
            let rng = Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(number + 1));
            let worker = Worker::new(client.clone(), Arc::clone(&shop), rng);
            tasks.spawn(work(worker, pause, Arc::clone(&stop)));
        }
        Self { client: client.clone(), shop, workers: tasks, stop }
    }

    /// An order of what this shop sells, not sent yet.
    #[must_use]
    pub fn order(&self, rng: &mut Rng) -> Command {
        place_order(&self.shop, rng)
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

async fn work(mut worker: Worker, pause: Duration, stop: Arc<AtomicBool>) {
    let most = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    while !stop.load(Ordering::Relaxed) {
        worker.turn().await;
        let pause = worker.pause(most);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
