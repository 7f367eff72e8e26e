//! Is the process alive, and can it do its work? `/health`, `/ready` and what they ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt, join_all};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer is repeated: `/ready` needs no token, so it must not become load on the
/// databases.
const REPORT_AGE: Duration = Duration::from_millis(500);

/// The same while it is not ready: whoever waits for a start should hear of its end.
const NOT_READY_AGE: Duration = Duration::from_millis(50);

type Probe = Box<dyn Fn() -> BoxFuture<'static, State> + Send + Sync>;

/// What a check finds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Something is late; requests are served all the same.
    Degraded(String),
    Failed(String),
}

/// The checks of a service. Cloning shares them.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    probes: Mutex<Vec<(&'static str, Arc<Probe>)>>,
    last: tokio::sync::Mutex<Option<(Instant, Report)>>,
    stopping: CancellationToken,
}

/// The answer of `/ready`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Readiness")]
pub struct Report {
    /// `ready` or `not-ready`.
    pub status: &'static str,
    /// By name.
    pub checks: BTreeMap<&'static str, CheckReport>,
}

/// What one check found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Check")]
pub struct CheckReport {
    /// `ok`, `degraded` (requests are served all the same) or `failed`.
    pub status: &'static str,
    /// How long the check took.
    pub latency_ms: f64,
    /// Why it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Report {
    /// Whether no check failed.
    pub fn is_ready(&self) -> bool {
        self.checks.values().all(|check| check.status != "failed")
    }

    /// How long it may be repeated.
    fn age(&self) -> Duration {
        if self.is_ready() { REPORT_AGE } else { NOT_READY_AGE }
    }
}

impl Health {
    /// A registry that is not ready any more once `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner { probes: Mutex::default(), last: tokio::sync::Mutex::default(), stopping }))
    }

    /// Adds a check that asks a dependency; an `Err` says what is wrong (it is shown to anyone).
    #[must_use]
    pub fn check<F, Fut>(self, name: &'static str, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let state = |outcome: Result<(), String>| outcome.map_or_else(State::Failed, |()| State::Ok);
        self.add(name, Box::new(move || probe().map(state).boxed()));
        self
    }

    /// Adds a check whose state is told by the service; it is failed ("starting") until told.
    pub fn state(&self, name: &'static str) -> StateCheck {
        let state = StateCheck(Arc::new(Mutex::new(State::Failed("starting".to_owned()))));
        let shared = state.clone();
        self.add(name, Box::new(move || std::future::ready(shared.get()).boxed()));
        state
    }

    fn add(&self, name: &'static str, probe: Probe) {
        let mut probes = self.0.probes.lock().unwrap_or_else(PoisonError::into_inner);
        probes.push((name, Arc::new(probe)));
    }

    /// Runs all checks at once, or repeats an answer that is young enough.
    pub async fn report(&self) -> Report {
        let mut last = self.0.last.lock().await;
        let mut report = match &*last {
            Some((at, report)) if at.elapsed() < report.age() => report.clone(),
            _ => {
                let report = self.run().await;
                *last = Some((Instant::now(), report.clone()));
                report
            }
        };
        // Never from the stored answer: load balancers have to hear of it at once.
        if self.0.stopping.is_cancelled() {
            let stopping = CheckReport { status: "failed", latency_ms: 0.0, detail: Some("shutting down".into()) };
            report.checks.insert("shutdown", stopping);
            report.status = "not-ready";
        }
        report
    }

    async fn run(&self) -> Report {
        let probes = self.0.probes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let checks = join_all(probes.iter().map(|(name, probe)| async move { (*name, run_one(probe).await) })).await;
        let mut report = Report { status: "ready", checks: checks.into_iter().collect() };
        if !report.is_ready() {
            report.status = "not-ready";
        }
        report
    }
}

async fn run_one(probe: &Probe) -> CheckReport {
    let started = Instant::now();
    let state = tokio::time::timeout(CHECK_TIMEOUT, probe()).await;
    let state = state.unwrap_or_else(|_| State::Failed(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())));
    let (status, detail) = match state {
        State::Ok => ("ok", None),
        State::Degraded(detail) => ("degraded", Some(detail)),
        State::Failed(detail) => ("failed", Some(detail)),
    };
    CheckReport { status, latency_ms: (started.elapsed().as_secs_f64() * 1e6).round() / 1e3, detail }
}

/// A check whose state the service sets.
#[derive(Clone)]
pub struct StateCheck(Arc<Mutex<State>>);

impl StateCheck {
    /// It works.
    pub fn set_ok(&self) {
        self.set(State::Ok);
    }

    /// It does not, and why; requests are served all the same.
    pub fn set_degraded(&self, detail: impl Into<String>) {
        self.set(State::Degraded(detail.into()));
    }

    /// It does not, and why.
    pub fn set_failed(&self, detail: impl Into<String>) {
        self.set(State::Failed(detail.into()));
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn get(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
