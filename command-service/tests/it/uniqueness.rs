//! E-mail addresses, SKUs and reservations: one owner, also when two processes are asked at once.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    harness::{Answer, Database, Instance, Launch, id, money, product_body, service, staff, store, user_body},
    instances::pair,
};

const AT_ONCE: usize = 24;

/// How often each status and rule came.
fn tally(answers: &[Answer]) -> BTreeMap<(u16, String), usize> {
    answers.iter().fold(BTreeMap::new(), |mut tally, answer| {
        let rule = if answer.status < 300 { String::new() } else { answer.rule() };
        *tally.entry((answer.status, rule)).or_default() += 1;
        tally
    })
}

fn one_wins(rule: &str) -> BTreeMap<(u16, String), usize> {
    BTreeMap::from([((201, String::new()), 1), ((409, rule.to_owned()), AT_ONCE - 1)])
}

async fn all_at_once(instances: &[Arc<Instance>; 2], path: &str, body: impl Fn(usize) -> Value) -> Vec<Answer> {
    join_all((0..AT_ONCE).map(|caller| {
        let (instance, body) = (Arc::clone(&instances[caller % 2]), body(caller));
        async move {
            // A machine that is busy with other tests may be told to come back, and nothing was stored then.
            loop {
                let answer = instance.post(path, &staff(), &body).await;
                if answer.status != 503 {
                    return answer;
                }
            }
        }
    }))
    .await
}

