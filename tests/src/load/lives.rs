//! One client's turns.

use std::{collections::VecDeque, sync::Arc};

use fastrand::Rng;
use serde_json::json;
use uuid::Uuid;

use super::{
    payments::{change_payment_method, payment_step, request_payment},
    shop::{Shop, adjust_stock, change_product, create_product, order_step, place_order, register_user, uuid},
};
use crate::{
    client::{Answer, Client, Command},
    context::Context::{Products, Users},
};

/// Orders that a worker follows at a time, and payments.
const ORDERS: usize = 20;

/// Statuses that a well-formed command may be refused with.
const REFUSALS: [u16; 4] = [404, 409, 412, 422];

#[derive(Debug)]
pub(super) struct Worker {
    client: Client,
    shop: Arc<Shop>,
    rng: Rng,
    /// Orders under way, with their stages and versions.
    orders: VecDeque<(Uuid, u8, u64)>,
    /// Payments under way, with their stages.
    payments: VecDeque<(Uuid, u8)>,
    /// Users and products of this worker's own.
    users: Vec<Uuid>,
    products: Vec<Uuid>,
    reservations: Vec<(Uuid, Uuid)>,
}

impl Worker {
    pub(super) fn new(client: Client, shop: Arc<Shop>, rng: Rng) -> Self {
        let (users, products, reservations) = (Vec::new(), Vec::new(), Vec::new());
        let (orders, payments) = (VecDeque::new(), VecDeque::new());
        Self { client, shop, rng, orders, payments, users, products, reservations }
    }

    pub(super) fn pause(&mut self, most: u64) -> u64 {
        self.rng.u64(..most)
    }

    /// Does one thing.
    pub(super) async fn turn(&mut self) {
        match self.rng.u8(0..100) {
            0..22 => self.place().await,
            22..46 => self.follow().await,
            46..55 => self.pay().await,
            55..60 => self.stream().await,
            60..72 => self.stock().await,
            72..77 => self.reserve().await,
            77..82 => self.end_reservation().await,
            82..88 => self.catalogue().await,
            88..95 => self.account().await,
            _ => self.rivals().await,
        }
    }

    /// Sends it; now and then twice at the same moment, or once more afterwards: the answer is the same.
    async fn send(&mut self, command: &Command) -> Answer {
        let answer = match self.rng.u8(0..10) {
            0 => {
                let (left, right) = tokio::join!(self.client.send(command), self.client.send(command));
                if left.is_accepted() && right.is_accepted() {
                    assert_eq!(left, right, "the same key, twice at the same moment: {command:?}");
                }
                // Of two that were refused, the second may have met what changed in between.
                if left.is_accepted() { left } else { right }
            }
            1 => {
                let first = self.client.send(command).await;
                let again = self.client.send(command).await;
                if first.is_accepted() {
                    assert_eq!(first, again, "the same key once more: {command:?}");
                    first
                } else {
                    again
                }
            }
            _ => self.client.send(command).await,
        };
        if let Answer::Refused(status, problem) = &answer {
            assert!(REFUSALS.contains(status), "{status} {problem} to {command:?}");
        }
        answer
    }

    async fn place(&mut self) {
        let mut command = place_order(&self.shop, &mut self.rng);
        match self.rng.u8(0..10) {
            // The id then comes from the key.
            0 => command.id = None,
            // A new id is as good as a key, but who lost the answer does not know.
            1 => {
                command.key = None;
                if let Answer::Accepted(id, version) = self.client.send(&command).await {
                    self.orders.push_back((id, 0, version));
                }
                return;
            }
            _ => {}
        }
        if let Answer::Accepted(id, version) = self.send(&command).await {
            self.orders.push_back((id, 0, version));
        }
    }

    async fn follow(&mut self) {
        while self.orders.len() > ORDERS {
            self.orders.pop_front();
        }
        if self.orders.is_empty() {
            return self.place().await;
        }
        let index = self.rng.usize(..self.orders.len());
        let (id, stage, version) = self.orders[index];
        let mut command = order_step(id, stage, &mut self.rng);
        match self.rng.u8(0..10) {
            0 => command.if_match = Some(version),
            1 => {
                command.if_match = Some(version + 1);
                let answer = self.send(&command).await;
                assert!(matches!(answer, Answer::Refused(412, _)), "If-Match of a version to come: {answer:?}");
                return;
            }
            _ => {}
        }
        if let Answer::Accepted(_, version) = self.send(&command).await {
            self.orders[index] = (id, stage + 1, version);
        }
    }

    async fn pay(&mut self) {
        while self.payments.len() > ORDERS {
            self.payments.pop_front();
        }
        if self.payments.is_empty() || self.rng.u8(0..5) == 0 {
            let command = request_payment(&self.shop, &mut self.rng);
            if let Answer::Accepted(id, _) = self.send(&command).await {
                self.payments.push_back((id, 0));
            }
            return;
        }
        let index = self.rng.usize(..self.payments.len());
        let (id, stage) = self.payments[index];
        let command = payment_step(id, stage, &mut self.rng);
        if self.send(&command).await.is_accepted() {
            self.payments[index] = (id, stage.saturating_add(1));
        }
    }

