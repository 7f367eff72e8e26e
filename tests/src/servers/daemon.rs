//! A server's process with all that it has forked.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// A server's process, or the place where it would be.
#[derive(Debug)]
pub(super) struct Daemon {
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Not started yet; it will write its log here.
    pub(super) fn new(log: &Path) -> Self {
        Self { log: log.to_owned(), child: None }
    }

    /// Starts it, without waiting for anything; what runs already is killed.
    pub(super) fn start(&mut self, command: &mut Command) {
        self.kill();
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    }

    /// Whether it runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it and its children as `kill -9` does.
    pub(super) fn kill(&mut self) {
        // Stopped first, so that it forks no more.
        self.signal(Signal::STOP);
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            drop(child.wait());
        }
    }

    /// Sends a signal to it and its children: `STOP`, `CONT`, `KILL`.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        let pid = child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for pid in [pid.to_string().as_str()].into_iter().chain(children.split_whitespace()) {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a pid");
            // A child may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended by itself.
    pub(super) fn wait(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.wait());
        }
    }

    /// Asks it to end by this signal, which goes to its first process only, and waits for that.
    pub(super) fn end(&mut self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        self.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
