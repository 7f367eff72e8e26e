//! The disk of Postgres is full.

use std::time::Duration;

use serde_json::json;
use system_tests::{Context, Oracle, Plan, Stack, client::token, load::Load, servers::may_mount, wait::until};
use uuid::Uuid;

/// Mebibytes: what an empty Postgres takes, and room for some thousand commands.
const QUOTA: u32 = 192;

/// The status that a new product gets, whose fate nobody follows up.
async fn status_of_a_command(stack: &Stack) -> Option<u16> {
    let id = Uuid::new_v4();
    stack.ledger.doubtful(Context::Products, id, 1);
    let body = json!({"id": id, "sku": id, "name": "Lamp", "price": {"minor": 1999, "currency": "GBP"}});
    let post = reqwest::Client::new().post(format!("{}/v1/products", stack.commands[0].url())).bearer_auth(token());
    Some(post.json(&body).send().await.ok()?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_commands_and_loses_none() {
    if !may_mount() {
        return say("left out: this user may not mount a file system, which the quota needs");
    }
    let mut stack = Stack::start(Plan { own_servers: true, postgres_quota: Some(QUOTA), ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 71, 8).await;
    load.accepts(200).await;
    stack.servers().fill_disk(true);
    until("commands are refused", Duration::from_secs(240), async || {
        (status_of_a_command(&stack).await == Some(503)).then_some(())
    })
    .await;
    stack.servers().fill_disk(false);
    // A Postgres that can't write its log ends: its supervisor starts it again.
    stack.servers().postgres.restart().await;
    load.accepts(200).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}

#[expect(clippy::print_stdout, reason = "who reads the tests' output should know")]
fn say(text: &str) {
    println!("{text}");
}
