//! What the notifier promises: what follows from an event is sent once, whatever is killed, replayed or dead.

pub(crate) mod receiver;
mod smtp;
mod world;

use std::{collections::BTreeMap, process::Command as Program};

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{Orders, Payments, Users},
    binaries::program,
    stack::JWT_SECRET,
    wait::until,
};
use uuid::Uuid;

use crate::verify;
use receiver::Receiver;
use world::{PATIENCE, World};

const EMAIL: &str = "ann.lamplight@customers.example";
const PHONE: &str = "+442079460001";

/// An order's whole life, one that is cancelled, and two that nobody is to hear of.
async fn live(world: &World) -> Uuid {
    let user = world.user(EMAIL).await;
    assert_eq!(set_phone(world, user).await, 204);
    let order = world.place(json!({ "user_id": user })).await;
    world.step(order, "confirm-order", json!({})).await;
    world.step(order, "ship-order", json!({"carrier": "Post", "tracking": "X1"})).await;
    pay_back(world, user, order).await;
    let cancelled = world.place(json!({ "user_id": user })).await;
    world.step(cancelled, "cancel-order", json!({"reason": "out of stock"})).await;
    let external = world.place(json!({"user_id": user, "fulfilment": "external"})).await;
    world.step(external, "confirm-order", json!({})).await;
    let guest = world.place(json!({})).await;
    world.step(guest, "confirm-order", json!({})).await;
    order
}

/// Sets a user's number; what is answered when the command service is asked for the key in time.
async fn set_phone(world: &World, user: Uuid) -> u16 {
    until("the key can be had", PATIENCE, async || {
        let (status, _) = world.ask(Method::PUT, &format!("/v1/contacts/{user}"), json!({ "phone": PHONE })).await;
        (status != 503).then_some(status)
    })
    .await
}

async fn pay_back(world: &World, user: Uuid, order: Uuid) {
    let (payment, id) = (Uuid::now_v7(), Uuid::now_v7());
    let money = json!({"minor": 3998, "currency": "GBP"});
    for (name, body) in [
        ("request-payment", json!({"attempt_id": id, "order_id": order, "user_id": user, "amount": money, "method": "pm_1"})),
        ("authorise-payment", json!({"attempt_id": id, "reference": "P-1"})),
        ("request-capture", json!({"capture_id": id, "amount": money})),
        ("confirm-capture", json!({"capture_id": id, "reference": "P-2"})),
        ("request-refund", json!({"refund_id": id, "amount": {"minor": 1999, "currency": "GBP"}})),
        ("confirm-refund", json!({"refund_id": id, "reference": "P-3"})),
    ] {
        world.client.send(&Command::new(Payments, name, payment, body)).await.accepted();
    }
}

#[tokio::test]
async fn everybody_hears_once_and_a_replay_from_zero_sends_nothing() {
    let mut world = World::start("").await;
    let receiver = Receiver::start(204).await;
    world.webhook(Uuid::now_v7(), &receiver, &["order.*", "payment.refunded.v1"]).await;
    // A mail server that takes nothing holds nothing else up.
    world.mail.refuse(true);
    let order = live(&world).await;
    // Four orders, placed; three confirmed, one shipped, one cancelled; one refund.
    until("all deliveries arrive", PATIENCE, async || (receiver.ids().len() == 10).then_some(())).await;
    until("the mail server has refused", PATIENCE, async || world.mail.has_refused().then_some(())).await;
    world.mail.refuse(false);
    until("the mails arrive", PATIENCE, async || (world.mail.mails().len() == 4).then_some(())).await;
    world.settled(15).await;
    check_mails(&world, order);
    check_messages(&world).await;
    assert!(receiver.deliveries().iter().all(|delivery| delivery.is_signed));
    let placed = receiver.deliveries().into_iter().find(|delivery| delivery.body["subject"] == json!(order)).unwrap();
    assert_eq!((&placed.body["specversion"], &placed.body["source"]), (&json!("1.0"), &json!("/orderflow/orders")));
    // Nothing personal lies about.
    let (tables, log) = (world.tables().await, std::fs::read_to_string(world.stack.file("notifier/notifier.log")).unwrap());
    for personal in [EMAIL, "Lamplight", PHONE] {
        assert!(!tables.contains(personal), "{personal} is in the database");
        assert!(!log.contains(personal), "{personal} is in the log");
    }

    let explained = explain(&world).await;
    assert_eq!(explained.len(), 15);
    assert!(explained.iter().all(|effect| effect["ledger"] == "sent"), "{explained:?}");
    let said = orderctl(&world, &["explain", "--from", "1h"]).await;
    assert!(said.contains(&format!("order.shipped.v1 {order}  email.order-shipped to ")), "{said}");
    assert!(said.lines().last().unwrap().starts_with("15 messages from ") && said.ends_with(": 15 sent\n"), "{said}");
    assert!(orderctl(&world, &["summary"]).await.contains("sms.order-shipped"));

    // From zero: another group, and an endpoint that is new.
    let records = "orderflow_consumer_records_total";
    let handled = world.stack.metric(&world.notifier.url(), records).await;
    let late = Receiver::start(204).await;
    world.webhook(Uuid::now_v7(), &late, &["*"]).await;
    let before = (receiver.deliveries().len(), world.mail.mails().len());
    world.notifier.kill();
    world.notifier.set("GROUP_ID", &format!("{}-again", world.stack.name));
    world.notifier.start().await;
    world.stack.metric_reaches(&world.notifier.url(), records, handled).await;
    // What happens now is heard of, and nothing before it.
    let last = world.place(json!({})).await;
    until("the new order arrives", PATIENCE, async || (late.deliveries().len() == 1).then_some(())).await;
    assert_eq!(late.deliveries()[0].body["subject"], json!(last));
    until("it arrives there too", PATIENCE, async || (receiver.deliveries().len() == before.0 + 1).then_some(())).await;
    assert_eq!(world.mail.mails().len(), before.1);
    check_messages(&world).await;
    // The new endpoint would have got the old events: that can be asked for, and is not sent.
    let unsent = explain(&world).await.into_iter().filter(|effect| effect["ledger"].is_null()).count();
    assert!(unsent > 10, "{unsent}");
}

