//! A running projector.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};

use tempfile::TempDir;

use super::world::{World, eventually};

pub(crate) const SECRET: &str = "a secret of the projector's tests, long enough";

pub(crate) struct Projector {
    child: Child,
    directory: TempDir,
}

impl Projector {
    pub(crate) fn start(world: &World) -> Self {
        Self::start_with(world, &[])
    }

    /// With more or other settings.
    pub(crate) fn start_with(world: &World, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_projector"))
            .env_clear()
            .env("KAFKA_BROKERS", &world.brokers)
            .env("TOPIC_PREFIX", &world.prefix)
            .env("REDIS_URL", &world.redis_url)
            .env("REDIS_PREFIX", &world.prefix)
            // Its own group: checkpoints are in Redis, and nobody waits for a dead member's session to end.
            .env("GROUP_ID", format!("{}-{}", world.prefix, uuid::Uuid::now_v7().simple()))
            .env("COMMAND_SERVICE_URL", "http://127.0.0.1:9")
            .env("JWT_SECRET", SECRET)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("ADDR_FILE", directory.path().join("address"))
            .env("CHUNK_EVENTS", "16")
            .env("AUDIT_STREAMS_PER_SECOND", "0")
            .envs(settings.iter().copied())
            .stdout(log)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    fn get(&self, path: &str) -> Option<String> {
        let address = std::fs::read_to_string(self.directory.path().join("address")).ok()?;
        let mut stream = TcpStream::connect(address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: projector\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A request of somebody with these roles, called `operator`: status and JSON; status 0 for no answer.
    pub(crate) fn ask_as(&self, roles: &[Role], method: &str, path: &str, body: &Value) -> (u16, Value) {
        let token = mint(&Secret::new(SECRET), "operator", roles, Duration::from_secs(60)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: projector\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = || {
            let mut stream = TcpStream::connect(std::fs::read_to_string(self.directory.path().join("address")).ok()?).ok()?;
            write!(stream, "{head}{body}").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let (head, body) = answer.split_once("\r\n\r\n")?;
            Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).unwrap_or_default()))
        };
        answer().unwrap_or_default()
    }

    /// The same of a service.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_as(&[Role::Service], method, path, body)
    }

    /// The JSON documents, line by line, of an answer that is told while it comes about.
    pub(crate) fn told(&self, method: &str, path: &str) -> Vec<Value> {
        let token = mint(&Secret::new(SECRET), "operator", &[Role::Service], Duration::from_secs(60)).unwrap();
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: projector\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n");
        let mut stream = TcpStream::connect(std::fs::read_to_string(self.directory.path().join("address")).unwrap()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.split(' ').nth(1), Some("200"), "{answer}");
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn ready(&self) -> String {
        self.get("/ready").unwrap_or_default()
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").unwrap_or_default();
        let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// The value of one sample, given by name and labels.
    pub(crate) fn sample(&self, series: &str) -> Option<u64> {
        let text = self.get("/metrics")?;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the projector ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits until the process has died as by `kill -9`.
    pub(crate) fn died(&mut self) {
        assert_eq!(self.ended().signal(), Some(9), "{}", self.log());
    }

    /// Asks it to end.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail = &log[log.len() - log.len().min(4_000)..];
            std::io::stderr().write_all(tail.as_bytes()).unwrap();
        }
    }
}
