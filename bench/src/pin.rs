//! Keeping processes and threads to one core, so that one does not take what another is measured on.

use anyhow::Context as _;
use procfs::process::Process;
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_setaffinity},
};
use tokio::sync::oneshot;

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

/// Keeps a process, all of its threads, to one core. Threads that they start stay there too.
pub(crate) fn process(pid: u32, core: usize) -> anyhow::Result<()> {
    for task in Process::new(pid.try_into()?)?.tasks()? {
        let thread = Pid::from_raw(task?.tid).context("a thread's id")?;
        sched_setaffinity(Some(thread), &only(core))?;
    }
    Ok(())
}

/// Runs something on a thread of its own that stays on one core.
pub(crate) async fn on_core<T, F>(core: usize, work: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
    T: Send + 'static,
{
    let (result, ended) = oneshot::channel();
    std::thread::Builder::new().name(format!("core-{core}")).spawn(move || {
        let run = || {
            sched_setaffinity(None, &only(core))?;
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work())
        };
        // Nobody waits for it any more when the measurement was given up.
        drop(result.send(run()));
    })?;
    ended.await?
}