    /// Whole lives in one stream of commands.
    async fn stream(&mut self) {
        let mut commands = Vec::new();
        for _ in 0..self.rng.usize(1..12) {
            let place = place_order(&self.shop, &mut self.rng);
            let id = place.id.unwrap_or_default();
            commands.push(place);
            for stage in 0..self.rng.u8(0..5) {
                commands.push(order_step(id, stage, &mut self.rng));
            }
            let product = self.shop.products[self.rng.usize(..self.shop.products.len())];
            commands.push(adjust_stock(product, self.rng.i64(1..10)));
        }
        self.client.send_stream(&commands).await;
    }

    /// Few products, many clients.
    async fn stock(&mut self) {
        let product = self.shop.products[self.rng.usize(..2)];
        let delta = match self.rng.i64(-20..20) {
            0 => 1,
            delta => delta,
        };
        self.send(&adjust_stock(product, delta)).await;
    }

    async fn reserve(&mut self) {
        let product = self.shop.products[self.rng.usize(..self.shop.products.len())];
        let (reservation, order) = (uuid(&mut self.rng), uuid(&mut self.rng));
        let body = json!({"reservation_id": reservation, "order_id": order, "quantity": self.rng.u32(1..20)});
        let command = Command::new(Products, "reserve-stock", product, body.clone()).fact("product.stock-reserved.v1", body);
        if self.send(&command).await.is_accepted() {
            self.reservations.push((product, reservation));
        }
    }

    async fn end_reservation(&mut self) {
        if self.reservations.is_empty() {
            return self.reserve().await;
        }
        let index = self.rng.usize(..self.reservations.len());
        let (product, reservation) = self.reservations.swap_remove(index);
        let body = json!({"reservation_id": reservation});
        let (name, fact) = if self.rng.bool() {
            ("release-stock", "product.stock-released.v1")
        } else {
            ("commit-stock", "product.stock-committed.v1")
        };
        self.send(&Command::new(Products, name, product, body.clone()).fact(fact, body)).await;
    }

    async fn catalogue(&mut self) {
        if self.products.is_empty() || self.rng.u8(0..5) == 0 {
            let command = create_product(&mut self.rng);
            let (id, _) = self.send(&command).await.accepted();
            return self.products.push(id);
        }
        let index = self.rng.usize(..self.products.len());
        let id = self.products[index];
        let command = match self.rng.u8(0..8) {
            0 => Command::new(Products, "discontinue-product", id, json!({})).fact("product.discontinued.v1", json!({})),
            1..4 => adjust_stock(id, self.rng.i64(1..50)),
            _ => change_product(id, &mut self.rng),
        };
        self.send(&command).await;
    }

    async fn account(&mut self) {
        if self.users.is_empty() || self.rng.u8(0..4) == 0 {
            let command = register_user(&mut self.rng);
            let (id, _) = self.send(&command).await.accepted();
            return self.users.push(id);
        }
        let id = self.users[self.rng.usize(..self.users.len())];
        let (name, email) = (format!("Bob {}", self.rng.u32(..)), format!("BOB.{}@example.org", self.rng.u64(..)));
        let named = |command: Command| command.fact("user.name-changed.v1", json!({})).personal("name", &name);
        let mailed = |command: Command| command.fact("user.email-changed.v1", json!({})).personal("email", &email);
        let change = |body| Command::new(Users, "change-user", id, body);
        let command = match self.rng.u8(0..8) {
            0 => Command::new(Users, "deactivate-user", id, json!({"reason": "moved"}))
                .fact("user.deactivated.v1", json!({"reason": "moved"})),
            1 | 2 => named(change(json!({"name": name}))),
            3 | 4 => mailed(change(json!({"email": email}))),
            5 => change_payment_method(id, &mut self.rng),
            _ => mailed(named(change(json!({"name": name, "email": email})))),
        };
        self.send(&command).await;
    }

    /// Two want the same address at the same moment, in different spelling: one gets it.
    async fn rivals(&mut self) {
        let mut commands = [register_user(&mut self.rng), register_user(&mut self.rng)];
        let email = format!("Rival.{}@Example.org", self.rng.u64(..));
        for (command, email) in commands.iter_mut().zip([email.to_uppercase(), email.clone()]) {
            command.body["email"] = json!(email);
            command.facts[0].personal.insert("email", email);
        }
        let (left, right) = tokio::join!(self.client.send(&commands[0]), self.client.send(&commands[1]));
        assert!(left.is_accepted() != right.is_accepted(), "one of two gets an address: {left:?} {right:?}");
    }
}
