//! A circuit breaker: after some failures in a row nothing is asked for a while, then a single call probes.
//!
//! The state machine and its policy are `failsafe`'s, because it tells of every change. (`recloser` is the livelier crate, but
//! its state can be neither asked for nor observed, so it gives no metric; what there is for `tower` wraps a service, and calls
//! here are futures.) Two rules are added: while it is half-open one call probes, where `failsafe` lets everybody through; and
//! only the probe decides then, not a straggler from before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{Instrument, StateMachine};
use metrics::{Counter, Gauge};

/// Whether calls pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They do.
    Closed,
    /// One of them does, to see whether it is over.
    HalfOpen,
    /// They don't.
    Open,
}

impl State {
    /// What it is called in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// What it is in the metric.
    fn number(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it is open at first; twice as long after each probe that failed.
    pub first_pause: Duration,
    /// The longest that it is open.
    pub last_pause: Duration,
}

impl Default for Settings {
    /// Five failures in a row; a second, up to half a minute.
    fn default() -> Self {
        Self { failures: 5, first_pause: Duration::from_secs(1), last_pause: Duration::from_secs(30) }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected<E> {
    /// The breaker is open: nothing was called.
    #[error("the circuit breaker is open")]
    Open,
    /// It was called, and failed.
    #[error("{0}")]
    Failed(E),
}

/// Stands between us and something that may fail. Its state is the metric `orderflow_breaker_state{name}` (0 closed, 1
/// half-open, 2 open), each change a log line, and what it refuses counts as `orderflow_breaker_rejected_total{name}`.
pub struct Breaker {
    inner: Mutex<Inner>,
    state: Arc<Mutex<State>>,
    gauge: Gauge,
    rejected: Counter,
}

struct Inner {
    machine: StateMachine<ConsecutiveFailures<Pauses>, Watcher>,
    /// Whether a probe is out.
    probing: bool,
}

impl Breaker {
    /// A closed one. `name` says what is behind it, in metrics and logs: something of which there are few.
    pub fn new(name: impl Into<Arc<str>>, settings: Settings) -> Self {
        let name: Arc<str> = name.into();
        let rejected = metrics::counter!("orderflow_breaker_rejected_total", "name" => name.to_string());
        let gauge = metrics::gauge!("orderflow_breaker_state", "name" => name.to_string());
        let state = Arc::new(Mutex::new(State::Closed));
        let pauses = Pauses { next: settings.first_pause, last: settings.last_pause };
        let policy = consecutive_failures(settings.failures.max(1), pauses);
        let machine = StateMachine::new(policy, Watcher { name, state: Arc::clone(&state), gauge: gauge.clone() });
        Self { inner: Mutex::new(Inner { machine, probing: false }), state, gauge, rejected }
    }

    /// Whether calls pass.
    pub fn state(&self) -> State {
        *lock(&self.state)
    }

    /// Calls, unless it is open. `is_failure` says which errors speak against what is behind it; any other is an answer.
    /// A call that is dropped before its end says nothing.
    pub async fn call<T, E>(
        &self,
        is_failure: impl Fn(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Rejected<E>> {
        let Some(pass) = self.admit() else { return Err(Rejected::Open) };
        let outcome = call.await;
        pass.settle(matches!(&outcome, Err(error) if is_failure(error)));
        outcome.map_err(Rejected::Failed)
    }

    fn admit(&self) -> Option<Pass<'_>> {
        // The state machine has a lock of its own, but tells of changes outside of it: under this one they are in order.
        let mut inner = lock(&self.inner);
        let permitted = inner.machine.is_call_permitted();
        let is_probe = self.state() == State::HalfOpen;
        if !permitted || (is_probe && inner.probing) {
            self.rejected.increment(1);
            return None;
        }
        inner.probing |= is_probe;
        Some(Pass { breaker: self, is_probe })
    }
}

impl Drop for Breaker {
    /// What is behind it is gone, and the metric stays: it must not say for ever that something is wrong there.
    fn drop(&mut self) {
        self.gauge.set(State::Closed.number());
    }
}

/// Leave to call once.
struct Pass<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Pass<'_> {
    fn settle(self, failed: bool) {
        let inner = lock(&self.breaker.inner);
        if self.breaker.state() == State::HalfOpen && !self.is_probe {
            return;
        }
        if failed { inner.machine.on_error() } else { inner.machine.on_success() }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            lock(&self.breaker.inner).probing = false;
        }
    }
}

/// How long it is open, each time.
#[derive(Clone)]
struct Pauses {
    next: Duration,
    last: Duration,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.last);
        self.next = pause.saturating_mul(2);
        Some(pause)
    }
}

/// Makes changes known.
struct Watcher {
    name: Arc<str>,
    state: Arc<Mutex<State>>,
    gauge: Gauge,
}

impl Watcher {
    fn enter(&self, state: State) {
        self.gauge.set(state.number());
        let before = std::mem::replace(&mut *lock(&self.state), state);
        if before == state {
            return;
        }
        let (name, now, before) = (&*self.name, state.name(), before.name());
        if state == State::Open {
            tracing::warn!(breaker.name = name, breaker.state = now, breaker.before = before, "circuit breaker changed");
        } else {
            tracing::info!(breaker.name = name, breaker.state = now, breaker.before = before, "circuit breaker changed");
        }
    }
}

impl Instrument for Watcher {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.enter(State::Open);
    }

    fn on_half_open(&self) {
        self.enter(State::HalfOpen);
    }

    fn on_closed(&self) {
        self.enter(State::Closed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
