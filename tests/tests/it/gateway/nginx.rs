//! nginx, as the distribution has it, on the gateway's own configuration.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use system_tests::{Stack, process::Process, process::free_port, wait::until};
use tempfile::TempDir;

use super::PATIENCE;

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:9";

/// Who answers, as `host:port`, separated by commas.
pub(super) struct Behind {
    pub(super) commands: String,
    pub(super) query: String,
    pub(super) projector: String,
}

impl Behind {
    /// A stack's services.
    pub(super) fn of(stack: &Stack) -> Self {
        let address = |process: &Process| process.url().trim_start_matches("http://").to_owned();
        let addresses = |processes: &[Process]| processes.iter().map(address).collect::<Vec<_>>().join(",");
        Self { commands: addresses(&stack.commands), query: address(&stack.query), projector: addresses(&stack.projectors) }
    }

    /// Only command services.
    pub(super) fn commands(commands: String) -> Self {
        Self { commands, query: NOBODY.to_owned(), projector: NOBODY.to_owned() }
    }
}

/// A running gateway; nobody answers for fulfilment and the notifier.
pub(super) struct Gateway {
    child: Child,
    port: u16,
    tls_port: u16,
    directory: TempDir,
}

impl Gateway {
    /// Starts it with these settings beside the usual ones, and waits until it answers.
    pub(super) async fn start(behind: &Behind, more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // When root starts nginx, its workers are nobody.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let file = |name: &str| directory.path().join(name);
        certify(&file("certificate"), &file("key"));
        let (port, tls_port) = (free_port(), free_port());
        let log = File::create(file("nginx.log")).unwrap();
        let child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway/start"))
            .env("COMMAND_SERVICES", &behind.commands)
            .env("QUERY_SERVICES", &behind.query)
            .env("PROJECTORS", &behind.projector)
            .env("FULFILMENTS", NOBODY)
            .env("NOTIFIERS", NOBODY)
            .env("GATEWAY_HTTP", format!("127.0.0.1:{port}"))
            .env("GATEWAY_HTTPS", format!("127.0.0.1:{tls_port}"))
            .env("GATEWAY_CERTIFICATE", file("certificate"))
            .env("GATEWAY_KEY", file("key"))
            .env("GATEWAY_STATE", file("state"))
            .env("GATEWAY_LOG", file("access.log"))
            // All requests of a test come from one address.
            .env("GATEWAY_RATE", "100000r/s")
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut gateway = Self { child, port, tls_port, directory };
        let health = format!("{}/health", gateway.url());
        until("nginx answers", PATIENCE, async || {
            assert!(matches!(gateway.child.try_wait(), Ok(None)), "nginx ended: {}", gateway.tail());
            reqwest::get(&health).await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        gateway
    }

    /// Where it listens without TLS.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it listens with TLS.
    pub(super) fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.tls_port)
    }

    /// The certificate that it shows.
    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate")
    }

    /// What it has logged.
    pub(super) fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("access.log")).unwrap();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Its line about the request with this id; it is written when the answer is out.
    pub(super) async fn line(&self, id: &str) -> Value {
        until("the request is logged", PATIENCE, async || self.log().into_iter().find(|line| line["request.id"] == id)).await
    }

    fn tail(&self) -> String {
        fs::read_to_string(self.directory.path().join("nginx.log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    #[expect(clippy::print_stderr, reason = "cargo shows it with the test that failed")]
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- nginx:\n{}", self.tail());
        }
    }
}

/// A certificate for localhost that signs itself.
fn certify(certificate: &Path, key: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .arg("-out")
        .arg(certificate)
        .arg("-keyout")
        .arg(key)
        .output()
        .expect("openssl runs: `make test` installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
