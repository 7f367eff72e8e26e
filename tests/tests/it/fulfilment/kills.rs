//! Processes are killed at random moments, and at the end every order is either or.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{
    Client, Command,
    Context::{Orders, Products},
    Plan,
    client::token,
    process::Process,
    wait::until,
};
use uuid::Uuid;

use super::shop::{Shop, plan};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
const ORDERS: u64 = 40;
/// Processes that are killed while they are placed and carried out.
const KILLS: u32 = 10;
/// Orders that are placed and looked after at a time.
const AT_ONCE: usize = 8;
const PLENTY: i64 = 10_000;
const SCARCE: i64 = 12;
/// How payments go: as a rule well.
const METHODS: [&str; 8] =
    ["pm_card", "pm_card", "pm_card", "pm_declined", "pm_unknown", "pm_fails_twice", "pm_garbled", "pm_hangs_once"];

/// An order of which the book can be asked: no two have the same total.
#[derive(Debug, Clone)]
struct Placed {
    order: Uuid,
    quantities: BTreeMap<Uuid, u64>,
    total: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_an_order_is_confirmed_and_paid_once_or_cancelled_and_nothing_is_left_of_it() {
    let environment = vec![("PAYMENT_PROVIDER_TIMEOUT_MS", "1000"), ("STEP_ATTEMPTS", "1000")];
    let two = Plan { commands: 2, fulfilments: 2, fulfilment_environment: environment, ..plan() };
    let mut shop = Shop::open(two).await;
    let products = [shop.product(PLENTY).await, shop.product(SCARCE).await];
    let mut users = Vec::new();
    for method in METHODS {
        users.push(shop.user(method).await);
    }
    let seed = fastrand::u64(..);
    let (client, users) = (shop.client.clone(), Arc::new(users));
    let shopping = tokio::spawn(async move {
        let lives = stream::iter(0..ORDERS).map(|number| live(client.clone(), Arc::clone(&users), products, seed, number));
        lives.buffer_unordered(AT_ONCE).collect::<Vec<Placed>>().await
    });
    let mut rng = Rng::with_seed(seed);
    for _ in 0..KILLS {
        kill_one(&mut shop, &mut rng).await;
    }
    let placed = shopping.await.unwrap();
    shop.stack.ready().await;
    for order in &placed {
        settle(&shop, order.order).await;
    }
    judge(&shop, &placed, products, &format!("seed {seed}")).await;
}

/// Waits until the saga has come to where its order is: nobody commands it any more.
async fn settle(shop: &Shop, order: Uuid) {
    until(&format!("{order} has settled"), PATIENCE, async || {
        let stage = match shop.order(order).await.0.as_str() {
            "confirmed" => "confirmed",
            "shipped" => "fulfilled",
            "cancelled" => "cancelled",
            _ => return None,
        };
        let path = format!("/v1/sagas/{order}");
        let (_, saga) = shop.ask(Method::GET, &path, &token(), None).await?;
        (saga["stage"] == stage).then_some(())
    })
    .await;
}

/// Kills one process, and starts it again a while later.
async fn kill_one(shop: &mut Shop, rng: &mut Rng) {
    let stack = &mut shop.stack;
    let mut processes: Vec<&mut Process> =
        stack.commands.iter_mut().chain(&mut stack.fulfilments).chain(&mut stack.sandbox).collect();
    let chosen = rng.usize(..processes.len());
    tokio::time::sleep(Duration::from_millis(rng.u64(200..900))).await;
    processes[chosen].kill();
    tokio::time::sleep(Duration::from_millis(rng.u64(0..600))).await;
    processes[chosen].start().await;
}

/// One order: placed, and then perhaps cancelled by whoever placed it, or shipped once it is confirmed.
async fn live(client: Client, users: Arc<Vec<Uuid>>, products: [Uuid; 2], seed: u64, number: u64) -> Placed {
    let mut rng = Rng::with_seed(seed ^ (number << 32));
    let user = users[rng.usize(..users.len())];
    let (plenty, scarce) = (rng.u64(1..4), rng.u64(0..3));
    // Prices are negotiated so that every total is another.
    let total = plenty * 100_000 + number + 1 + scarce * 7_000_000;
    let price = |minor: u64| json!({"minor": minor, "currency": "GBP"});
    let mut lines = vec![
        json!({"product_id": products[0], "quantity": plenty, "unit_price": price(100_000)}),
        json!({"product_id": products[0], "quantity": 1, "unit_price": price(number + 1)}),
    ];
    let mut quantities = BTreeMap::from([(products[0], plenty + 1)]);
    if scarce > 0 {
        lines.push(json!({"product_id": products[1], "quantity": scarce, "unit_price": price(7_000_000)}));
        quantities.insert(products[1], scarce);
    }
    let order = Uuid::now_v7();
    let command = |name, body| Command::new(Orders, name, order, body);
    client.send(&command("place-order", json!({"user_id": user, "lines": lines}))).await.accepted();
    match rng.u8(0..4) {
        0 => {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..1_500))).await;
            // It may be cancelled already.
            client.send(&command("cancel-order", json!({"reason": "changed my mind"}))).await;
        }
        1 => {
            while status(&client, order).await == Some("placed".to_owned()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        _ => return Placed { order, quantities, total },
    }
    if status(&client, order).await == Some("confirmed".to_owned()) {
        // It may be cancelled in this moment.
        client.send(&command("ship-order", json!({}))).await;
    }
    Placed { order, quantities, total }
}

