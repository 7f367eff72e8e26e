//! Read models are rebuilt while commands and reads go on.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use redis::{AsyncCommands, aio::MultiplexedConnection};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use system_tests::{
    Context::{self, Users},
    Oracle, Plan, Stack,
    binaries::program,
    load::Load,
    oracle::partition_of,
    stack::{JWT_SECRET, PARTITIONS},
    wait::until,
};
use uuid::Uuid;

use crate::{happy::read_at, redis::Watch};

async fn orderctl(stack: &Stack, arguments: &[&str]) -> String {
    let mut command = Command::new(program("orderctl"));
    command
        .args(arguments)
        .env_clear()
        .envs([("PROJECTOR_URL", stack.projectors[0].url()), ("JWT_SECRET", JWT_SECRET.to_owned())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

#[tokio::test]
async fn a_rebuild_is_not_noticed_by_those_who_read() {
    let mut stack = Stack::start(Plan { projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 61, 6).await;
    load.accepts(150).await;
    let watch = Watch::begin_strictly(&stack.client());
    let text = orderctl(&stack, &["rebuild", "--projection", "orders", "--expect-no-difference"]).await;
    assert!(text.contains("orders: generation 2 is read now"), "{text}");
    load.accepts(60).await;
    orderctl(&stack, &["rollback", "--projection", "orders"]).await;
    load.accepts(60).await;
    // The build is taken up by another process when one is killed.
    let text = orderctl(&stack, &["rebuild", "--projection", "orders", "--finish"]).await;
    assert!(text.contains("generation 2 is being deleted"), "{text}");
    stack.projectors[1].kill();
    stack.projectors[1].start().await;
    load.accepts(30).await;
    load.finish().await;
    let gone = async || {
        let text = orderctl(&stack, &["rebuild", "--projection", "orders", "--status"]).await;
        (!text.contains("being deleted")).then_some(())
    };
    until("generation 2 is gone", Duration::from_secs(120), gone).await;
    watch.end().await;
    // Generation 1 is read again, and all of it is right.
    Oracle::of(&stack).verify().await;
}

pub(crate) fn view(stack: &Stack, generation: u32, order: Uuid) -> String {
    let partition = partition_of(order.to_string().as_bytes(), PARTITIONS);
    format!("{}:{{g{generation}:orders:{partition}}}:view:{}", stack.redis_prefix(), order.simple())
}

/// Waits until a view is what it was.
async fn heals(redis: &mut MultiplexedConnection, key: &str, right: &[u8]) {
    until(&format!("{key} is repaired"), Duration::from_secs(120), async || {
        // A Redis that has no time to answer is asked again.
        let found: Option<Vec<u8>> = redis.clone().get(key).await.ok()?;
        (found.as_deref() == Some(right)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_auditor_looks_at_what_is_read() {
    let environment = vec![("AUDIT_STREAMS_PER_SECOND", "300"), ("AUDIT_BEHIND_SECONDS", "1")];
    let stack = Stack::start(Plan { projector_environment: environment, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 62, 4).await;
    load.accepts(60).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    let mut redis = redis::Client::open(stack.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let order = stack.ledger.entries().iter().find(|entry| entry.context == Context::Orders).map(|entry| entry.id).unwrap();
    let right: Vec<u8> = redis.get(view(&stack, 1, order)).await.unwrap();

    orderctl(&stack, &["rebuild", "--projection", "orders", "--expect-no-difference"]).await;
    let (former, live) = (view(&stack, 1, order), view(&stack, 2, order));
    let _: () = redis.del(&former).await.unwrap();
    let _: () = redis.del(&live).await.unwrap();
    heals(&mut redis, &live, &right).await;
    assert!(!redis.exists::<_, bool>(&former).await.unwrap(), "what is not read is left alone");
    orderctl(&stack, &["rollback", "--projection", "orders"]).await;
    heals(&mut redis, &former, &right).await;
}

#[tokio::test]
async fn two_projectors_rebuild_while_users_are_erased_and_orders_placed() {
    let environment = vec![("AUDIT_STREAMS_PER_SECOND", "300"), ("AUDIT_BEHIND_SECONDS", "5")];
    let stack = Stack::start(Plan { projectors: 2, projector_environment: environment, ..Plan::default() }).await;
    let (client, database) = (stack.client(), stack.database.url.clone());
    let mut load = Load::begin(&client, 63, 6).await;
    load.accepts(60).await;
    let mut users = Vec::new();
    for number in 0..10 {
        let user = Uuid::now_v7();
        let body = json!({"name": format!("Zoe {number}"), "email": format!("zoe.{}@example.org", user.simple())});
        client
            .send(&system_tests::Command::new(Users, "register-user", user, body).fact("user.registered.v1", json!({})))
            .await
            .accepted();
        users.push(user);
    }
    for user in &users {
        read_at(&client, &format!("/v1/users/{user}"), 1).await;
    }
    // One after the other, before, while and after their views are built anew.
    let erased = users.clone();
    let erasing = tokio::spawn(async move {
        let mut postgres = PgConnection::connect(&database).await.unwrap();
        for user in erased {
            let erase = sqlx::query("DELETE FROM users.personal_keys WHERE key_id = $1").bind(user);
            assert_eq!(erase.execute(&mut postgres).await.unwrap().rows_affected(), 1);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    });
    orderctl(&stack, &["rebuild", "--projection", "users"]).await;
    let text =
        orderctl(&stack, &["rebuild", "--projection", "orders", "--projection", "products", "--expect-no-difference"]).await;
    for name in ["orders", "products"] {
        assert!(text.contains(&format!("{name}: generation 2 is read now")), "{text}");
    }
    erasing.await.unwrap();
    load.accepts(40).await;
    load.finish().await;
    // What was told before its key was gone is put right by the auditor.
    let mut last = String::new();
    let verified = tokio::time::timeout(Duration::from_secs(240), async {
        loop {
            let output = crate::verify::orderctl(&stack, &["verify", "--full"]).await;
            last = crate::verify::said(&output);
            if output.status.success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    assert!(verified.await.is_ok(), "{last}");
    assert!(last.contains("No difference."), "{last}");
    for user in users {
        let (status, _, body) = client.read(&format!("/v1/users/{user}")).await.unwrap();
        let view: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &view["name"], &view["email"]), (200, &Value::Null, &Value::Null), "{view}");
    }
}
