//! The program itself: settings, readiness, end.

use std::{
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{SECRET, eventually, redis_server::RedisServer};

fn program(redis: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query-service"));
    command.env_clear().env("JWT_SECRET", SECRET).env("HTTP_ADDR", "127.0.0.1:0").env("REDIS_URL", redis);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn says_which_setting_is_wrong() {
    for (name, value) in [("REDIS_URL", "http://x"), ("REDIS_PREFIX", "a b"), ("VIEW_CACHE_MB", "-1")] {
        let output = finish(program("redis://127.0.0.1:1").env(name, value).spawn().unwrap());
        assert_eq!(output.status.code(), Some(64), "{name}");
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase().replace('-', "_");
        assert!(said.contains(&name.to_lowercase()), "{name}: {said}");
    }
}

#[tokio::test]
async fn is_ready_while_redis_answers_and_ends_cleanly() {
    let mut redis = RedisServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("address");
    let child = program(&redis.url()).env("ADDR_FILE", &file).env("REDIS_TIMEOUT_MS", "200").spawn().unwrap();
    eventually(async || file.exists()).await;
    let url = format!("http://{}", std::fs::read_to_string(&file).unwrap());
    let ready = async |expected: u16| {
        let answer = reqwest::get(format!("{url}/ready")).await.unwrap();
        let status = answer.status().as_u16();
        let report: serde_json::Value = answer.json().await.unwrap();
        assert!(report["checks"]["redis"]["latency_ms"].is_number(), "{report}");
        status == expected
    };
    eventually(async || ready(200).await).await;
    redis.kill();
    eventually(async || ready(503).await).await;
    assert_eq!(reqwest::get(format!("{url}/health")).await.unwrap().status(), 200);
    redis.restart().await;
    eventually(async || ready(200).await).await;
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let output = tokio::time::timeout(Duration::from_secs(90), tokio::task::spawn_blocking(|| finish(child)));
    let output = output.await.expect("it ends in time").unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}
