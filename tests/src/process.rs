//! A service as a child process: started, killed, stopped, started again, its log kept.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// A debug build on a loaded machine; services wait for each other meanwhile.
const START: Duration = Duration::from_secs(120);
/// The end of a log that is shown when a test fails.
const TAIL_LINES: usize = 60;

/// A service's process, or the place where it would be.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
    starts: u32,
}

impl Process {
    /// Not started yet. It keeps its port for life, so that others find it again after a restart.
    #[must_use]
    pub fn new(name: &str, program: PathBuf, environment: Vec<(String, String)>, directory: &Path) -> Self {
        let (directory, arguments) = (directory.to_owned(), Vec::new());
        Self { name: name.to_owned(), program, arguments, environment, port: free_port(), directory, child: None, starts: 0 }
    }

    /// The same with arguments.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Its name, and that of its log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, while it is started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sets a variable for the starts to come; an empty value unsets it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Starts it, without waiting for anything.
    ///
    /// # Panics
    ///
    /// When it runs already or can't be started.
    pub fn spawn(&mut self) {
        assert!(!self.is_running(), "{} runs already", self.name);
        drop(fs::remove_file(self.address_file()));
        self.starts += 1;
        let log = File::options().create(true).append(true).open(self.log()).expect("a log file");
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("HTTP_ADDR", format!("127.0.0.1:{}", self.port))
            .env("ADDR_FILE", self.address_file())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", self.program.display())));
    }

    /// Starts it and waits until it listens.
    pub async fn start(&mut self) {
        self.spawn();
        self.listening().await;
    }

    /// Waits until it listens.
    ///
    /// # Panics
    ///
    /// When it ends before, or takes too long.
    pub async fn listening(&mut self) {
        let (name, file) = (self.name.clone(), self.address_file());
        until(&format!("{name} listens"), START, async || {
            assert!(self.is_running(), "{name} ended at its start: {}", self.tail());
            file.exists().then_some(())
        })
        .await;
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Waits until it has ended by itself, and says how.
    pub async fn ended(&mut self, bound: Duration) -> ExitStatus {
        let name = self.name.clone();
        let status = until(&format!("{name} ends"), bound, async || {
            let child = self.child.as_mut().expect("it was started");
            child.try_wait().expect("its status")
        })
        .await;
        self.child = None;
        status
    }

    /// Sends a signal: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        // It may have ended meanwhile; until it is waited for nobody else has its pid.
        let _ = kill_process(pid, signal);
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        format!(
            "--- {} (started {} times), end of {}:\n{}",
            self.name,
            self.starts,
            self.log().display(),
            lines[from..].join("\n")
        )
    }

    fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }

    fn address_file(&self) -> PathBuf {
        self.directory.join(format!("{}.addr", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A free port below those that the kernel gives to clients: one of those could be taken by anybody while a service that
/// was killed is down.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_240;
    const COUNT: u16 = 9_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or_default();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + u16::try_from((u32::from(offset) * 37 + u32::from(step)) % u32::from(COUNT)).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
