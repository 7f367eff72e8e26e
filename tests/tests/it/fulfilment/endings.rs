//! Orders that are not fulfilled: what was done is undone, and the order says why.

use system_tests::Plan;

use super::shop::{PRICE, Shop, line, plan};

#[tokio::test]
async fn what_cannot_be_fulfilled_is_undone_and_cancelled_with_its_reason() {
    let shop = Shop::open(plan()).await;
    let (plenty, scarce) = (shop.product(100).await, shop.product(1).await);
    let (good, bad) = (shop.user("pm_card").await, shop.user("pm_declined").await);

    let declined = shop.place(Some(bad), &[line(plenty, 2), line(scarce, 1)]).await;
    let saga = shop.until_stage(declined, &["cancelled"]).await;
    assert_eq!(saga["ending"]["name"], "declined");
    let (status, reason) = shop.order(declined).await;
    assert_eq!(status, "cancelled");
    assert!(reason.as_ref().unwrap().starts_with("payment declined: "), "{reason:?}");

    let too_many = shop.place(Some(good), &[line(plenty, 3), line(scarce, 2)]).await;
    let saga = shop.until_stage(too_many, &["cancelled"]).await;
    assert_eq!(saga["ending"]["name"], "out-of-stock");
    assert_eq!(shop.order(too_many).await.1.unwrap(), format!("out of stock: product {scarce}"));

    let guest = shop.place(None, &[line(plenty, 1)]).await;
    shop.until_stage(guest, &["cancelled"]).await;
    assert_eq!(shop.order(guest).await.1.unwrap(), "payment declined: no payment method");

    // After it was confirmed, and in the midst of it.
    let late = shop.place(Some(good), &[line(plenty, 4)]).await;
    shop.until_stage(late, &["confirmed"]).await;
    assert_eq!((shop.stock(plenty).await, shop.money().await), ((100, 4), (0, 4 * PRICE)));
    let early = shop.place(Some(good), &[line(plenty, 5)]).await;
    for order in [early, late] {
        shop.cancel(order).await.accepted();
        let saga = shop.until_stage(order, &["cancelled"]).await;
        assert_eq!(saga["ending"]["name"], "cancelled");
        assert_eq!(shop.order(order).await.1.unwrap(), "changed my mind");
    }
    assert_eq!((shop.stock(plenty).await, shop.stock(scarce).await, shop.money().await), ((100, 0), (1, 0), (0, 0)));
}

#[tokio::test]
async fn an_order_whose_payment_is_not_authorised_in_time_is_cancelled_and_what_comes_late_is_given_back() {
    let environment = vec![("PAYMENT_TIMEOUT", "2")];
    let mut shop = Shop::open(Plan { fulfilment_environment: environment, ..plan() }).await;
    let (product, ann) = (shop.product(10).await, shop.user("pm_card").await);
    // For as long as it is away nobody knows what it would say.
    shop.stack.sandbox.as_mut().unwrap().kill();
    let order = shop.place(Some(ann), &[line(product, 2)]).await;
    let saga = shop.until_stage(order, &["ending"]).await;
    assert_eq!(saga["ending"]["name"], "timed-out");
    shop.stack.sandbox.as_mut().unwrap().start().await;
    shop.until_stage(order, &["cancelled"]).await;
    let (status, reason) = shop.order(order).await;
    assert_eq!((status.as_str(), reason.as_deref()), ("cancelled", Some("the payment was not authorised in time")));
    assert_eq!((shop.stock(product).await, shop.money().await), ((10, 0), (0, 0)));
}
