//! Pages are exact: against a model that sorts everything in memory.

use events::Context;
use fastrand::Rng;
use read_model::{OrderStatus, OrderView, ProductStatus, ProductView};

use crate::harness::{
    Shop, customer,
    samples::{day, id, order, payment, product, user},
    staff,
};

/// All ids of a list, page by page.
async fn walk(shop: &Shop, path: &str, token: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = shop.get(&format!("{path}{separator}limit={limit}{cursor}"), token).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let page = answer.json();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(items.len(), limit, "{path}: only the last page may be short");
                cursor = format!("&cursor={next}");
            }
            None => {
                assert!(!items.is_empty() || ids.is_empty(), "{path}: an empty page after a full one");
                return ids;
            }
        }
    }
}

fn random_orders(random: &mut Rng) -> Vec<OrderView> {
    let mut orders = Vec::new();
    for number in 1..=400 {
        // One user has most orders, many have none, some orders are guests'; many are placed at the same time.
        let mut order = order(number, (random.u8(..4) > 0).then(|| 7 + u128::from(random.u8(..3) / 2)));
        order.placed_at = day(random.i64(0..40) - 20);
        order.status = if random.u8(..8) == 0 { random.choice(OrderStatus::ALL).unwrap() } else { OrderStatus::Delivered };
        orders.push(order);
    }
    // Two large indexes that hardly meet, and only at the far end.
    for number in 401..=663 {
        let mut order = order(number, (number % 2 == 0 || number < 404).then_some(9));
        order.status = if number % 2 == 0 { OrderStatus::Delivered } else { OrderStatus::Shipped };
        orders.push(order);
    }
    orders
}

/// What a list of orders should have, newest first.
fn expect_orders(orders: &[OrderView], wanted: impl Fn(&OrderView) -> bool) -> Vec<String> {
    let mut orders: Vec<_> = orders.iter().filter(|order| wanted(order)).collect();
    orders.sort_by_key(|order| std::cmp::Reverse((order.placed_at, order.id)));
    orders.iter().map(|order| order.id.to_string()).collect()
}

#[tokio::test]
async fn every_list_of_orders_is_exact_at_every_page_size() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let shop = Shop::open().await;
    let orders = random_orders(&mut random);
    futures::future::join_all(orders.iter().map(|order| shop.put_order(order))).await;
    let limits = [1 + random.usize(..30), 50, 200];
    let all = expect_orders(&orders, |_| true);
    let of = |number: u128| move |order: &OrderView| order.user_id.is_some_and(|user| user.0 == id(number));
    for limit in limits {
        assert_eq!(walk(&shop, "/v1/orders", &staff(), limit).await, all, "limit {limit}");
        for user in [7, 8, 9] {
            let path = format!("/v1/orders?user={}", id(user));
            assert_eq!(walk(&shop, &path, &staff(), limit).await, expect_orders(&orders, of(user)), "limit {limit}");
        }
    }
    let limit = limits[0];
    for status in OrderStatus::ALL {
        let name = status.name();
        let expected = expect_orders(&orders, |order| order.status == status);
        assert_eq!(walk(&shop, &format!("/v1/orders?status={name}"), &staff(), limit).await, expected, "{name}");
        for user in [7, 8, 9] {
            let expected = expect_orders(&orders, |order| of(user)(order) && order.status == status);
            let path = format!("/v1/orders?user={}&status={name}", id(user));
            assert_eq!(walk(&shop, &path, &staff(), limit).await, expected, "{path}");
            let own = format!("/v1/users/{}/orders?status={name}", id(user));
            assert_eq!(walk(&shop, &own, &customer(id(user)), limit).await, expected, "{own}");
        }
    }
}

fn random_products(random: &mut Rng) -> Vec<ProductView> {
    let names = ["Lantern", "lantern small", "LANTERNS", "Ärmel", "Zinc Box", "lan", "l", "\u{10ffff}rare"];
    (1..=150)
        .map(|number| {
            let mut product = product(number, random.choice(names).unwrap(), random.i64(0..20));
            if random.u8(..10) == 0 {
                product.status = ProductStatus::Discontinued;
            }
            product
        })
        .collect()
}

