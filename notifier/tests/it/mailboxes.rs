//! From the ledger to endpoints.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use notifier::application::{mailbox::Patience, webhooks::Asker};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::{
    events::{confirmed, order, placed},
    receiver::{Delivery, Manner, Receiver},
    world::{OWNER, PATIENCE, World, until},
};

/// What the receiver does by the specification, in code of its own.
fn is_signed_with(delivery: &Delivery, secret: &str) -> bool {
    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", delivery.id, delivery.timestamp).as_bytes());
    mac.update(&delivery.raw);
    let signature = BASE64.decode(delivery.signature.strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&signature).is_ok()
}

#[tokio::test]
async fn deliveries_are_signed_cloudevents_and_in_the_log() {
    let mut world = World::new(PATIENCE).await;
    let receiver = Receiver::start(Manner::Answer(200)).await;
    let made = world.endpoint(&receiver.url, &["order.*"]).await;
    world.send();
    let order_id = Uuid::now_v7();
    world.handle(&order(order_id, vec![placed(Uuid::nil())])).await;
    until("the delivery arrives", async || receiver.deliveries().len() == 1).await;
    let delivery = &receiver.deliveries()[0];
    assert!(is_signed_with(delivery, &made.secret));
    assert_eq!(delivery.content_type, "application/cloudevents+json");
    assert!((chrono::Utc::now().timestamp() - delivery.timestamp).abs() < 120);
    let body = delivery.body();
    assert_eq!((&body["type"], &body["subject"]), (&json!("order.placed.v1"), &json!(order_id)));
    assert_eq!((&body["specversion"], &body["data"]["total"]), (&json!("1.0"), &json!(1999)));

    let id = made.endpoint.id;
    let sent = async || world.webhooks.deliveries(OWNER, id, None, 10).await.unwrap()[0].state == "sent";
    until("the ledger says so", sent).await;
    let log = world.webhooks.deliveries(OWNER, id, None, 10).await.unwrap();
    assert_eq!((log.len(), log[0].message_id.to_string(), log[0].attempts.len()), (1, delivery.id.clone(), 1));
    assert_eq!((log[0].attempts[0].status, log[0].attempts[0].outcome.as_str()), (Some(200), "sent"));
    // Nobody else sees it, but admins.
    assert!(world.webhooks.deliveries(Asker::Owner("somebody"), id, None, 10).await.is_err());
    assert!(world.webhooks.show(Asker::Admin("admin"), id).await.is_ok());
}

#[tokio::test]
async fn a_dead_endpoint_delays_no_other() {
    let mut world = World::new(PATIENCE).await;
    let (dead, refusing) = (Receiver::start(Manner::Hang).await, Receiver::start(Manner::Answer(500)).await);
    let alive = Receiver::start(Manner::Answer(204)).await;
    for receiver in [&dead, &refusing, &alive] {
        world.endpoint(&receiver.url, &["order.placed.v1"]).await;
    }
    world.send();
    for _ in 0..40 {
        world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil())])).await;
    }
    until("the one that lives has all", async || alive.deliveries().len() == 40).await;
    let waiting: i64 = world.ask("SELECT count(*) FROM notifier.effects WHERE state = 'pending'").await;
    assert!(waiting >= 40, "the others have theirs before them: {waiting}");
    // One at a time, and not as fast as it can refuse.
    assert!(dead.deliveries().len() < 40, "{}", dead.deliveries().len());

    refusing.behave(Manner::Answer(200));
    until("the one that is repaired has all", async || {
        let sent: i64 = world.ask("SELECT count(*) FROM notifier.effects WHERE state = 'sent'").await;
        sent == 80
    })
    .await;
}

