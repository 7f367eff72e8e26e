//! Where a run took place, and with what versions.

use std::{collections::BTreeMap, process::Command};

use procfs::{CpuInfo, Current, Meminfo};
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: String,
    /// Cores.
    pub(crate) cores: usize,
    /// GiB of memory.
    pub(crate) memory_gib: u64,
    /// The kernel.
    pub(crate) kernel: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub(crate) fn this() -> Self {
        let cpu = CpuInfo::current().ok().and_then(|info| info.model_name(0).map(ToOwned::to_owned));
        let memory = Meminfo::current().map_or(0, |memory| memory.mem_total >> 30);
        Self {
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_gib: memory,
            kernel: said("uname", &["-sr"]),
        }
    }
}

/// What was run, and in which version.
#[must_use]
pub(crate) fn versions() -> BTreeMap<String, String> {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    BTreeMap::from([
        ("orderflow".to_owned(), said("git", &["describe", "--always", "--dirty", "--tags"])),
        ("rustc".to_owned(), said("rustc", &["--version"])),
        ("postgres".to_owned(), said("psql", &["--version"])),
        ("redis".to_owned(), said("redis-server", &["--version"]).split(' ').nth(2).unwrap_or_default().to_owned()),
        ("librdkafka".to_owned(), librdkafka),
    ])
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    output.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
