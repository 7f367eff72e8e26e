//! The plan as commands: one job a stream, each command a line of `POST /v1/commands`.
//!
//! Ids and idempotency keys are derived from the data, so a second import sends the very same lines.

use anyhow::Result;
use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::plan::{Order, Plan, Product, Return, User};
use crate::api::BoundedContext;

/// What all ids of the import are derived from (drawn once; changing it changes every id).
const NAMESPACE: Uuid = uuid!("16684990-8393-4221-bbec-904bd7e94694");

/// Commands in the life of an imported order before anything comes back.
const ORDER_LIFE: u64 = 4;

/// A phase of the import; each waits for the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Customers are registered.
    Users,
    /// Products are created.
    Products,
    /// Orders are placed, confirmed, shipped and delivered.
    Orders,
    /// Goods come back.
    Returns,
}

impl Phase {
    /// All, in the order in which they run.
    pub const ALL: [Self; 4] = [Self::Users, Self::Products, Self::Orders, Self::Returns];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Returns => "returns",
        }
    }

    /// Whose commands it has.
    pub const fn context(self) -> BoundedContext {
        match self {
            Self::Users => BoundedContext::Users,
            Self::Products => BoundedContext::Products,
            Self::Orders | Self::Returns => BoundedContext::Orders,
        }
    }

    /// How many jobs it has.
    pub const fn jobs(self, plan: &Plan) -> usize {
        match self {
            Self::Users => plan.users.len(),
            Self::Products => plan.products.len(),
            Self::Orders => plan.orders.len(),
            Self::Returns => plan.returns.len(),
        }
    }

    /// How many commands each of its jobs has.
    pub const fn commands_per_job(self) -> usize {
        match self {
            Self::Orders => 4,
            Self::Users | Self::Products | Self::Returns => 1,
        }
    }

    /// Whether an answer says that an earlier import has already done this. With the same idempotency key the
    /// answer is replayed and looks like new; these are met when the key has expired.
    pub fn is_done_already(self, problem: &str) -> bool {
        match self {
            Self::Users => problem == "AlreadyRegistered",
            Self::Products => problem == "AlreadyCreated",
            Self::Orders => matches!(
                problem,
                "AlreadyPlaced" | "AlreadyConfirmed" | "AlreadyShipped" | "AlreadyDelivered" | "AlreadyReturned"
            ),
            // A return's own id makes its repetition a success; any refusal is a real one.
            Self::Returns => false,
        }
    }

    /// The commands of a job, from the one at `from` on, as lines to send.
    pub fn render(self, plan: &Plan, job: usize, from: usize, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Users => register(&plan.users[job], out),
            Self::Products => create(&plan.products[job], out),
            Self::Orders => live(plan, &plan.orders[job], from, out),
            Self::Returns => give_back(plan, &plan.returns[job], out),
        }
    }

    /// The lines of the file that a job stands for.
    pub fn sources(self, plan: &Plan, job: usize) -> Vec<u64> {
        match self {
            Self::Users | Self::Products => Vec::new(),
            Self::Orders => plan.orders[job].lines.iter().map(|line| line.source).collect(),
            Self::Returns => plan.returns[job].sources.clone(),
        }
    }
}

/// A stream that an import writes, and its last version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The path segment of its context.
    pub segment: &'static str,
    /// The stream.
    pub id: Uuid,
    /// The version after the import's last event.
    pub version: u64,
}

/// Every stream of the plan with the version that the import leaves it at.
pub fn expected(plan: &Plan) -> Vec<Expected> {
    let one = |segment, id| Expected { segment, id, version: 1 };
    let users = plan.users.iter().map(|user| one("users", user_id(&user.customer)));
    let products = plan.products.iter().map(|product| one("products", product_id(&product.sku)));
    let orders = plan.orders.iter().map(|order| Expected {
        segment: "orders",
        id: order_id(&order.invoice),
        version: ORDER_LIFE + order.returns,
    });
    users.chain(products).chain(orders).collect()
}

/// The id of a customer.
pub fn user_id(customer: &str) -> Uuid {
    derive("customer", customer)
}

/// The id of a product.
pub fn product_id(sku: &str) -> Uuid {
    derive("product", sku)
}

/// The id of an invoice's order.
pub fn order_id(invoice: &str) -> Uuid {
    derive("invoice", invoice)
}

fn derive(kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{kind}:{name}").as_bytes())
}

/// A line of `POST /v1/commands`.
#[derive(Serialize)]
struct Command<'a, D> {
    command: &'a str,
    id: Uuid,
    key: String,
    data: D,
}

fn write(out: &mut Vec<u8>, command: &str, id: Uuid, key: String, data: impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, &Command { command, id, key, data })?;
    out.push(b'\n');
    Ok(())
}

fn register(user: &User, out: &mut Vec<u8>) -> Result<()> {
    let id = user_id(&user.customer);
    let name = format!("Customer {}", user.customer);
    let email = format!("customer-{}@customers.example", user.customer);
    let data = json!({ "name": name, "email": email, "occurred_at": instant(user.since) });
    write(out, "register-user", id, format!("import:{id}:register"), data)
}

