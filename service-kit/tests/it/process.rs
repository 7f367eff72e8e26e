//! `examples/greeter.rs` as a process: exit codes, logs, signals and the health check.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::SECRET;

/// The example's binary, which `cargo test` builds beside this test's own.
fn greeter() -> Command {
    let deps = std::env::current_exe().unwrap();
    let path: PathBuf = deps.parent().unwrap().parent().unwrap().join("examples/greeter");
    assert!(path.exists(), "{} is missing: run cargo build -p service-kit --examples", path.display());
    let mut command = Command::new(path);
    command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    greeter().args(args).envs(env.iter().copied()).output().unwrap()
}

/// A running greeter, killed when the test is done with it.
struct Running {
    child: Child,
    addr: String,
}

impl Running {
    fn start(env: &[(&str, &str)]) -> Self {
        let good = [("JWT_SECRET", SECRET), ("DATABASE_URL", "postgres://localhost"), ("HTTP_ADDR", "127.0.0.1:0")];
        let mut child = greeter().envs(good).envs(env.iter().copied()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let log: serde_json::Value = serde_json::from_str(&line).expect("a JSON line");
        assert_eq!((log["message"].as_str(), log["level"].as_str()), (Some("listening"), Some("INFO")), "{log}");
        let addr = log["http.addr"].as_str().unwrap().to_owned();
        Self { child, addr }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the process did not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, in most tests.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_bad_setting_exits_with_64_and_is_named() {
    let url = ("DATABASE_URL", "postgres://localhost");
    let secret = ("JWT_SECRET", SECRET);
    for (args, env, named) in [
        (&[][..], &[secret][..], "--database-url <DATABASE_URL>"),
        (&[], &[url], "JWT_SECRET"),
        (&[], &[url, ("JWT_SECRET", "short")], "JWT_SECRET"),
        (&[], &[("DATABASE_URL", "mysql://x"), secret], "DATABASE_URL"),
        (&[], &[url, secret, ("LOG_LEVEL", "a=b=c")], "LOG_LEVEL"),
        (&[], &[url, secret, ("HTTP_ADDR", "nowhere")], "HTTP_ADDR"),
        (&["--nope"], &[url, secret], "--nope"),
        (&["--config", "/nonexistent"], &[url, secret], "CONFIG_FILE"),
    ] {
        let output = run(args, env);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{named}: {message}");
        assert!(message.contains(named), "{named}: {message}");
        assert!(output.stdout.is_empty(), "something ran before all settings were checked");
    }
}

#[test]
fn what_keeps_it_from_starting_is_the_last_line_of_its_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let env = [("JWT_SECRET", SECRET), ("DATABASE_URL", "postgres://localhost"), ("HTTP_ADDR", &*addr)];
    let output = run(&[], &env);
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && output.stderr.is_empty(), "{output:?}");
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap_or_default()).expect("a JSON line");
    assert_eq!((last["message"].as_str(), last["level"].as_str()), (Some("cannot start"), Some("ERROR")), "{last}");
    assert!(last["error"].as_str().is_some_and(|error| error.contains(&addr)), "{last}");

    // Whoever wants no log sees it all the same.
    let output = run(&[], &[&env[..], &[("LOG_LEVEL", "off")]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(&addr) && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn help_and_version_exit_with_0() {
    for flag in ["--help", "--version"] {
        let output = run(&[flag], &[("JWT_SECRET", SECRET)]);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.is_empty() && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn ends_cleanly_on_sigterm_and_on_sigint() {
    for signal in ["-TERM", "-INT"] {
        let mut running = Running::start(&[]);
        running.signal(signal);
        assert_eq!(running.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut running = Running::start(&[("SHUTDOWN_DELAY", "60"), ("SHUTDOWN_TIMEOUT", "90")]);
    running.signal("-TERM");
    std::thread::sleep(Duration::from_millis(200));
    running.signal("-TERM");
    assert_eq!(running.exit_code(), Some(1));
}

#[test]
fn the_health_check_asks_the_running_service() {
    let running = Running::start(&[]);
    let check = |addr: &str| {
        let env = [("JWT_SECRET", SECRET), ("DATABASE_URL", "postgres://localhost"), ("HTTP_ADDR", addr)];
        run(&["--check-health"], &env).status.code()
    };
    assert_eq!(check(&running.addr), Some(0));
    let addr = running.addr.clone();
    drop(running);
    assert_eq!(check(&addr), Some(1));
}

#[test]
fn logs_can_be_pretty() {
    let env = [
        ("JWT_SECRET", SECRET),
        ("DATABASE_URL", "postgres://localhost"),
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("LOG_FORMAT", "pretty"),
    ];
    let mut child = greeter().envs(env).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("listening") && !line.starts_with('{'), "{line}");
}