fn check_mails(world: &World, order: Uuid) {
    let mails: BTreeMap<String, _> = world.mail.mails().into_iter().map(|mail| (mail.subject.clone(), mail)).collect();
    let mail = |what: &str| mails.iter().find(|(subject, _)| subject.ends_with(what)).map(|(_, mail)| mail.clone()).unwrap();
    let confirmed = mail("is confirmed");
    assert_eq!(confirmed.recipients, [EMAIL]);
    for text in ["Hello Ann Lamplight,", "2 x Lamp <brass> at 19.99 GBP: 39.98 GBP", "Total: 39.98 GBP", &order.to_string()] {
        assert!(confirmed.text.contains(text), "{text}: {}", confirmed.text);
    }
    assert!(confirmed.html.contains("Lamp &lt;brass&gt;") && confirmed.html.contains("39.98 GBP"), "{}", confirmed.html);
    assert!(mail("was cancelled").text.contains("out of stock"));
    assert!(mail("is on its way").text.contains("with Post. Its tracking code is X1."));
    assert!(mail("was refunded").text.contains("19.99 GBP"));
    assert!(confirmed.id.ends_with("@lamps.example"), "{}", confirmed.id);
}

async fn check_messages(world: &World) {
    let sent: Value = reqwest::get(format!("{}/messages", world.sandbox.url())).await.unwrap().json().await.unwrap();
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["to"], &messages[0]["posted"]), (1, &json!(PHONE), &json!(1)), "{sent}");
    assert!(messages[0]["text"].as_str().unwrap().contains("tracking code X1"), "{sent}");
}

#[tokio::test]
async fn a_journey_says_who_was_told_and_who_does_not_listen() {
    let mut world = World::start("").await;
    let (listening, deaf) = (Receiver::start(200).await, Receiver::start(500).await);
    world.webhook(Uuid::now_v7(), &listening, &["order.*"]).await;
    let order = world.place(json!({})).await;
    // The projector may be later than the notifier.
    let is_told = |journey: &Value| journey["events"][0]["notified"][0]["state"] == "sent" && journey["stuck"].is_null();
    let told = journey(&world, order, is_told).await;
    let event = &told["events"][0];
    let message = &event["notified"][0];
    assert_eq!((&message["kind"], &message["attempts"]), (&json!("webhook"), &json!(1)), "{told}");
    assert_eq!(message["message_id"], json!(listening.deliveries()[0].id));
    assert!(event["millis"]["notify"].is_i64() && told["notifier"].is_null(), "{told}");

    let endpoint = Uuid::now_v7();
    world.webhook(endpoint, &deaf, &["order.confirmed.v1"]).await;
    world.step(order, "confirm-order", json!({})).await;
    let stuck = journey(&world, order, |journey| journey["stuck"]["at"] == "notifier").await;
    assert_eq!(stuck["stuck"]["version"], 2);
    let why = stuck["stuck"]["why"].as_str().unwrap();
    assert!(why.contains(&endpoint.to_string()) && why.contains("it answered 500"), "{why}");

    // Without a notifier the rest is told all the same.
    world.notifier.kill();
    let is_alone = |journey: &Value| journey["notifier"].is_string() && journey["events"][1]["applied"]["at"].is_string();
    let alone = journey(&world, order, is_alone).await;
    assert!(alone["events"][1]["notified"].is_null(), "{alone}");
}