/// Where the order is; while nobody says, it is where it was.
async fn status(client: &Client, order: Uuid) -> Option<String> {
    for _ in 0..200 {
        if let Ok(response) = client.asking(&format!("/v1/orders/{order}/state")).send().await
            && response.status().is_success()
            && let Ok(found) = response.json::<Value>().await
        {
            return found["state"]["status"].as_str().map(str::to_owned);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Compares orders, stock and the provider's book: nobody's word is taken for another's.
async fn judge(shop: &Shop, placed: &[Placed], products: [Uuid; 2], circumstances: &str) {
    let book = shop.book().await;
    let mut paid: HashMap<u64, Vec<Value>> = HashMap::new();
    for authorisation in book["authorisations"].as_array().unwrap() {
        paid.entry(authorisation["amount"]["minor"].as_u64().unwrap()).or_default().push(authorisation.clone());
    }
    let (mut charged, mut held, mut shipped) = (0, 0, BTreeMap::<Uuid, u64>::new());
    let mut reserved: BTreeMap<Uuid, BTreeMap<Uuid, u64>> = BTreeMap::new();
    for one in placed {
        let (status, why) = shop.order(one.order).await;
        let authorisations = paid.remove(&one.total).unwrap_or_default();
        let context = format!("{circumstances}: {one:?} is {status} ({why:?}), {authorisations:?}");
        assert!(authorisations.len() <= 1, "authorised more than once: {context}");
        let of_it = |name: &str| authorisations.first().map_or(0, |found| found[name].as_u64().unwrap_or_default());
        match status.as_str() {
            "confirmed" => {
                assert_eq!((authorisations.len(), of_it("captured"), of_it("voided")), (1, 0, 0), "{context}");
                held += one.total;
                for (product, quantity) in &one.quantities {
                    reserved.entry(*product).or_default().insert(one.order, *quantity);
                }
            }
            "shipped" => {
                assert_eq!((authorisations.len(), of_it("captured")), (1, one.total), "{context}");
                charged += one.total;
                for (product, quantity) in &one.quantities {
                    *shipped.entry(*product).or_default() += quantity;
                }
            }
            "cancelled" => {
                let still = authorisations.len() as u64 * one.total - of_it("voided");
                assert_eq!((of_it("captured"), still), (0, 0), "{context}");
            }
            other => panic!("{other}: {context}"),
        }
    }
    assert!(paid.is_empty(), "{circumstances}: paid for nothing: {paid:?}");
    assert_eq!(shop.money().await, (charged, held), "{circumstances}");
    let keys = book["keys"].as_object().unwrap();
    assert!(keys.values().all(|key| key["done"].as_u64().unwrap() <= 1), "{circumstances}: {keys:?}");
    for (product, received) in products.into_iter().zip([PLENTY, SCARCE]) {
        let stock = shop.state(Products, product).await["stock"].take();
        let on_hand = stock["on_hand"].as_u64().unwrap();
        let gone = shipped.get(&product).copied().unwrap_or_default();
        assert_eq!(on_hand + gone, received.unsigned_abs(), "{circumstances}: {stock}");
        let open: BTreeMap<Uuid, u64> = stock["reservations"].as_object().unwrap().values().map(of_order).collect();
        assert_eq!(stock["reservations"].as_object().unwrap().len(), open.len(), "{circumstances}: reserved twice: {stock}");
        assert_eq!(open, reserved.remove(&product).unwrap_or_default(), "{circumstances}");
    }
}

fn of_order(reservation: &Value) -> (Uuid, u64) {
    let order = reservation["order_id"].as_str().unwrap().parse().unwrap();
    (order, reservation["quantity"].as_u64().unwrap())
}
