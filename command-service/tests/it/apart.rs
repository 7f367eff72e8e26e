//! Contexts in processes of their own: what orders ask of the others, and what a process says of what it does not run.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Database, Instance, Launch, eventually, id, money, product_body, proxy::Proxy, service, staff, user_body,
};

/// A process with some contexts on a database of its own, which none of the settings for all contexts names.
fn launch(database: &Database, contexts: &str) -> Launch {
    let launch = Launch::new("").without("DATABASE_URL").env("COMMAND_CONTEXTS", contexts);
    contexts
        .split(',')
        .fold(launch, |launch, context| launch.env(&format!("DATABASE_URL_{}", context.to_uppercase()), &database.url))
}

/// Users and products in two processes, and a third with orders that reaches each through a proxy.
struct Apart {
    users: Instance,
    products: Instance,
    orders: Instance,
    to_users: Proxy,
    to_products: Proxy,
    databases: [Database; 3],
}

async fn apart() -> Apart {
    let databases = [Database::create().await, Database::create().await, Database::create().await];
    let (users, products) =
        tokio::join!(launch(&databases[0], "users").start(), launch(&databases[1], "products,payments").start());
    let address = |instance: &Instance| instance.url.trim_start_matches("http://").to_owned();
    let (to_users, to_products) = tokio::join!(Proxy::start(address(&users)), Proxy::start(address(&products)));
    let orders = launch(&databases[2], "orders")
        .env("COMMAND_SERVICE_URL_USERS", &format!("http://127.0.0.1:{}", to_users.port))
        .env("COMMAND_SERVICE_URL", &format!("http://127.0.0.1:{}/", to_products.port))
        .start()
        .await;
    Apart { users, products, orders, to_users, to_products, databases }
}