#[tokio::test]
async fn every_list_of_products_is_exact() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let shop = Shop::open().await;
    let mut products = random_products(&mut random);
    futures::future::join_all(products.iter().map(|product| shop.put_product(product))).await;
    let limit = 1 + random.usize(..30);
    products.sort_by_key(|product| (product.name.to_lowercase(), product.id));
    for prefix in ["", "l", "LAN", "lantern", "lantern ", "ärm", "\u{10ffff}", "nothing"] {
        let wanted = |product: &&ProductView| product.name.to_lowercase().starts_with(&prefix.to_lowercase());
        let expected: Vec<_> = products.iter().filter(wanted).map(|product| product.id.to_string()).collect();
        let query: String = form_urlencoded::byte_serialize(prefix.as_bytes()).collect();
        assert_eq!(walk(&shop, &format!("/v1/products?prefix={query}"), &staff(), limit).await, expected, "{prefix}");
    }
    products.sort_by_key(|product| (product.available, product.id));
    for below in [-1, 0, 1, 5, 19, 100, i64::MAX] {
        let wanted = |product: &&ProductView| product.status == ProductStatus::Active && product.available <= below;
        let expected: Vec<_> = products.iter().filter(wanted).map(|product| product.id.to_string()).collect();
        let path = format!("/v1/products?low_stock={below}");
        assert_eq!(walk(&shop, &path, &staff(), limit).await, expected, "{below}");
    }
}

#[tokio::test]
async fn a_cursor_survives_new_orders_and_dies_with_its_generation() {
    let mut shop = Shop::open().await;
    for number in 1..=5 {
        shop.put_order(&order(number, None)).await;
    }
    let first = shop.get("/v1/orders?limit=2", &staff()).await.json();
    assert_eq!(first["items"][1]["id"], id(4).to_string());
    // A newer order and one that is placed at the time of the cursor do not disturb the pages behind it.
    shop.put_order(&order(9, None)).await;
    let next = format!("/v1/orders?limit=2&cursor={}", first["next"].as_str().unwrap());
    let second = shop.get(&next, &staff()).await.json();
    assert_eq!((&second["items"][0]["id"], &second["items"][1]["id"]), (&id(3).to_string().into(), &id(2).to_string().into()));
    shop.build(Context::Orders, 2).await;
    let gone = shop.get(&next, &staff()).await;
    assert_eq!((gone.status, &gone.json()["type"]), (410, &"https://orderflow.dev/problems/cursor-expired".into()));
    // A cursor of another list is no cursor here.
    let other = shop.get(&next.replace("orders", "products"), &staff()).await;
    assert_eq!((other.status, &other.json()["errors"][0]["parameter"]), (400, &"cursor".into()));
}

#[tokio::test]
async fn a_user_is_found_by_e_mail_in_any_case() {
    let shop = Shop::open().await;
    for number in 1..=20 {
        shop.put_user(&user(number, &format!("User{number}@Example.org"))).await;
    }
    let found = shop.get("/v1/users?email=uSER13%40example.ORG", &staff()).await.json();
    assert_eq!((&found["items"][0]["id"], &found["next"]), (&id(13).to_string().into(), &serde_json::Value::Null));
    let nobody = shop.get("/v1/users?email=nobody%40example.org", &staff()).await;
    assert_eq!((nobody.status, &*nobody.body), (200, r#"{"items":[],"next":null}"#));
}

#[tokio::test]
async fn an_orders_payments_are_listed_newest_first_page_by_page() {
    let shop = Shop::open().await;
    shop.put_order(&order(1, Some(7))).await;
    shop.put_order(&order(2, Some(7))).await;
    for number in 10..=30 {
        // Every third is another order's.
        let of_order = if number % 3 == 0 { 2 } else { 1 };
        shop.put_payment(&payment(number, of_order, Some(7))).await;
    }
    for (of_order, is_of_order) in [(1, (|number| number % 3 != 0) as fn(u128) -> bool), (2, |number| number % 3 == 0)] {
        let expected: Vec<_> =
            (10..=30).rev().filter(|number| is_of_order(*number)).map(|number| id(number).to_string()).collect();
        let path = format!("/v1/orders/{}/payments", id(of_order));
        for limit in [1, 3, 200] {
            assert_eq!(walk(&shop, &path, &staff(), limit).await, expected, "limit {limit}");
            assert_eq!(walk(&shop, &path, &customer(id(7)), limit).await, expected, "limit {limit}");
        }
    }
    // To the shop an order without payments, or one that the read model does not have yet, has an empty list.
    let none = shop.get(&format!("/v1/orders/{}/payments", id(99)), &staff()).await;
    assert_eq!((none.status, &*none.body), (200, r#"{"items":[],"next":null}"#));
}
