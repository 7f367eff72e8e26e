//! Calls to a service of which there are several instances: spread over them in turn, round those that don't answer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    breaker::{Breaker, Rejected, Settings},
    registry::Instance,
};

/// How long a call waits for an instance to appear where none is known, as in the first moment of a process.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an error says of the instance that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It was not reached: nothing happened there.
    NotReached,
    /// It failed, and nobody knows what it did.
    Failed,
    /// Nothing: it has answered.
    Answered,
}

/// When a call may be made again at the next instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// As long as none was reached.
    Unreached,
    /// After any failure: it is idempotent, as a read is, or a command with an idempotency key.
    Failed,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    /// Nobody is there.
    #[error("no instance of {name} is known{}", of(.context.as_deref()))]
    NoInstance {
        /// The service.
        name: String,
        /// What it should have served.
        context: Option<String>,
    },
    /// Those that are there have failed lately, and are left alone for a moment.
    #[error("no instance of {name} may be called now: the circuit breakers of all {count} are open")]
    AllOpen {
        /// The service.
        name: String,
        /// Its instances.
        count: usize,
    },
    /// This is what the last one said that was called.
    #[error("{name} at {address}: {error}")]
    Failed {
        /// The service.
        name: String,
        /// The instance.
        address: String,
        /// What happened.
        error: E,
    },
}

fn of(context: Option<&str>) -> String {
    context.map(|context| format!(" that serves {context}")).unwrap_or_default()
}

impl<E> CallError<E> {
    /// What the instance said, if one was called.
    pub fn into_error(self) -> Option<E> {
        match self {
            Self::Failed { error, .. } => Some(error),
            Self::NoInstance { .. } | Self::AllOpen { .. } => None,
        }
    }
}

/// The instances of a service, each behind a breaker of its own.
pub struct Instances {
    name: String,
    known: watch::Receiver<Arc<[Instance]>>,
    settings: Settings,
    breakers: Mutex<HashMap<Uuid, Arc<Breaker>>>,
    turn: AtomicUsize,
}

impl Instances {
    /// Calls to the instances of `name` as [`crate::registry::ServiceRegistry::watch`] gives them.
    pub fn new(name: impl Into<String>, known: watch::Receiver<Arc<[Instance]>>, settings: Settings) -> Self {
        Self { name: name.into(), known, settings, breakers: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    /// Makes a call, given the base URL of an instance (that serves `context`, if one is named), at the next one in turn whose
    /// breaker lets it pass, and, as far as `repeat` allows, at those that follow until one has answered. `blame` says what
    /// an error means.
    pub async fn call<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        context: Option<&str>,
        repeat: Repeat,
        blame: impl Fn(&E) -> Blame,
        call: impl Fn(String) -> F,
    ) -> Result<T, CallError<E>> {
        let candidates = self.candidates(context).await;
        let (name, count) = (&self.name, candidates.len());
        if count == 0 {
            return Err(CallError::NoInstance { name: name.clone(), context: context.map(str::to_owned) });
        }
        let mut worst = None;
        for (instance, breaker) in candidates {
            let is_failure = |error: &E| blame(error) != Blame::Answered;
            let error = match breaker.call(is_failure, call(instance.base_url())).await {
                Ok(answer) => return Ok(answer),
                Err(Rejected::Open) => continue,
                Err(Rejected::Failed(error)) => error,
            };
            let blame = blame(&error);
            let failed = CallError::Failed { name: name.clone(), address: instance.address(), error };
            match blame {
                Blame::Answered => return Err(failed),
                Blame::Failed if repeat == Repeat::Unreached => return Err(failed),
                // That nothing happened anywhere is true only if it is true of all.
                Blame::NotReached if worst.is_some() => {}
                Blame::Failed | Blame::NotReached => worst = Some(failed),
            }
        }
        Err(worst.unwrap_or_else(|| CallError::AllOpen { name: name.clone(), count }))
    }

    /// Those that may be called, the next in turn first.
    async fn candidates(&self, context: Option<&str>) -> Vec<(Instance, Arc<Breaker>)> {
        let known = self.known().await;
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.retain(|id, _| known.iter().any(|instance| instance.id == *id));
        let serving = known.iter().filter(|instance| context.is_none_or(|context| instance.serves(context)));
        let mut candidates = Vec::with_capacity(known.len());
        for instance in serving {
            let new = || Arc::new(Breaker::new(format!("{}/{}", self.name, instance.address()), self.settings));
            candidates.push((instance.clone(), Arc::clone(breakers.entry(instance.id).or_insert_with(new))));
        }
        if !candidates.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % candidates.len();
            candidates.rotate_left(turn);
        }
        candidates
    }

    async fn known(&self) -> Arc<[Instance]> {
        let mut known = self.known.clone();
        // None within that time, or none for ever: what is known is known.
        drop(tokio::time::timeout(PATIENCE, known.wait_for(|known| !known.is_empty())).await);
        known.borrow().clone()
    }
}

#[cfg(test)]
mod tests;
