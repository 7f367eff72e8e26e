//! What thousands of live streams take, on one process: not judged, but printed.
//!
//! `cargo test -p query-service --release --test it measure -- --ignored --nocapture` (`STREAMS=5000`; `ulimit -n` above twice that)

use std::time::{Duration, Instant};

use events::Context;
use read_model::{Generation, keys};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{
        at_version, connect, eventually,
        redis_server::RedisServer,
        samples::{id, order},
        staff,
        streams::change,
    },
    process::program,
};

const GENERATION: Generation = Generation { number: 1, partitions: 12, projection: 1 };

/// Resident memory in MiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Reads until this has been received.
async fn receive(stream: &mut TcpStream, text: &str) {
    let (mut received, mut some) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&received).contains(text) {
        let length = stream.read(&mut some).await.unwrap();
        assert!(length > 0, "closed: {}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&some[..length]);
    }
}

async fn open(address: &str, path: &str, count: usize, first: &str) -> Vec<TcpStream> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", staff());
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let some = (0..100.min(count - streams.len())).map(|_| async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            receive(&mut stream, first).await;
            stream
        });
        streams.extend(futures::future::join_all(some).await);
    }
    streams
}

#[tokio::test]
#[ignore = "a measurement"]
async fn five_thousand_streams() {
    let count = std::env::var("STREAMS").map_or(5_000, |count| count.parse().unwrap());
    let redis = RedisServer::start().await;
    let mut connection = connect(&redis.url()).await;
    let mut write = redis::pipe();
    for context in Context::ALL {
        write.cmd("HSET").arg(keys::generations("orderflow")).arg(context.name());
        write.arg(serde_json::to_string(&GENERATION).unwrap());
    }
    let slot = GENERATION.slot_of("orderflow", Context::Orders, id(1));
    let stored = |version| {
        let mut order = order(1, None);
        order.version = version;
        at_version(version).encode(&serde_json::to_vec(&order).unwrap())
    };
    write.cmd("SET").arg(slot.view(id(1))).arg(stored(1));
    write.exec_async(&mut connection).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("address");
    let mut child = program(&redis.url()).env("ADDR_FILE", &file).env("UPDATE_HEARTBEAT", "600").spawn().unwrap();
    eventually(async || file.exists()).await;
    let address = std::fs::read_to_string(&file).unwrap();
    eventually(async || reqwest::get(format!("http://{address}/ready")).await.unwrap().status() == 200).await;

    for (path, first) in [(format!("/v1/orders/{}/updates", id(1)), "event: view"), ("/v1/updates".to_owned(), "id: ")] {
        let before = memory(child.id());
        let opening = Instant::now();
        let mut streams = open(&address, &path, count, first).await;
        let opened = opening.elapsed();
        println!("{path}: {count} streams in {opened:.1?}; memory {before} MiB before, {} MiB with them", memory(child.id()));
        for round in 2..7 {
            let changes = serde_json::to_string(&[change(id(1), round, "order.confirmed.v1")]).unwrap();
            let mut write = redis::pipe();
            write.atomic().cmd("SET").arg(slot.view(id(1))).arg(stored(round + u64::from(path == "/v1/updates") * 10));
            write.cmd("XADD").arg(slot.log()).arg("*").arg("changes").arg(changes);
            let written = Instant::now();
            write.exec_async(&mut connection).await.unwrap();
            let mut at: Vec<Duration> = futures::future::join_all(streams.iter_mut().map(|stream| async {
                receive(stream, "data: ").await;
                written.elapsed()
            }))
            .await;
            at.sort();
            println!("  one change: first {:.1?}, median {:.1?}, last {:.1?}", at[0], at[count / 2], at[count - 1]);
        }
        println!("  memory {} MiB after them", memory(child.id()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
