//! What processes use: CPU time and memory, read from `/proc`.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use procfs::{
    CurrentSI as _, KernelStats,
    process::{Process, Status},
};

use crate::rate::figure;

/// CPU time of a process so far, user and system.
pub(crate) fn used(pid: u32) -> anyhow::Result<Duration> {
    let stat = Process::new(pid.try_into()?).and_then(|process| process.stat()).context("reading /proc")?;
    let seconds = figure(stat.utime + stat.stime) / figure(procfs::ticks_per_second());
    Ok(Duration::from_secs_f64(seconds))
}

/// Resident memory of a process, in MB (10⁶ bytes).
pub(crate) fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    memory_mb(pid, |status| status.vmrss)
}

/// The same of a process that has nothing to do any more, once its allocator has given back what is free: as soon as a second
/// changes it by less than one percent.
pub(crate) async fn resident_mb_at_rest(pid: u32) -> anyhow::Result<f64> {
    const LOOK: Duration = Duration::from_secs(1);
    let mut before = resident_mb(pid)?;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = resident_mb(pid)?;
        if now > before * 0.99 {
            return Ok(now);
        }
        before = now;
    }
}

/// The most resident memory that a process ever had, in MB (10⁶ bytes).
pub(crate) fn peak_mb(pid: u32) -> anyhow::Result<f64> {
    memory_mb(pid, |status| status.vmhwm)
}

fn memory_mb(pid: u32, kib: impl Fn(&Status) -> Option<u64>) -> anyhow::Result<f64> {
    let status = Process::new(pid.try_into()?).and_then(|process| process.status()).context("reading /proc")?;
    Ok(figure(kib(&status).unwrap_or_default()) * 1024.0 / 1e6)
}

/// The share of all cores that this process, the generator of the load, takes for itself.
pub(crate) struct Share {
    begun: Instant,
    used: Duration,
}

impl Share {
    /// Begins to look.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        Ok(Self { begun: Instant::now(), used: used(std::process::id())? })
    }

    /// Between 0 and 1.
    pub(crate) fn end(self) -> anyhow::Result<f64> {
        let cores = f64::from(u32::try_from(std::thread::available_parallelism()?.get())?);
        let used = used(std::process::id())?.saturating_sub(self.used);
        Ok(used.as_secs_f64() / self.begun.elapsed().as_secs_f64() / cores)
    }
}

/// What the host of this virtual machine gives to others instead: such time passes, and nothing here runs in it.
pub(crate) struct Stolen {
    all: u64,
    stolen: u64,
}

impl Stolen {
    /// Begins to look.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let total = KernelStats::current().context("reading /proc/stat")?.total;
        let stolen = total.steal.unwrap_or_default();
        let waiting = total.iowait.unwrap_or_default() + total.irq.unwrap_or_default() + total.softirq.unwrap_or_default();
        let all = total.user + total.nice + total.system + total.idle + waiting + stolen;
        Ok(Self { all, stolen })
    }

    /// The share of all cores' time that was stolen since then, between 0 and 1.
    pub(crate) fn end(&self) -> anyhow::Result<f64> {
        let now = Self::begin()?;
        Ok(figure(now.stolen.saturating_sub(self.stolen)) / figure(now.all.saturating_sub(self.all).max(1)))
    }
}
