//! What this process takes, read from `/proc`. Where there is none (on a developer's Mac), there are no such metrics.

/// Sets its metrics.
#[cfg(target_os = "linux")]
pub(super) fn observe() {
    use procfs::WithCurrentSystemInfo;

    let Ok(process) = procfs::process::Process::myself() else { return };
    if let Ok(stat) = process.stat() {
        metrics::gauge!("process_resident_memory_bytes").set(figure(stat.rss_bytes().get()));
        metrics::gauge!("process_threads").set(figure(stat.num_threads.unsigned_abs()));
        metrics::counter!("process_cpu_seconds_total").absolute((stat.utime + stat.stime) / procfs::ticks_per_second());
    }
    if let Ok(open) = process.fd_count() {
        metrics::gauge!("process_open_fds").set(figure(open as u64));
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn observe() {}

/// Exact up to four billion; what is more (memory) is rounded to kibibytes.
#[cfg(target_os = "linux")]
fn figure(number: u64) -> f64 {
    u32::try_from(number).map_or_else(|_| u32::try_from(number >> 10).map_or(f64::MAX, f64::from) * 1024.0, f64::from)
}
