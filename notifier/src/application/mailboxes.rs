//! All mailboxes of this process: one for each active endpoint, one for e-mail, one for text messages.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    keeper::{Dying, Policy, Start, keep},
    mailbox::{Actor, Patience},
    sender::Sender,
};
use crate::{domain::effect::Mailbox, outbound::postgres::PostgresStore};

/// How often endpoints are looked for that another process has added or removed.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is measured what waits.
const MEASURE: Duration = Duration::from_secs(10);
/// The channels, as metrics name them.
const CHANNELS: [&str; 3] = ["webhook", "email", "sms"];

/// Who carries what. A channel that is not configured has no mailbox, and nothing is put into it.
#[derive(Clone)]
pub struct Senders {
    /// Deliveries to endpoints.
    pub webhook: Arc<dyn Sender>,
    /// E-mail.
    pub email: Option<Arc<dyn Sender>>,
    /// Text messages.
    pub sms: Option<Arc<dyn Sender>>,
}

/// All mailboxes of this process.
pub struct Mailboxes {
    store: PostgresStore,
    senders: Senders,
    patience: Patience,
    policy: Policy,
    dying: Dying,
    running: Mutex<HashMap<Mailbox, Running>>,
    changed: Notify,
}

struct Running {
    wake: Arc<Notify>,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Mailboxes {
    /// None runs yet.
    #[must_use]
    pub fn new(store: PostgresStore, senders: Senders, patience: Patience, policy: Policy, dying: Dying) -> Self {
        let (running, changed) = (Mutex::default(), Notify::new());
        Self { store, senders, patience, policy, dying, running, changed }
    }

    /// Tells mailboxes that something is due.
    pub fn wake(&self, mailboxes: &HashSet<Mailbox>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for mailbox in mailboxes {
            if let Some(running) = running.get(mailbox) {
                running.wake.notify_one();
            }
        }
    }

    /// Says that endpoints were added, removed, enabled or made busy.
    pub fn endpoints_changed(&self) {
        self.changed.notify_one();
    }

    /// Keeps a mailbox running for each destination until `stop`; then lets all finish what they have in hand.
    pub async fn run(&self, stop: CancellationToken) {
        let mut measured: Option<Instant> = None;
        while !stop.is_cancelled() {
            if measured.is_none_or(|measured| measured.elapsed() >= MEASURE) {
                measured = Some(Instant::now());
                self.measure().await;
            }
            match self.store.active_endpoints().await {
                Ok(endpoints) => self.adjust(endpoints.into_iter().map(Mailbox::Webhook).collect()),
                Err(error) => tracing::warn!(%error, "endpoints can't be read"),
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
        let running: Vec<Running> =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, running)| running).collect();
        for mailbox in &running {
            mailbox.stop.cancel();
        }
        join_all(running.into_iter().map(|mailbox| mailbox.keeper)).await;
    }

    async fn measure(&self) {
        let pending = match self.store.pending().await {
            Ok(pending) => pending,
            Err(error) => return tracing::warn!(%error, "what waits can't be measured"),
        };
        for channel in CHANNELS {
            let of_channel = pending.iter().find(|(name, ..)| name == channel);
            let (count, oldest) = of_channel.map_or((0, 0.0), |(_, count, oldest)| (*count, *oldest));
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            metrics::gauge!("orderflow_notifier_pending_effects", "channel" => channel).set(f64::from(count));
            metrics::gauge!("orderflow_notifier_oldest_pending_seconds", "channel" => channel).set(oldest);
        }
    }

    /// Starts what is missing and stops what is not wanted any more.
    fn adjust(&self, mut wanted: HashSet<Mailbox>) {
        wanted.extend(self.senders.email.as_ref().map(|_| Mailbox::Email));
        wanted.extend(self.senders.sms.as_ref().map(|_| Mailbox::Sms));
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|mailbox, running| {
            if !wanted.contains(mailbox) {
                running.stop.cancel();
            }
            // One that has ended by itself (its endpoint was disabled) begins anew when it is wanted again.
            wanted.contains(mailbox) && !running.keeper.is_finished()
        });
        for mailbox in wanted {
            if !running.contains_key(&mailbox)
                && let Some(start) = self.start(mailbox)
            {
                running.insert(mailbox, start);
            }
        }
        let count = u32::try_from(running.len()).unwrap_or(u32::MAX);
        metrics::gauge!("orderflow_notifier_mailboxes").set(f64::from(count));
    }

    fn start(&self, mailbox: Mailbox) -> Option<Running> {
        let sender = match mailbox {
            Mailbox::Webhook(_) => Arc::clone(&self.senders.webhook),
            Mailbox::Email => self.senders.email.clone()?,
            Mailbox::Sms => self.senders.sms.clone()?,
        };
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (store, patience, waking) = (self.store.clone(), self.patience, Arc::clone(&wake));
        let start: Start = Arc::new(move |stop| {
            let (store, sender, wake) = (store.clone(), Arc::clone(&sender), Arc::clone(&waking));
            Actor { mailbox, store, sender, wake, patience }.run(stop).boxed()
        });
        let keeper = tokio::spawn(keep(mailbox, start, self.policy, self.dying.clone(), stop.clone()));
        Some(Running { wake, stop, keeper })
    }
}