impl Apart {
    async fn place(&self, number: u128, user: u128, lines: &Value) -> Answer {
        self.orders.post("/v1/orders", &staff(), &json!({ "id": id(number), "user_id": id(user), "lines": lines })).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_know_of_users_and_products_that_run_elsewhere() {
    let apart = apart().await;
    assert_eq!(apart.users.post("/v1/users", &staff(), &user_body(id(1), "ann@example.org")).await.status, 201);
    let method = json!({ "method": "pm_1" });
    let path = format!("/v1/users/{}/payment-method", id(1));
    let put = apart.users.request(Method::PUT, &path, &staff()).json(&method);
    assert_eq!(Answer::to(put).await.status, 200);
    assert_eq!(apart.products.post("/v1/products", &staff(), &product_body(id(2), "A")).await.status, 201);
    let changed = apart.products.request(Method::PATCH, &format!("/v1/products/{}", id(2)), &staff());
    assert_eq!(Answer::to(changed.json(&json!({ "price": money(300) }))).await.status, 200);

    // The same product on more lines than one question may have ids.
    let line = json!({ "product_id": id(2), "quantity": 1 });
    let lines = Value::from(vec![line.clone(); 1_500]);
    assert_eq!(apart.place(10, 1, &lines).await.status, 201);
    let state = apart.orders.get(&format!("/v1/orders/{}/events", id(10)), &staff()).await.json();
    let placed = &state["events"][0]["data"];
    assert_eq!((&placed["payment_method"], &placed["total"]), (&json!("pm_1"), &json!(450_000)), "{}", placed["total"]);
    assert_eq!(placed["lines"][0]["product_version"], 2, "{}", placed["lines"][0]);

    let unknown = json!([line, { "product_id": id(3), "quantity": 1 }]);
    assert_eq!(apart.place(11, 1, &unknown).await.rule(), "UnknownProduct");
    assert_eq!(apart.place(12, 4, &json!([line])).await.rule(), "UnknownUser");
    // What did not exist a moment ago may exist now.
    assert_eq!(apart.products.post("/v1/products", &staff(), &product_body(id(3), "B")).await.status, 201);
    assert_eq!(apart.place(11, 1, &unknown).await.status, 201);
    // What did exist is known for a second.
    assert_eq!(apart.users.post(&format!("/v1/users/{}/deactivate", id(1)), &staff(), &json!({})).await.status, 200);
    let mut number = 100;
    eventually("the user may not order any more", async || {
        number += 1;
        apart.place(number, 1, &json!([line])).await.status == 422
    })
    .await;
    // Each database has what belongs to its contexts, and nothing else.
    for (database, contexts) in apart.databases.iter().zip([&["users"][..], &["payments", "products"], &["orders"]]) {
        let pool = database.pool("public").await;
        let schemas = "SELECT schemaname::text FROM pg_tables WHERE tablename = 'events' ORDER BY 1";
        let schemas: Vec<String> = sqlx::query_scalar(schemas).fetch_all(&pool).await.unwrap();
        assert_eq!(schemas, contexts);
        pool.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_priced_is_refused_for_now_and_the_others_go_on() {
    let apart = apart().await;
    apart.products.post("/v1/products", &staff(), &product_body(id(2), "A")).await;
    apart.users.post("/v1/users", &staff(), &user_body(id(1), "ann@example.org")).await;
    let lines = json!([{ "product_id": id(2), "quantity": 1 }]);
    assert_eq!(apart.place(10, 1, &lines).await.status, 201);
    for (proxy, context) in [(&apart.to_products, "products"), (&apart.to_users, "users")] {
        proxy.cut();
        let mut number = 100;
        // What was asked a moment ago is still known.
        eventually("an order is refused", async || {
            number += 1;
            let answer = apart.place(number, 1, &lines).await;
            let refused = answer.status == 503;
            if refused {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!((&answer.json()["context"], answer.json()["rule"].is_null()), (&json!(context), true), "{answer:?}");
            }
            refused
        })
        .await;
        let line = json!({ "command": "place-order", "id": id(200), "data": { "user_id": id(1), "lines": lines } });
        let answers = apart.orders.commands(&staff(), &[line]).await;
        assert_eq!(answers[0]["status"], 503, "{answers:?}");
        // It is shown, and no reason to send requests elsewhere: there is more to do than to place orders.
        eventually("ready shows it", async || {
            let ready = apart.orders.get("/ready", "").await;
            assert_eq!(ready.status, 200, "{ready:?}");
            ready.json()["checks"][format!("context-{context}")]["status"] == "degraded"
        })
        .await;
        proxy.restore();
        eventually("orders are taken again", async || apart.place(11, 1, &lines).await.status != 503).await;
    }
    let confirmed = apart.orders.post(&format!("/v1/orders/{}/confirm", id(10)), &staff(), &json!({})).await;
    assert_eq!(confirmed.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_which_contexts_it_does_not_run() {
    let database = Database::create().await;
    let payments = launch(&database, "payments").start().await;
    let elsewhere = |answer: &Answer, context: &str| {
        let problem = answer.json();
        assert_eq!((answer.status, &problem["context"]), (421, &json!(context)), "{answer:?}");
        assert_eq!(problem["type"], "https://orderflow.dev/problems/context-elsewhere");
    };
    // Before the body is read.
    elsewhere(&payments.post("/v1/users", &staff(), &json!({ "nonsense": 1 })).await, "users");
    elsewhere(&payments.post(&format!("/v1/orders/{}/confirm", id(1)), &staff(), &json!({})).await, "orders");
    elsewhere(&payments.get(&format!("/v1/products/{}/events", id(1)), &staff()).await, "products");
    elsewhere(&payments.get(&format!("/v1/orders/{}/state", id(1)), &staff()).await, "orders");
    elsewhere(&payments.get("/v1/feed?context=orders&lane=0", &service()).await, "orders");
    elsewhere(&payments.get("/v1/lanes?context=users", &service()).await, "users");
    elsewhere(&payments.post("/v1/personal-keys", &service(), &json!({ "ids": [] })).await, "users");
    elsewhere(&payments.post("/v1/quotes", &service(), &json!({ "ids": [id(1)] })).await, "products");
    elsewhere(&payments.post("/v1/payers", &service(), &json!({ "ids": [id(1)] })).await, "users");
    let request = json!({ "attempt_id": id(1), "order_id": id(5), "amount": money(100), "method": "pm_1" });
    let lines = [
        json!({ "command": "create-product", "data": { "sku": "A", "name": "A", "price": money(1) } }),
        json!({ "command": "request-payment", "id": id(60), "data": request }),
    ];
    let answers = payments.commands(&staff_and_service(), &lines).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(421), Some(201)], "{answers:?}");
    assert_eq!(payments.get("/v1/lanes?context=payments", &service()).await.status, 200);
    let checks: BTreeMap<String, Value> =
        serde_json::from_value(payments.get("/ready", "").await.json()["checks"].take()).unwrap();
    assert_eq!(checks.keys().collect::<Vec<_>>(), ["postgres"]);
}

fn staff_and_service() -> String {
    use service_kit::auth::Role::{Service, Staff};
    crate::harness::token("both", &[Staff, Service])
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_leave_a_context_without_its_needs_are_refused() {
    let database = Database::create().await;
    let refused = |launch: Launch, setting: &str| {
        let output = launch.output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(64) && said.contains(setting), "{setting}: {output:?}");
    };
    refused(launch(&database, "orders"), "COMMAND_SERVICE_URL_USERS");
    let orders = || launch(&database, "orders").env("COMMAND_SERVICE_URL_USERS", "http://127.0.0.1:1");
    refused(orders(), "COMMAND_SERVICE_URL_PRODUCTS");
    refused(orders().env("COMMAND_SERVICE_URL", "127.0.0.1:1"), "COMMAND_SERVICE_URL");
    refused(launch(&database, "payments").without("DATABASE_URL_PAYMENTS"), "DATABASE_URL_PAYMENTS");
    // With products beside them orders ask for users alone.
    launch(&database, "orders,products").env("COMMAND_SERVICE_URL_USERS", "http://127.0.0.1:1").start().await.stop().await;
}
