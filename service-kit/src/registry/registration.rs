//! A process's own entry in the registry: made when it is ready, kept alive, and taken back when it is told to stop.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Instance, RegistryError, ServiceRegistry};
use crate::health::{Health, StateCheck};

/// The pause between two looks whether the process is ready.
const LOOK: Duration = Duration::from_millis(250);

/// The longest pause before a registry that did not answer is told again.
const RETRY: Duration = Duration::from_secs(1);

/// Bound on taking the entry back: without it, the entry goes when its time to live ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The task that keeps the entry.
pub struct Registration(JoinHandle<()>);

impl Registration {
    /// Registers the instance as soon as all checks pass, and deregisters it at once when `stopping` is cancelled, before it
    /// stops taking requests. Once registered it stays so while checks fail: who lists instances asks for their health. The
    /// check `registry` is never more than degraded.
    pub fn start(registry: Arc<dyn ServiceRegistry>, instance: Instance, health: &Health, stopping: CancellationToken) -> Self {
        let Some(every) = registry.heartbeat_every() else { return Self(tokio::spawn(std::future::ready(()))) };
        let check = health.state("registry");
        check.set_degraded("not registered yet");
        let (health, keeper) = (health.clone(), Keeper { registry, instance, check, is_in: false });
        Self(tokio::spawn(keeper.run(every, health, stopping)))
    }

    /// Waits until the entry is taken back, or that was given up.
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the registration failed");
        }
    }
}

struct Keeper {
    registry: Arc<dyn ServiceRegistry>,
    instance: Instance,
    check: StateCheck,
    is_in: bool,
}

impl Keeper {
    async fn run(mut self, every: Duration, health: Health, stopping: CancellationToken) {
        let ready = async {
            while !health.report().await.is_ready() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if stopping.run_until_cancelled(ready).await.is_none() {
            return;
        }
        stopping.run_until_cancelled(self.keep(every)).await;
        match tokio::time::timeout(FAREWELL, self.registry.deregister(&self.instance)).await {
            Ok(Ok(())) => tracing::info!("deregistered"),
            Ok(Err(error)) => tracing::warn!(%error, "could not deregister: the entry ends by itself"),
            Err(_) => tracing::warn!("could not deregister in time: the entry ends by itself"),
        }
    }

    async fn keep(&mut self, every: Duration) {
        let mut told = self.registry.register(&self.instance).await;
        loop {
            let pause = if told.is_ok() { every } else { every.min(RETRY) };
            self.note(told);
            tokio::time::sleep(pause).await;
            told = self.registry.heartbeat(&self.instance).await;
        }
    }

    fn note(&mut self, told: Result<(), RegistryError>) {
        let was_in = std::mem::replace(&mut self.is_in, told.is_ok());
        metrics::gauge!("orderflow_registry_registered").set(if self.is_in { 1.0 } else { 0.0 });
        match told {
            Ok(()) => {
                self.check.set_ok();
                if !was_in {
                    tracing::info!(instance.id = %self.instance.id, instance.address = %self.instance.address(), "registered");
                }
            }
            Err(error) => {
                if was_in {
                    tracing::warn!(%error, "heartbeats are not heard");
                }
                self.check.set_degraded(error.to_string());
            }
        }
    }
}
