//! The live session, and its replacement when it is lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{RedisReadError, Settings, listeners::Listeners, session::Session};

/// How long a request waits for a connection that was lost this recently; after it, requests fail at once.
const GRACE: Duration = Duration::from_millis(300);

/// Pauses between attempts to connect: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Reads from Redis. Cloning shares the connections.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    settings: Settings,
    listeners: Arc<Listeners>,
    live: ArcSwapOption<Session>,
    state: watch::Sender<State>,
    stopping: CancellationToken,
}

#[derive(Clone)]
enum State {
    Up,
    Down { since: Instant, cause: String },
}

impl Link {
    /// Starts connecting; requests fail until that succeeds. Once `stopping` is cancelled, reads go on but nobody waits.
    #[must_use]
    pub fn start(settings: Settings, stopping: CancellationToken) -> Self {
        let listeners = Arc::new(Listeners::new(settings.max_waiting));
        let down = State::Down { since: Instant::now(), cause: "connecting".to_owned() };
        let state = watch::Sender::new(down);
        let link = Self(Arc::new(Inner { settings, listeners, live: ArcSwapOption::empty(), state, stopping }));
        tokio::spawn(link.clone().keep_connected());
        link
    }

    /// Whether Redis answers now.
    pub async fn check(&self) -> Result<(), RedisReadError> {
        self.session().await?.ping().await
    }

    /// Cancelled when the process is about to end.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn listeners(&self) -> &Listeners {
        &self.0.listeners
    }

    /// The live session if there is one right now.
    pub(super) fn live(&self) -> Option<arc_swap::Guard<Option<Arc<Session>>>> {
        let live = self.0.live.load();
        live.as_ref().is_some_and(|session| session.is_alive()).then_some(live)
    }

    /// The live session, awaited for a moment when the last one was lost just now.
    pub(super) async fn session(&self) -> Result<Arc<Session>, RedisReadError> {
        let live = || self.0.live.load_full().filter(|session| session.is_alive());
        loop {
            if let Some(session) = live() {
                return Ok(session);
            }
            let mut state = self.0.state.subscribe();
            // Again, for a session that came before the subscription.
            if let Some(session) = live() {
                return Ok(session);
            }
            let (patience, cause) = match &*state.borrow_and_update() {
                // Lost, and not noticed by the task that reconnects yet.
                State::Up => (GRACE, "connection lost".to_owned()),
                State::Down { since, cause } => (GRACE.saturating_sub(since.elapsed()), cause.clone()),
            };
            let changed = tokio::time::timeout(patience, state.changed()).await;
            if patience.is_zero() || !matches!(changed, Ok(Ok(()))) {
                return Err(RedisReadError::Unavailable(cause));
            }
        }
    }

    async fn keep_connected(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match Session::open(&self.0.settings, Arc::clone(&self.0.listeners)).await {
                Ok(session) => {
                    let session = Arc::new(session);
                    self.0.live.store(Some(Arc::clone(&session)));
                    self.0.state.send_replace(State::Up);
                    // What they follow has to be read once for this session to hear of it.
                    self.0.listeners.wake_all();
                    tracing::info!("connected to Redis");
                    pause = FIRST_PAUSE;
                    let cause = session.tend().await;
                    self.0.live.store(None);
                    self.down(&cause);
                    tracing::warn!(error = %cause, "lost Redis");
                }
                Err(cause) => {
                    self.down(&cause);
                    tracing::warn!(error = %cause, "cannot connect to Redis");
                    tokio::time::sleep(pause).await;
                    pause = LAST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    fn down(&self, cause: &RedisReadError) {
        let cause = cause.to_string();
        self.0.state.send_modify(|state| {
            let since = match state {
                State::Up => Instant::now(),
                State::Down { since, .. } => *since,
            };
            *state = State::Down { since, cause };
        });
    }
}
