//! The program itself: settings, readiness, end.

use std::{
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{SECRET, connect, eventually, redis_server::RedisServer, staff};

pub(crate) fn program(redis: &str) -> Command {
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

/// Were the streams waited for, the end would come at the bound of five seconds, and with another code.
#[tokio::test]
async fn open_streams_do_not_hold_the_end_up() {
    let redis = RedisServer::start().await;
    let mut pointers = redis::cmd("HSET");
    pointers.arg(read_model::keys::generations("orderflow"));
    for context in events::Context::ALL {
        pointers.arg(context.name()).arg(r#"{"number":1,"partitions":1,"projection":1}"#);
    }
    pointers.exec_async(&mut connect(&redis.url()).await).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("address");
    let child = program(&redis.url()).env("ADDR_FILE", &file).env("SHUTDOWN_TIMEOUT", "5").spawn().unwrap();
    eventually(async || file.exists()).await;
    let url = format!("http://{}", std::fs::read_to_string(&file).unwrap());
    let open = async || reqwest::Client::new().get(format!("{url}/v1/updates")).bearer_auth(staff()).send().await.unwrap();
    eventually(async || open().await.status() == 200).await;
    let mut stream = open().await;
    assert!(stream.chunk().await.unwrap().is_some());
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(stream.chunk().await.unwrap(), None, "it ends as streams end");
    let output = tokio::task::spawn_blocking(|| finish(child)).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}
