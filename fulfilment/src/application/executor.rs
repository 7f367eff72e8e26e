//! Takes the steps that are due: many orders' at once, one order's in order, for there is never more than one.
//!
//! Several processes may do so on one database. A step that this process has begun is its own until the lease is over; if it
//! dies meanwhile, another takes the step again, under the same key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use service_kit::trace::{self, Span, SpanKind};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    provider::PaymentProvider,
    taking::Taker,
    task::{Task, Tried},
};
use crate::outbound::postgres::{Attempt, PostgresError, Settled, Store};

/// How long a step that became due by itself, or in another process, waits at most until somebody looks.
const LOOK: Duration = Duration::from_millis(250);
/// The longest pause between two looks while Postgres does not answer.
const LONGEST: Duration = Duration::from_secs(5);

/// Takes the steps that are due.
pub struct Executor<P> {
    store: Store,
    taker: Arc<Taker<P>>,
    slots: Arc<Semaphore>,
    /// How long an attempt may take: less than the lease.
    timeout: Duration,
    due: Arc<Notify>,
}

impl<P: PaymentProvider> Executor<P> {
    /// Takes at most `at_once` steps at a time. `due` is notified when there may be new ones.
    pub fn new(store: Store, taker: Taker<P>, at_once: usize, timeout: Duration, due: Arc<Notify>) -> Self {
        Self { store, taker: Arc::new(taker), slots: Arc::new(Semaphore::new(at_once)), timeout, due }
    }

    /// Works until `stop` is cancelled, and then lets what was begun end.
    pub async fn run(self, stop: CancellationToken) {
        let mut begun = JoinSet::new();
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            let pause = match self.begin(&mut begun).await {
                Ok(()) => {
                    failures = 0;
                    LOOK
                }
                Err(error) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(failures, %error, "steps can't be taken");
                    }
                    LONGEST.min(LOOK.saturating_mul(failures))
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.due.notified(), if failures == 0 => {}
                ended = begun.join_next(), if !begun.is_empty() => warn_of(ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = begun.join_next().await {
            warn_of(Some(ended));
        }
    }

    /// Begins as many steps as there is room for.
    async fn begin(&self, begun: &mut JoinSet<()>) -> Result<(), PostgresError> {
        let room = self.slots.available_permits();
        if room == 0 {
            return Ok(());
        }
        for task in self.store.take(room).await? {
            // Nobody else takes slots, and they only become more.
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { break };
            let attempt = One {
                store: self.store.clone(),
                taker: Arc::clone(&self.taker),
                timeout: self.timeout,
                due: Arc::clone(&self.due),
                _slot: slot,
            };
            begun.spawn(attempt.run(task));
        }
        Ok(())
    }
}

/// A step that panicked is taken again when its lease is over, as that of a process that died.
fn warn_of(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        tracing::error!(%error, "an attempt at a step failed");
    }
}

/// One attempt at one step.
struct One<P> {
    store: Store,
    taker: Arc<Taker<P>>,
    timeout: Duration,
    due: Arc<Notify>,
    _slot: OwnedSemaphorePermit,
}

/// The span of an attempt, part of the trace that the order was placed in; and what the attempt causes is part of the span.
fn begin_span(task: &mut Task) -> Span {
    let step = task.step.name();
    let mut span = task.trace().map_or_else(Span::none, |trace| Span::child(&trace, SpanKind::Internal, || step));
    if let Some(context) = span.context() {
        span.set("orderflow.order.id", task.order_id.to_string());
        span.set("orderflow.saga.attempt", i64::from(task.attempt));
        task.traceparent = Some(context.to_string());
    }
    span
}

impl<P: PaymentProvider> One<P> {
    async fn run(self, mut task: Task) {
        let (at, begun) = (Utc::now(), Instant::now());
        let mut span = begin_span(&mut task);
        let tried = match task.trace() {
            Some(trace) => trace::scope(trace, self.attempt(&task)).await,
            None => self.attempt(&task).await,
        };
        let took = begun.elapsed();
        let (step, outcome) = (task.step.name(), tried.name());
        span.set("orderflow.saga.outcome", outcome);
        if let Tried::Unknown(why) = &tried {
            span.fail("unknown", why);
        }
        drop(span);
        metrics::counter!("orderflow_saga_steps_total", "step" => step, "outcome" => outcome).increment(1);
        metrics::histogram!("orderflow_saga_step_duration_seconds", "step" => step).record(took.as_secs_f64());
        let attempt = Attempt { at, took, tried };
        let trace_id = task.trace().map(|trace| trace.trace_id());
        match self.store.settle(&task, &attempt).await {
            Ok(Settled::Answered) => {
                tracing::debug!(order.id = %task.order_id, saga.step = step, saga.outcome = outcome, trace.id = trace_id,
                    "a step was taken");
            }
            Ok(Settled::Again) => tracing::info!(order.id = %task.order_id, saga.step = step, saga.attempt = task.attempt,
                tried = ?attempt.tried, trace.id = trace_id, "the outcome of a step is not known: it is tried again"),
            Ok(Settled::Parked) => tracing::error!(order.id = %task.order_id, saga.step = step, saga.attempt = task.attempt,
                tried = ?attempt.tried, trace.id = trace_id, "the outcome of a step is not known: a person has to look (orderctl saga show)"),
            Ok(Settled::Late) => tracing::warn!(order.id = %task.order_id, saga.step = step, saga.outcome = outcome,
                trace.id = trace_id, "an answer came after the lease was over: it does not count"),
            // What was found out is found out again.
            Err(error) => tracing::warn!(order.id = %task.order_id, saga.step = step, %error,
                trace.id = trace_id, "the outcome of a step can't be stored: it is tried again when the lease is over"),
        }
        self.due.notify_one();
    }

    async fn attempt(&self, task: &Task) -> Tried {
        // Each of these has ended with its process, or with a panic, or was never stored.
        if self.store.is_too_many(task.attempt) {
            return Tried::Unknown(format!("it was begun {} times and had no end", task.attempt - 1));
        }
        let taken = tokio::time::timeout(self.timeout, self.taker.take(task)).await;
        taken.unwrap_or_else(|_| Tried::Unknown(format!("no end within {} ms", self.timeout.as_millis())))
    }
}