fn create(product: &Product, out: &mut Vec<u8>) -> Result<()> {
    let id = product_id(&product.sku);
    let data = json!({
        "sku": product.sku,
        "name": product.name,
        "price": pounds(product.price),
        "occurred_at": instant(product.since),
    });
    write(out, "create-product", id, format!("import:{id}:create"), data)
}

/// The whole life of an order happens at its invoice's date: the file knows no other.
fn live(plan: &Plan, order: &Order, from: usize, out: &mut Vec<u8>) -> Result<()> {
    let id = order_id(&order.invoice);
    let at = instant(order.at);
    if from == 0 {
        let lines: Vec<Value> = order
            .lines
            .iter()
            .map(|line| {
                json!({
                    "product_id": product_id(&plan.products[line.product].sku),
                    "quantity": line.quantity,
                    "unit_price": pounds(line.price),
                })
            })
            .collect();
        let user = order.user.map(|user| user_id(&plan.users[user].customer));
        let data = json!({
            "user_id": user,
            "fulfilment": "external",
            "currency": "GBP",
            "lines": lines,
            "occurred_at": at,
        });
        write(out, "place-order", id, format!("import:{id}:place"), data)?;
    }
    for (command, step) in
        [("confirm-order", "confirm"), ("ship-order", "ship"), ("deliver-order", "deliver")].iter().skip(from.saturating_sub(1))
    {
        write(out, command, id, format!("import:{id}:{step}"), json!({ "occurred_at": at }))?;
    }
    Ok(())
}

fn give_back(plan: &Plan, part: &Return, out: &mut Vec<u8>) -> Result<()> {
    let invoice = &plan.orders[part.order].invoice;
    let return_id = derive("return", &format!("{}:{invoice}", part.invoice));
    let lines: Vec<Value> = part.lines.iter().map(|(line, quantity)| json!({ "line": line, "quantity": quantity })).collect();
    let data = json!({
        "lines": lines,
        "reason": format!("Credit note {}", part.invoice),
        "return_id": return_id,
        "occurred_at": instant(part.at),
    });
    write(out, "return-order", order_id(invoice), format!("import:{return_id}:return"), data)
}

fn pounds(pence: u64) -> Value {
    json!({ "minor": pence, "currency": "GBP" })
}

fn instant(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::super::plan::OrderLine;
    use super::*;

    fn plan() -> Plan {
        let at = NaiveDate::from_ymd_opt(2010, 12, 1).unwrap().and_hms_opt(8, 26, 0).unwrap();
        let line = OrderLine { source: 2, product: 0, quantity: 6, price: 255 };
        let part = Return { invoice: "C9".into(), at, order: 0, lines: vec![(1, 2)], sources: vec![3] };
        Plan {
            users: vec![User { customer: "17850".into(), since: at }],
            products: vec![Product { sku: "BANK CHARGES".into(), name: "Charges".into(), price: 255, since: at }],
            orders: vec![Order { invoice: "536365".into(), at, user: Some(0), lines: vec![line], returns: 1 }],
            returns: vec![part],
            ..Plan::default()
        }
    }

    fn lines(phase: Phase, from: usize) -> Vec<Value> {
        let mut out = Vec::new();
        phase.render(&plan(), 0, from, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_same_data_gives_the_same_ids_for_ever() {
        assert_eq!(user_id("17850").to_string(), "238fd371-71fd-5354-92c2-6352031104b2");
        assert_ne!(user_id("1"), product_id("1"));
    }

    #[test]
    fn an_order_is_placed_confirmed_shipped_and_delivered() {
        let commands: Vec<_> =
            lines(Phase::Orders, 0).into_iter().map(|line| line["command"].as_str().unwrap().to_owned()).collect();
        assert_eq!(commands, ["place-order", "confirm-order", "ship-order", "deliver-order"]);
        assert_eq!(commands.len(), Phase::Orders.commands_per_job());
        for from in 0..4 {
            assert_eq!(lines(Phase::Orders, from).len(), 4 - from, "resending goes on where it stopped");
        }
        let placed = &lines(Phase::Orders, 0)[0]["data"];
        assert_eq!(placed["occurred_at"], "2010-12-01T08:26:00Z");
        assert_eq!(placed["lines"][0]["unit_price"], json!({ "minor": 255, "currency": "GBP" }));
    }

    #[test]
    fn keys_have_no_spaces_even_when_codes_have() {
        for phase in Phase::ALL {
            for line in lines(phase, 0) {
                let key = line["key"].as_str().unwrap();
                assert!(key.len() <= 128 && key.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
            }
        }
    }

    #[test]
    fn expects_every_stream_at_its_last_version() {
        let versions: Vec<_> = expected(&plan()).iter().map(|stream| (stream.segment, stream.version)).collect();
        assert_eq!(versions, [("users", 1), ("products", 1), ("orders", 5)]);
    }
}
