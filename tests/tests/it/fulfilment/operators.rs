//! What needs a person.

use serde_json::Value;
use system_tests::Plan;

use super::shop::{PRICE, Shop, line, plan};

#[tokio::test]
async fn what_nobody_answers_waits_for_a_person() {
    let environment = vec![("STEP_ATTEMPTS", "6"), ("PAYMENT_PROVIDER_TIMEOUT_MS", "2000")];
    let shop = Shop::open(Plan { fulfilment_environment: environment, ..plan() }).await;
    let product = shop.product(100).await;
    // It fails for ever; it does it and never tells; all is well.
    let (fails, lost, good) = (shop.user("pm_fails").await, shop.user("pm_lost").await, shop.user("pm_card").await);
    let failing = shop.place(Some(fails), &[line(product, 1)]).await;
    let saga = shop.until_stage(failing, &["parked"]).await;
    assert_eq!((&saga["step"]["name"], &saga["step"]["attempts"]), (&Value::from("authorise"), &Value::from(6)));
    let telling = shop.place(Some(lost), &[line(product, 2)]).await;
    shop.until_stage(telling, &["parked"]).await;
    let fine = shop.place(Some(good), &[line(product, 3)]).await;
    shop.until_stage(fine, &["confirmed", "parked"]).await;

    let (listed, _) = shop.orderctl(&["list", "--stage", "parked"]).await;
    assert!([failing, telling].iter().all(|order| listed.contains(&order.to_string())), "{listed}");
    let (failing_id, telling_id) = (failing.to_string(), telling.to_string());
    // It is not done: the order is cancelled.
    let (said, is_well) = shop.orderctl(&["abort", &failing_id, "--reason", "the bank is closed"]).await;
    assert!(is_well, "{said}");
    shop.until_stage(failing, &["cancelled"]).await;
    assert_eq!(shop.order(failing).await.1.unwrap(), "the bank is closed");
    // It is done, as the provider's book says: the order goes on.
    let book = shop.book().await;
    let authorisations = book["authorisations"].as_array().unwrap();
    let amount = |minor: u64| move |one: &&Value| one["amount"]["minor"] == minor;
    let reference = authorisations.iter().find(amount(2 * PRICE)).unwrap()["id"].as_str().unwrap();
    let (said, is_well) = shop.orderctl(&["skip", &telling_id, "--reference", reference]).await;
    assert!(is_well, "{said}");
    shop.until_stage(telling, &["confirmed"]).await;
    // What is nothing for a person any more.
    let (said, is_well) = shop.orderctl(&["retry", &failing_id]).await;
    assert!(!is_well && said.contains("nothing"), "{said}");
    shop.orderctl(&["retry", "--all"]).await;
    shop.until_stage(fine, &["confirmed"]).await;
    let (shown, _) = shop.orderctl(&["show", &failing_id]).await;
    assert!(shown.contains("unknown") && shown.contains("abort") && shown.contains("orderctl"), "{shown}");
    assert_eq!(shop.stock(product).await, (100, 5));
}
