//! The projector of the tutorials: one event after the other, each write awaited.

use std::time::Instant;

use anyhow::Context as _;
use rdkafka::{
    Message as _,
    consumer::{Consumer as _, StreamConsumer},
};
use redis::AsyncCommands as _;
use serde_json::Value;

use crate::{kafka, rate::per_second};

/// Events of one run: its rate is the same from beginning to end.
pub(super) const EVENTS: u64 = 20_000;

/// Events a second, from the first.
pub(super) async fn run(topic: &str, group: &str, redis: &str) -> anyhow::Result<f64> {
    let mut config = kafka::client();
    let consumer: StreamConsumer = config.set("group.id", group).set("auto.offset.reset", "earliest").create()?;
    consumer.subscribe(&[topic])?;
    let mut connection = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let mut begun = None;
    for _ in 0..EVENTS {
        let message = consumer.recv().await?;
        begun.get_or_insert_with(Instant::now);
        let order = std::str::from_utf8(message.key().context("a key")?)?;
        let event: Value = serde_json::from_slice(message.payload().context("a payload")?)?;
        let user = event["user_id"].as_str().context("a user")?;
        let () = connection.hset(format!("orders_of:{user}"), order, event["total"].to_string()).await?;
        let () = connection.set(format!("order:{order}"), event.to_string()).await?;
    }
    Ok(per_second(EVENTS, begun.context("an event")?.elapsed()))
}