async fn register(instance: &Instance, user: Uuid, email: &str) -> Answer {
    instance.post("/v1/users", &staff(), &user_body(user, email)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_an_address_and_one_a_sku() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    for round in 0..4 {
        let user = |caller: usize| id(1_000 * (round + 1) + caller as u128);
        let email =
            |caller: usize| if caller.is_multiple_of(3) { format!("Ann{round}@X.org") } else { format!("ann{round}@x.org") };
        let users = all_at_once(&instances, "/v1/users", |caller| user_body(user(caller), &email(caller))).await;
        assert_eq!(tally(&users), one_wins("EmailTaken"));
        let sku = |caller: usize| if caller.is_multiple_of(3) { format!("sku{round}a") } else { format!("SKU{round}A") };
        let products = all_at_once(&instances, "/v1/products", |caller| product_body(user(caller), &sku(caller))).await;
        assert_eq!(tally(&products), one_wins("SkuTaken"));
    }
    assert_eq!(store::checked_events(&database, "users").await.len(), 4);
    assert_eq!(store::checked_events(&database, "products").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_free_again_when_its_owner_changes_it_or_goes() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    let change = async |instance: &Instance, user: Uuid, email: &str| {
        let request = instance.request(Method::PATCH, &format!("/v1/users/{user}"), &staff());
        Answer::to(request.json(&json!({ "email": email }))).await
    };
    let deactivate = async |instance: &Instance, user: Uuid| {
        instance.post(&format!("/v1/users/{user}/deactivate"), &staff(), &json!({})).await.status
    };
    let [here, there] = &instances;
    assert_eq!(register(here, id(1), "a@x.org").await.status, 201);
    assert_eq!(register(there, id(2), "A@x.org").await.rule(), "EmailTaken");
    // One's own address again is no conflict.
    assert_eq!(change(there, id(1), "A@X.org").await.status, 200);
    assert_eq!(change(there, id(1), "b@x.org").await.status, 200);
    assert_eq!(register(there, id(2), "a@x.org").await.status, 201);
    assert_eq!(change(here, id(1), "a@x.org").await.rule(), "EmailTaken");
    assert_eq!(deactivate(here, id(1)).await, 200);
    assert_eq!(register(there, id(3), "b@x.org").await.status, 201);
    // What was refused has claimed nothing.
    assert_eq!(register(here, id(4), "c@x.org").await.status, 201);
    assert_eq!(change(here, id(4), "b@x.org").await.rule(), "EmailTaken");
    assert_eq!(register(here, id(5), "c@x.org").await.rule(), "EmailTaken");
    // A SKU stays with its product for ever, sold or not.
    here.post("/v1/products", &staff(), &product_body(id(1), "s")).await;
    here.post(&format!("/v1/products/{}/discontinue", id(1)), &staff(), &json!({})).await;
    assert_eq!(there.post("/v1/products", &staff(), &product_body(id(2), "S")).await.rule(), "SkuTaken");
    // Nobody who reads the claims learns an address.
    let pool = database.pool("users").await;
    let clear: i64 = sqlx::query_scalar("SELECT count(*) FROM claims WHERE encode(value, 'escape') LIKE '%x.org%'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(clear, 0);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_in_one_batch_leaves_the_address_free() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).env("WRITERS", "1").start().await;
    let register =
        |user: Uuid, email: &str| json!({ "command": "register-user", "id": user, "data": { "name": "Ann", "email": email } });
    let change = |user: Uuid, email: &str| json!({ "command": "change-user", "id": user, "data": { "email": email } });
    let deactivate = |user: Uuid| json!({ "command": "deactivate-user", "id": user, "data": {} });
    // The key of a user's data must be there before a line that changes it is read.
    shop.commands(&staff(), &[register(id(1), "zero@x.org")]).await;
    let lines = [
        change(id(1), "one@x.org"),
        change(id(1), "two@x.org"),
        change(id(1), "three@x.org"),
        register(id(2), "four@x.org"),
        deactivate(id(2)),
    ];
    let answers = shop.commands(&staff(), &lines).await;
    assert!(answers.iter().all(|answer| answer["status"].as_u64() < Some(300)), "{answers:?}");
    let again: Vec<_> = ["zero", "one", "two", "four"]
        .iter()
        .zip(10..)
        .map(|(name, number)| register(id(number), &format!("{name}@x.org")))
        .collect();
    let answers = shop.commands(&staff(), &again).await;
    assert!(answers.iter().all(|answer| answer["status"] == 201), "{answers:?}");
    let taken = shop.commands(&staff(), &[register(id(20), "three@x.org")]).await;
    assert_eq!(taken[0]["problem"]["rule"], "EmailTaken", "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_that_ended_does_not_come_back() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    instances[0].post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let path = format!("/v1/products/{}", id(1));
    let received = json!({ "delta": 10, "reason": "received" });
    instances[0].post(&format!("{path}/stock-adjustments"), &staff(), &received).await;
    let reserve = async |instance: &Instance, reservation: Uuid, quantity: u32| {
        let body = json!({ "reservation_id": reservation, "order_id": id(5), "quantity": quantity });
        instance.post(&format!("{path}/reservations"), &service(), &body).await
    };
    for (reservation, end) in [(id(20), "release"), (id(21), "commit")] {
        assert_eq!(reserve(&instances[0], reservation, 2).await.status, 201);
        assert_eq!(reserve(&instances[1], reservation, 2).await.status, 200, "it is open: nothing to do");
        assert_eq!(reserve(&instances[1], reservation, 3).await.rule(), "ReservationConflict");
        let ended = instances[1].post(&format!("{path}/reservations/{reservation}/{end}"), &service(), &json!({})).await;
        assert_eq!(ended.status, 200, "{ended:?}");
        for instance in &instances {
            assert_eq!(reserve(instance, reservation, 2).await.rule(), "ReservationClosed");
        }
    }
    // The same id at another product is another reservation.
    let other = json!({ "id": id(2), "sku": "B", "name": "B", "price": money(1) });
    instances[0].post("/v1/products", &staff(), &other).await;
    instances[0].post(&format!("/v1/products/{}/stock-adjustments", id(2)), &staff(), &received).await;
    let body = json!({ "reservation_id": id(20), "order_id": id(5), "quantity": 1 });
    let answer = instances[1].post(&format!("/v1/products/{}/reservations", id(2)), &service(), &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}