/// An order's journey, once it is as it should become.
async fn journey(world: &World, order: Uuid, is_there: impl Fn(&Value) -> bool) -> Value {
    until("the journey", PATIENCE, async || {
        let output = verify::orderctl(&world.stack, &["journey", &order.to_string(), "--json"]).await;
        let journey = serde_json::from_slice::<Value>(&output.stdout).ok()?;
        is_there(&journey).then_some(journey)
    })
    .await
}

async fn explain(world: &World) -> Vec<Value> {
    let (status, told) = world.ask(Method::GET, "/v1/notifications/explain?from=2000-01-01T00:00:00Z", Value::Null).await;
    assert_eq!(status, 200, "{told}");
    let lines = told.as_str().unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert!(lines.last().unwrap()["done"].is_object(), "{lines:?}");
    lines.into_iter().filter_map(|line| line.get("effect").cloned()).collect()
}

/// Runs `orderctl notifications`; what it says.
async fn orderctl(world: &World, arguments: &[&str]) -> String {
    let mut orderctl = Program::new(program("orderctl"));
    orderctl.arg("notifications").args(arguments).env("NOTIFIER_URL", world.notifier.url()).env("JWT_SECRET", JWT_SECRET);
    let output = tokio::task::spawn_blocking(move || orderctl.output()).await.unwrap().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.into_owned()
}

#[tokio::test]
async fn a_kill_between_sending_and_the_receipt_loses_nothing_and_doubles_at_most_once() {
    // The first mailbox that has sent something dies with the process, before it has written that down.
    let mut world = World::start("notifier::sent=return").await;
    let receiver = Receiver::start(200).await;
    world.webhook(Uuid::now_v7(), &receiver, &["order.*"]).await;
    let user = world.user(EMAIL).await;
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.push(world.place(json!({ "user_id": user })).await);
    }
    let status = world.notifier.ended(PATIENCE).await;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    for order in &orders {
        world.step(*order, "confirm-order", json!({})).await;
    }
    world.notifier.set("FAILPOINTS", "");
    world.notifier.start().await;
    // Five placed, five confirmed, five mails.
    world.settled(15).await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in receiver.deliveries() {
        assert!(delivery.is_signed);
        *times.entry(delivery.id).or_default() += 1;
    }
    assert_eq!(times.len(), 10);
    assert!(times.values().any(|times| *times == 2), "what was in hand came again: {times:?}");
    assert!(times.values().all(|times| *times <= 2), "{times:?}");
    let mails = world.mail.mails();
    let ids: std::collections::BTreeSet<_> = mails.iter().map(|mail| &mail.id).collect();
    assert_eq!((ids.len(), mails.len()), (5, 5));
}

#[tokio::test]
async fn a_mailbox_that_keeps_dying_makes_not_ready_and_delays_no_other() {
    let (bad, good) = (Uuid::now_v7(), Uuid::now_v7());
    let mut world = World::start(&format!("notifier::taken=return(webhook:{bad})")).await;
    let (bad_receiver, good_receiver) = (Receiver::start(200).await, Receiver::start(200).await);
    world.webhook(bad, &bad_receiver, &["order.placed.v1"]).await;
    world.webhook(good, &good_receiver, &["order.placed.v1"]).await;
    let lines = json!([{"product_id": world.product, "quantity": 1}]);
    let orders: Vec<Command> =
        (0..80).map(|_| Command::new(Orders, "place-order", Uuid::now_v7(), json!({ "lines": lines }))).collect();
    for answer in world.client.send_stream(&orders).await {
        answer.accepted();
    }
    until("the good one has all", PATIENCE, async || (good_receiver.ids().len() == 80).then_some(())).await;
    let report = world.ready(503).await;
    let detail = report["checks"]["mailboxes"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("webhook:{bad}")), "{detail}");
    assert_eq!(bad_receiver.deliveries().len(), 0);

    world.notifier.signal(rustix::process::Signal::TERM);
    assert!(world.notifier.ended(PATIENCE).await.success());
    world.notifier.set("FAILPOINTS", "");
    world.notifier.start().await;
    until("the other has all", PATIENCE, async || (bad_receiver.ids().len() == 80).then_some(())).await;
    world.ready(200).await;
    assert_eq!(good_receiver.deliveries().len(), 80);

    // An owner has a message delivered again, under the same id.
    world.settled(160).await;
    let (_, log) = world.ask(Method::GET, &format!("/v1/webhooks/{good}/deliveries?limit=1"), Value::Null).await;
    let message = log["deliveries"][0]["message_id"].as_str().unwrap().to_owned();
    good_receiver.answer(202);
    let path = format!("/v1/webhooks/{good}/deliveries/{message}/redeliver");
    assert_eq!(world.ask(Method::POST, &path, Value::Null).await.0, 202);
    until("it arrives again", PATIENCE, async || (good_receiver.deliveries().len() == 81).then_some(())).await;
    assert_eq!((good_receiver.deliveries()[80].id.as_str(), good_receiver.ids().len()), (message.as_str(), 80));
}

