//! Waking relays: from the writers of this process, and from those of others through Postgres.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    application::lane::Lane,
    outbound::postgres::{PostgresStore, relay},
};

/// Commits within this time are told to other processes by one NOTIFY.
const COALESCE: Duration = Duration::from_millis(2);
/// How long to wait after Postgres failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the relay groups of one context that there is something to publish.
#[derive(Debug)]
pub struct RelaySignal {
    groups: Vec<Group>,
    /// Lanes moved that no relay of this process owns.
    elsewhere: Notify,
}

#[derive(Debug, Default)]
struct Group {
    wake: Notify,
    owned: AtomicBool,
}

impl RelaySignal {
    /// For this many groups.
    #[must_use]
    pub fn new(groups: u16) -> Self {
        Self { groups: (0..groups).map(|_| Group::default()).collect(), elsewhere: Notify::new() }
    }

    /// The group that publishes a lane.
    #[must_use]
    pub fn group_of(&self, lane: Lane) -> usize {
        usize::from(lane.0) % self.groups.len()
    }

    /// Tells that these lanes have new events.
    pub fn appended(&self, heads: &[(Lane, u64)]) {
        for (lane, _) in heads {
            let group = &self.groups[self.group_of(*lane)];
            if group.owned.load(Ordering::Relaxed) {
                group.wake.notify_one();
            } else {
                self.elsewhere.notify_one();
            }
        }
    }

    /// Waits until the group has something to publish.
    pub async fn woken(&self, group: u16) {
        self.groups[usize::from(group)].wake.notified().await;
    }

    /// Says whether a relay of this process owns the group.
    pub fn set_owned(&self, group: u16, owned: bool) {
        self.groups[usize::from(group)].owned.store(owned, Ordering::Relaxed);
    }

    /// Tells other processes of lanes that moved and that they may own, until `stop`.
    pub async fn tell_others(&self, store: &PostgresStore, stop: &CancellationToken) {
        stop.run_until_cancelled(self.send(store)).await;
    }

    async fn send(&self, store: &PostgresStore) {
        loop {
            self.elsewhere.notified().await;
            if let Err(error) = relay::notify(store).await {
                warn!(%error, "other relays could not be told of new events: they will find them by polling");
                tokio::time::sleep(PAUSE).await;
            }
            tokio::time::sleep(COALESCE).await;
        }
    }

    fn wake_all(&self) {
        for group in &self.groups {
            group.wake.notify_one();
        }
    }
}

/// Wakes the relays of these contexts, which share a database, when other processes tell of new events, until `stop`.
pub async fn hear_others(contexts: &[(PostgresStore, Arc<RelaySignal>)], stop: &CancellationToken) {
    stop.run_until_cancelled(receive(contexts)).await;
}

async fn receive(contexts: &[(PostgresStore, Arc<RelaySignal>)]) {
    let stores: Vec<_> = contexts.iter().map(|(store, _)| store.clone()).collect();
    let channels: Vec<_> = stores.iter().map(relay::channel).collect();
    loop {
        match relay::listen(&stores).await {
            Ok(None) => return,
            Ok(Some(mut listener)) => {
                // Something may have been appended before we listened.
                contexts.iter().for_each(|(_, signal)| signal.wake_all());
                while let Ok(notified) = listener.try_recv().await {
                    // None: the connection was lost and made anew, and notices between are gone.
                    let told = |channel: &str| notified.as_ref().is_none_or(|notified| notified.channel() == channel);
                    for ((_, signal), _) in contexts.iter().zip(&channels).filter(|(_, channel)| told(channel)) {
                        signal.wake_all();
                    }
                }
            }
            Err(error) => warn!(%error, "can't listen for new events of other processes: polling finds them"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
