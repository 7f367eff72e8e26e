//! What no projector can pass on this machine: reading the topic, and writing the documents.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use system_tests::servers::RedisServer;

use crate::{kafka, rate::per_second};

/// Documents in one pipeline.
const PIPELINE: usize = 500;
/// Keys of one look with SCAN.
const SCAN: usize = 5_000;

/// A key and what is stored under it.
pub(super) type Document = (Vec<u8>, Vec<u8>);

/// Every order's view, as the projector stored it, by key: SCAN gives them in the order of Redis' own table, in which
/// no projector meets them and which its caches like best.
pub(super) async fn documents(redis: &RedisServer) -> anyhow::Result<Vec<Document>> {
    let mut connection = redis::Client::open(redis.url())?.get_multiplexed_async_connection().await?;
    let (mut documents, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg("*:orders:*:view:*").arg("COUNT").arg(SCAN);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        if !keys.is_empty() {
            let values: Vec<Vec<u8>> = redis::cmd("MGET").arg(&keys).query_async(&mut connection).await?;
            documents.extend(keys.into_iter().zip(values));
        }
        cursor = next;
        if cursor == 0 {
            ensure!(!documents.is_empty(), "no view of an order was found");
            documents.sort_unstable();
            return Ok(documents);
        }
    }
}

/// Messages a second of a consumer that only counts. Blocks.
pub(super) fn consume(topic: &str) -> anyhow::Result<f64> {
    let mut first = None;
    let count = kafka::read_all(topic, |_| {
        first.get_or_insert_with(Instant::now);
    })?;
    Ok(per_second(count, first.context("a message")?.elapsed()))
}

/// SETs a second, in pipelines on one connection. Blocks.
pub(super) fn set(url: &str, documents: &[Document]) -> anyhow::Result<f64> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    let begun = Instant::now();
    for documents in documents.chunks(PIPELINE) {
        let mut pipeline = redis::Pipeline::with_capacity(PIPELINE);
        for (key, value) in documents {
            pipeline.set(key, value).ignore();
        }
        pipeline.exec(&mut connection)?;
    }
    Ok(per_second(documents.len() as u64, begun.elapsed()))
}

/// CPU time of a Redis so far, in seconds.
pub(super) async fn redis_cpu(redis: &RedisServer) -> anyhow::Result<f64> {
    let mut connection = redis::Client::open(redis.url())?.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut connection).await?;
    let times = info.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["used_cpu_sys", "used_cpu_user"].contains(&name).then_some(value.trim())
    });
    Ok(times.map(str::parse::<f64>).sum::<Result<_, _>>()?)
}