#[tokio::test]
async fn who_was_erased_or_is_gone_hears_nothing() {
    let world = World::start("").await;
    let (erased, gone, other) = (world.user("e@x.example").await, world.user("g@x.example").await, world.user(EMAIL).await);
    let mut orders = Vec::new();
    for user in [erased, gone, other] {
        orders.push(world.place(json!({ "user_id": user })).await);
    }
    // Erasing somebody is destroying their key.
    let pool = sqlx::PgPool::connect(&world.stack.database.url).await.unwrap();
    sqlx::query("DELETE FROM users.personal_keys WHERE key_id = $1").bind(erased).execute(&pool).await.unwrap();
    let close = Command::new(Users, "deactivate-user", gone, json!({}));
    world.client.send(&close).await.accepted();
    // What is heard of the account comes from another topic.
    until("the notifier knows", PATIENCE, async || {
        let closed = sqlx::query_scalar("SELECT count(*) FROM notifier.users WHERE NOT active");
        (closed.fetch_one(&pool).await.ok() == Some(1_i64)).then_some(())
    })
    .await;
    for order in orders {
        world.step(order, "confirm-order", json!({})).await;
    }
    until("the other hears", PATIENCE, async || (world.mail.mails().len() == 1).then_some(())).await;
    // What the others' orders come to is told by other partitions.
    let causes = until("the others are passed over", PATIENCE, async || {
        let causes = sqlx::query_scalar("SELECT cause FROM notifier.effects WHERE state = 'skipped' ORDER BY cause");
        let causes: Vec<String> = causes.fetch_all(&pool).await.ok()?;
        (causes.len() == 2).then_some(causes)
    })
    .await;
    world.settled(1).await;
    assert_eq!(causes, ["the account is closed", "the personal data was erased"]);
    assert_eq!(world.mail.mails()[0].recipients, [EMAIL]);
}

#[tokio::test]
async fn endpoints_are_where_they_may_be_and_are_seen_by_their_owner() {
    let mut world = World::start("").await;
    let make = async |world: &World, url: &str, types: Value, secret: Value| {
        world.ask(Method::POST, "/v1/webhooks", json!({"url": url, "event_types": types, "secret": secret})).await
    };
    let (status, made) = make(&world, "http://127.0.0.1:9/", json!(["order.*"]), Value::Null).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    let (_, shown) = world.ask(Method::GET, &path, Value::Null).await;
    assert_eq!((&shown["status"], &shown["secret"]), (&json!("active"), &Value::Null));
    for (url, types, secret, pointer) in [
        ("ftp://example.org/", json!(["*"]), Value::Null, "/url"),
        ("http://user@127.0.0.1/", json!(["*"]), Value::Null, "/url"),
        ("http://10.0.0.1/", json!(["*"]), Value::Null, "/url"),
        ("http://[::1]/", json!(["*"]), Value::Null, "/url"),
        ("http://169.254.169.254/latest/meta-data", json!(["*"]), Value::Null, "/url"),
        ("http://127.0.0.1/", json!([]), Value::Null, "/event_types"),
        ("http://127.0.0.1/", json!(["Order"]), Value::Null, "/event_types/0"),
        ("http://127.0.0.1/", json!(["*"]), json!("short"), "/secret"),
    ] {
        let (status, problem) = make(&world, url, types, secret).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!(pointer)), "{url}: {problem}");
    }
    assert_eq!(world.ask(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(world.ask(Method::GET, &path, Value::Null).await.0, 404);
    assert_eq!(set_phone(&world, Uuid::now_v7()).await, 404);

    // By default neighbours are nobody's business, nor is plain HTTP.
    world.notifier.kill();
    world.notifier.set("WEBHOOK_ALLOWED_NETWORKS", "");
    world.notifier.start().await;
    let (status, problem) = make(&world, "http://127.0.0.1:9/", json!(["*"]), Value::Null).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/url")), "{problem}");
    world.notifier.kill();
    world.notifier.set("WEBHOOK_ALLOW_HTTP", "");
    world.notifier.start().await;
    let (_, problem) = make(&world, "http://1.1.1.1/", json!(["*"]), Value::Null).await;
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("https://"), "{problem}");
}
