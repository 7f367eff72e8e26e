//! What all clients share: a catalogue and some customers; and how commands are made.

use chrono::{DateTime, Days, SecondsFormat, Utc};
use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Client, Command},
    context::Context::{Orders, Products, Users},
};

const PRODUCTS: usize = 10;
const USERS: usize = 6;

/// What is sold, and to whom.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) products: Vec<Uuid>,
    pub(super) users: Vec<Uuid>,
}

impl Shop {
    pub(super) async fn open(client: &Client, rng: &mut Rng) -> Self {
        let (mut products, mut users) = (Vec::new(), Vec::new());
        let mut commands = Vec::new();
        for _ in 0..PRODUCTS {
            let create = create_product(rng);
            products.extend(create.id);
            let adjust = adjust_stock(products[products.len() - 1], 100);
            commands.extend([create, adjust]);
        }
        for _ in 0..USERS {
            let register = register_user(rng);
            users.extend(register.id);
            commands.push(register);
        }
        for answer in client.send_stream(&commands).await {
            assert!(answer.is_accepted(), "{answer:?}");
        }
        Self { products, users }
    }
}

/// An id by seed.
pub(super) fn uuid(rng: &mut Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid()
}

/// A moment of the last days, in the form that clients send.
pub(super) fn past(rng: &mut Rng) -> String {
    let at: DateTime<Utc> = Utc::now() - Days::new(rng.u64(1..40));
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(super) fn create_product(rng: &mut Rng) -> Command {
    let id = uuid(rng);
    let data = json!({
        "sku": format!("Sku-{}", id.simple()),
        "name": format!("{} Lantern {}", rng.choice(["Red", "blue", "Grün"]).unwrap_or_default(), rng.u16(..)),
        "price": price(rng),
    });
    Command::new(Products, "create-product", id, data.clone()).fact("product.created.v1", data)
}

pub(super) fn price(rng: &mut Rng) -> Value {
    json!({"minor": rng.u32(1..100_000), "currency": "GBP"})
}

pub(super) fn change_product(id: Uuid, rng: &mut Rng) -> Command {
    let name = format!("Lantern {}", rng.u64(..));
    match rng.u8(0..3) {
        0 => {
            Command::new(Products, "change-product", id, json!({"name": name})).fact("product.renamed.v1", json!({"name": name}))
        }
        1 => {
            let price = json!({"minor": rng.u32(..1 << 30), "currency": "GBP"});
            let body = json!({"price": price});
            Command::new(Products, "change-product", id, body.clone()).fact("product.repriced.v1", body)
        }
        _ => {
            let price = json!({"minor": rng.u32(..1 << 30), "currency": "GBP"});
            Command::new(Products, "change-product", id, json!({"name": name, "price": price}))
                .fact("product.renamed.v1", json!({"name": name}))
                .fact("product.repriced.v1", json!({"price": price}))
        }
    }
}

pub(super) fn adjust_stock(id: Uuid, delta: i64) -> Command {
    let body = json!({"delta": delta, "reason": if delta > 0 { "received" } else { "damaged" }});
    Command::new(Products, "adjust-stock", id, body.clone()).fact("product.stock-adjusted.v2", body)
}

pub(super) fn register_user(rng: &mut Rng) -> Command {
    let id = uuid(rng);
    let (name, email) = (format!("Ann Ü. {}", rng.u32(..)), format!("Ann.{}@Example.org", id.simple()));
    Command::new(Users, "register-user", id, json!({"name": name, "email": email}))
        .fact("user.registered.v1", json!({}))
        .personal("name", &name)
        .personal("email", &email)
}

pub(super) fn place_order(shop: &Shop, rng: &mut Rng) -> Command {
    let (mut lines, mut facts) = (Vec::new(), Vec::new());
    for number in 1..=rng.u16(1..5) {
        let product = shop.products[rng.usize(..shop.products.len())];
        let mut line = json!({"product_id": product, "quantity": rng.u32(1..6)});
        let mut fact = line.clone();
        fact["line"] = json!(number);
        if rng.u8(0..3) == 0 {
            let minor = rng.u32(1..50_000);
            line["unit_price"] = json!({"minor": minor, "currency": "GBP"});
            fact["unit_price"] = json!(minor);
        }
        lines.push(line);
        facts.push(fact);
    }
    let mut body = json!({"lines": lines});
    let mut fact = json!({"lines": facts, "currency": "GBP", "fulfilment": "managed"});
    if rng.bool() {
        let user = shop.users[rng.usize(..shop.users.len())];
        body["user_id"] = json!(user);
        fact["user_id"] = json!(user);
    }
    if rng.bool() {
        body["fulfilment"] = json!("external");
        fact["fulfilment"] = json!("external");
        body["occurred_at"] = json!(past(rng));
    }
    Command::new(Orders, "place-order", uuid(rng), body).fact("order.placed.v1", fact)
}

/// The next step in an order's life; `stage` counts them. Some are against the rules.
pub(super) fn order_step(id: Uuid, stage: u8, rng: &mut Rng) -> Command {
    let mut body = json!({});
    if rng.u8(0..4) == 0 {
        body["occurred_at"] = json!(past(rng));
    }
    let new = |name, body| Command::new(Orders, name, id, body);
    match (stage, rng.u8(0..8)) {
        (0, 0) | (1, 0) => {
            body["reason"] = json!("changed their mind");
            new("cancel-order", body).fact("order.cancelled.v1", json!({"reason": "changed their mind"}))
        }
        (0, _) => new("confirm-order", body).fact("order.confirmed.v1", json!({})),
        (1, _) => {
            body["carrier"] = json!("Post");
            body["tracking"] = json!(format!("T{}", rng.u32(..)));
            let fact = json!({"carrier": "Post", "tracking": body["tracking"]});
            new("ship-order", body).fact("order.shipped.v1", fact)
        }
        (2, _) => new("deliver-order", body).fact("order.delivered.v1", json!({})),
        (_, _) => {
            let back = json!([{"line": 1, "quantity": rng.u32(1..4)}]);
            body["lines"] = back.clone();
            new("return-order", body).fact("order.returned.v1", json!({"lines": back}))
        }
    }
}
