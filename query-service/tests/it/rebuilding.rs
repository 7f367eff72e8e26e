//! A read model that is not complete: what is there is served, and what is not there is not said to be missing.

use events::Context;
use service_kit::auth::Role;

use crate::harness::{
    Shop, customer, eventually,
    samples::{id, order, product},
    staff, token,
};

impl Shop {
    /// Says of the slot of `of` where it is and where it has to be.
    async fn says(&self, context: Context, of: u128, goal: &str, offset: &str) {
        let state = self.slot(context, id(of)).state();
        self.command(redis::cmd("HSET").arg(state).arg(&["goal", goal, "offset", offset])).await;
    }
}

#[tokio::test]
async fn a_view_that_is_not_found_is_missing_only_where_everything_is_there() {
    let shop = Shop::open().await;
    shop.put_order(&order(1, Some(7))).await;
    let (found, missing) = (format!("/v1/orders/{}", id(1)), format!("/v1/orders/{}", id(2)));
    assert_eq!(shop.get(&missing, &staff()).await.status, 404);
    for (of, goal, offset) in [(2, "60", "30"), (1, "60", "30")] {
        shop.says(Context::Orders, of, goal, offset).await;
    }
    let answer = shop.get(&missing, &staff()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], "https://orderflow.dev/problems/rebuilding");
    assert_eq!(problem["context"], "orders");
    // One slot or two, and the others at offset 10 with nothing to do.
    let two = problem["to_do"] == 60;
    assert_eq!(problem["done"], if two { 110 } else { 90 }, "{problem}");
    assert_eq!(problem["percent"], if two { 64 } else { 75 }, "{problem}");
    let updates = |path: &str| format!("{path}/updates");
    let refused = shop.get(&updates(&missing), &staff()).await;
    assert_eq!((refused.status, &refused.json()["type"]), (503, &problem["type"]));
    // What is there is served; what is another's looks like all that is not there.
    assert_eq!(shop.get(&found, &staff()).await.status, 200);
    assert_eq!(shop.get(&found, &customer(id(7))).await.status, 200);
    assert_eq!(shop.get(&found, &customer(id(8))).await.status, 503);
    assert_eq!(shop.get(&updates(&found), &customer(id(8))).await.status, 503);
    for of in [1, 2] {
        shop.says(Context::Orders, of, "", "60").await;
    }
    assert_eq!(shop.get(&missing, &staff()).await.status, 404);
    assert_eq!(shop.get(&found, &customer(id(8))).await.status, 404);
    for (path, caller) in [(&missing, staff()), (&found, customer(id(8)))] {
        assert_eq!(shop.get(&updates(path), &caller).await.status, 404);
    }
}

#[tokio::test]
async fn lists_and_statistics_wait_for_every_partition() {
    let shop = Shop::open().await;
    shop.put_order(&order(1, Some(7))).await;
    shop.put_product(&product(3, "Lantern", 5)).await;
    let paths =
        ["/v1/orders".to_owned(), "/v1/orders?status=placed".to_owned(), format!("/v1/users/{}/orders?status=placed", id(7))];
    for path in &paths {
        assert_eq!(shop.get(path, &staff()).await.json()["items"].as_array().unwrap().len(), 1, "{path}");
    }
    assert_eq!(shop.get("/v1/stats", &staff()).await.status, 200);
    // A slot without any state is one that was emptied and not looked at yet.
    let state = shop.slot(Context::Orders, id(5)).state();
    shop.command(redis::cmd("DEL").arg(&state)).await;
    for path in paths.iter().map(String::as_str).chain(["/v1/stats"]) {
        // Statistics are repeated for a second.
        eventually(async || shop.get(path, &staff()).await.status == 503).await;
        let problem = shop.get(path, &staff()).await.json();
        assert_eq!(problem["type"], "https://orderflow.dev/problems/rebuilding", "{path}");
        assert_eq!((&problem["to_do"], &problem["percent"]), (&serde_json::Value::Null, &serde_json::Value::Null), "{path}");
    }
    // Another context is another matter.
    assert_eq!(shop.get("/v1/products", &token("x", Role::Staff)).await.status, 200);
    shop.says(Context::Orders, 5, "", "1").await;
    for path in paths.iter().map(String::as_str).chain(["/v1/stats"]) {
        eventually(async || shop.get(path, &staff()).await.status == 200).await;
    }
}

#[tokio::test]
async fn a_read_that_waits_gets_what_comes_meanwhile() {
    let shop = Shop::open().await;
    shop.says(Context::Orders, 1, "60", "30").await;
    let path = format!("/v1/orders/{}?min_version=1", id(1));
    let (answer, ()) = tokio::join!(async { shop.get_with(&path, &staff(), &[("Prefer", "wait=30")]).await }, async {
        eventually(async || shop.link.waiting() == 1).await;
        shop.put_order(&order(1, None)).await;
    });
    assert_eq!(answer.version(), 1);
    // And one that waits in vain hears why.
    shop.says(Context::Orders, 2, "60", "30").await;
    for prefer in ["wait=0", "wait=1"] {
        let path = format!("/v1/orders/{}?min_version=1", id(2));
        let answer = shop.get_with(&path, &staff(), &[("Prefer", prefer)]).await;
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (503, &"https://orderflow.dev/problems/rebuilding".into()),
            "{prefer}"
        );
    }
}
