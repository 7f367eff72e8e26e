//! One running process of the command service.

use std::{
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{MASTER_KEY, PATIENCE, SECRET, eventually, kafka};

/// The program with settings that work: no relay, and small caches and pools.
pub(crate) struct Launch {
    command: Command,
    dir: TempDir,
}

impl Launch {
    pub(crate) fn new(database_url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        // Another build of it can be tested: a release, or one that was broken on purpose.
        let program = std::env::var_os("ORDERFLOW_TEST_COMMAND_SERVICE");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_command-service").into()));
        command
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("KAFKA_BROKERS", kafka::brokers())
            .env("TOPIC_PREFIX", "unused")
            .env("TOPIC_PARTITIONS", "3")
            // Two of a kind, so that one could do what is the other's.
            .env("RELAY_GROUPS", "2")
            .env("RELAY_DELIVERY", "off")
            .env("PERSONAL_DATA_KEY", MASTER_KEY)
            .env("JWT_SECRET", SECRET)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("ADDR_FILE", dir.path().join("address"))
            .env("LOG_LEVEL", "info")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self { command, dir }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// With a relay, publishing under a prefix of this test's own.
    pub(crate) fn publishing(self, topics: &kafka::Topics) -> Self {
        self.env("TOPIC_PREFIX", &topics.prefix).env("RELAY_DELIVERY", "exactly-once")
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(self) -> Instance {
        let instance = self.listening().await;
        instance.ready().await;
        instance
    }

    /// Starts it and waits until it listens, ready or not.
    pub(crate) async fn listening(self) -> Instance {
        let mut instance = self.spawn();
        let file = instance.dir.path().join("address");
        let started = std::time::Instant::now();
        while !file.exists() {
            assert!(instance.try_wait().is_none(), "the process ended: {}", instance.log());
            assert!(started.elapsed() < PATIENCE, "the process does not listen: {}", instance.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        instance.url = format!("http://{}", std::fs::read_to_string(file).unwrap());
        instance
    }

    /// Starts it without waiting for anything.
    pub(crate) fn spawn(mut self) -> Instance {
        let child = self.command.spawn().unwrap();
        // Connections are kept, as many as there are callers.
        let http = Client::builder().timeout(PATIENCE).build().unwrap();
        Instance { child, dir: self.dir, url: String::new(), http }
    }

    /// Runs it to its end.
    pub(crate) fn output(mut self) -> Output {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }
}

/// A running process, killed at the end of the test.
pub(crate) struct Instance {
    child: Child,
    dir: TempDir,
    pub(crate) url: String,
    pub(crate) http: Client,
}

impl Instance {
    pub(crate) async fn ready(&self) {
        eventually("the process is ready", async || self.get("/ready", "").await.status == 200).await;
    }

    pub(crate) fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        Answer::to(self.request(Method::GET, path, token)).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path, token).json(body)).await
    }

    /// A POST under an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, token: &str, key: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path, token).header("Idempotency-Key", key).json(body)).await
    }

    /// Sends lines to `/v1/commands` and gives their answers.
    pub(crate) async fn commands(&self, token: &str, lines: &[Value]) -> Vec<Value> {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let request = self.request(Method::POST, "/v1/commands", token).header("Content-Type", "application/x-ndjson");
        let answer = Answer::to(request.body(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.lines()
    }

    /// What the process has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it is ready, or has ended.
    pub(crate) async fn ready_or_ended(&mut self) {
        self.until_ready_or_ended(|_| true).await;
    }

    /// Waits until each of its relay groups is owned, by it or by another process, or it has ended.
    #[cfg(feature = "failpoints")]
    pub(crate) async fn relays_settled_or_ended(&mut self) {
        self.until_ready_or_ended(|ready| !ready.contains("starting")).await;
    }

    async fn until_ready_or_ended(&mut self, wanted: impl Fn(&str) -> bool) {
        let file = self.dir.path().join("address");
        let started = std::time::Instant::now();
        while self.try_wait().is_none() {
            if let Ok(address) = std::fs::read_to_string(&file) {
                self.url = format!("http://{address}");
                let ready = Answer::of(self.request(Method::GET, "/ready", "")).await;
                if ready.is_ok_and(|ready| ready.status == 200 && wanted(&ready.body)) {
                    return;
                }
            }
            assert!(started.elapsed() < PATIENCE, "the process is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the process did not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// `kill -9`, waited for.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an orchestrator does, and checks that it ended well.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Instance {
    #[expect(clippy::print_stderr, reason = "the log of the process is what explains a failed test")]
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the last log lines of {}\n{}", self.url, lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        Self::of(request).await.unwrap()
    }

    /// An error is a broken connection.
    pub(crate) async fn of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.text().await? })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The name of the rule that was broken.
    pub(crate) fn rule(&self) -> String {
        self.json()["rule"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}