#[tokio::test]
async fn a_message_comes_again_under_the_same_id() {
    let mut world = World::new(PATIENCE).await;
    let receiver = Receiver::start(Manner::Answer(503)).await;
    let made = world.endpoint(&receiver.url, &["order.*"]).await;
    world.send();
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil())])).await;
    until("it is tried again", async || receiver.deliveries().len() >= 2).await;
    assert!(world.show(made.endpoint.id).await.endpoint.failures > 0);
    receiver.behave(Manner::Answer(200));
    let id = made.endpoint.id;
    let state = async || world.webhooks.deliveries(OWNER, id, None, 10).await.unwrap().remove(0);
    until("it arrives", async || state().await.state == "sent").await;
    let before = receiver.deliveries().len();
    until("its recovery is noted", async || world.show(id).await.endpoint.failures == 0).await;

    let message = state().await.message_id;
    world.webhooks.redeliver(OWNER, id, message).await.unwrap();
    until("it arrives once more", async || receiver.deliveries().len() > before).await;
    let ids: std::collections::HashSet<String> = receiver.deliveries().into_iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids, [message.to_string()].into());
    assert!(receiver.deliveries().iter().all(|delivery| is_signed_with(delivery, &made.secret)));
    assert!(world.webhooks.redeliver(OWNER, id, Uuid::nil()).await.is_err());
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_disabled_and_its_owner_told() {
    let mut world = World::new(Patience { disable_after: Duration::from_millis(200), ..PATIENCE }).await;
    let (broken, other) = (Receiver::start(Manner::Answer(500)).await, Receiver::start(Manner::Answer(200)).await);
    let made = world.endpoint(&broken.url, &["order.*"]).await;
    world.endpoint(&other.url, &["webhook.*"]).await;
    world.send();
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil())])).await;
    until("the owner is told", async || other.deliveries().len() == 1).await;
    let body = other.deliveries()[0].body();
    assert_eq!((&body["type"], &body["data"]["endpoint_id"]), (&json!("webhook.disabled.v1"), &json!(made.endpoint.id)));
    let details = world.show(made.endpoint.id).await;
    assert_eq!((details.endpoint.status.as_str(), details.log[0].what.as_str()), ("disabled", "disabled"));
    assert_eq!(details.endpoint.disabled_why.as_deref(), Some("it answered 500"));

    // Nothing more is put before it; what waits goes out when it is enabled.
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil())])).await;
    broken.behave(Manner::Answer(200));
    let before = broken.deliveries().len();
    world.webhooks.enable(OWNER, made.endpoint.id).await.unwrap();
    until("what waited arrives", async || broken.deliveries().len() > before).await;
    let log = world.webhooks.deliveries(OWNER, made.endpoint.id, None, 10).await.unwrap();
    assert_eq!(log.len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once() {
    let mut world = World::new(PATIENCE).await;
    let receiver = Receiver::start(Manner::Answer(410)).await;
    let made = world.endpoint(&receiver.url, &["order.*"]).await;
    world.send();
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil()), confirmed()])).await;
    until("it is disabled", async || world.show(made.endpoint.id).await.endpoint.status == "disabled").await;
}

#[tokio::test]
async fn what_was_in_hand_of_a_dead_process_is_sent_by_another() {
    let mut world = World::new(PATIENCE).await;
    let receiver = Receiver::start(Manner::Answer(200)).await;
    let made = world.endpoint(&receiver.url, &["order.*"]).await;
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil())])).await;
    // Taken up, and never heard of again.
    let mailbox = notifier::domain::effect::Mailbox::Webhook(made.endpoint.id);
    assert_eq!(world.store.take(mailbox, 8, PATIENCE.lease).await.unwrap().len(), 1);
    assert_eq!(world.store.take(mailbox, 8, PATIENCE.lease).await.unwrap().len(), 0);
    world.send();
    until("it arrives", async || receiver.deliveries().len() == 1).await;
}

#[tokio::test]
async fn secrets_are_sealed_in_the_database() {
    let world = World::new(PATIENCE).await;
    let made = world.endpoint("http://127.0.0.1:1/", &["*"]).await;
    let key = BASE64.decode(made.secret.strip_prefix("whsec_").unwrap()).unwrap();
    let stored: Vec<u8> = world.ask("SELECT secret FROM notifier.endpoints").await;
    assert!(!stored.windows(key.len()).any(|bytes| bytes == key));
    let shown = serde_json::to_string(&world.show(made.endpoint.id).await).unwrap();
    assert!(!shown.contains("secret") && !shown.contains(&made.secret), "{shown}");
}
