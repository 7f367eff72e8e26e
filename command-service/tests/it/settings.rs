//! Settings that can't work end the process with a message that names them, before it does anything.

use sqlx::AssertSqlSafe;

use crate::harness::{Database, Launch, eventually, kafka::Topics, staff};

/// Nobody listens there.
const NOWHERE: &str = "postgres://x@127.0.0.1:1/x";

#[test]
fn a_bad_setting_exits_with_64_and_is_named() {
    for (name, value) in [
        ("DATABASE_URL", None),
        ("COMMAND_CONTEXTS", Some("users,invoices")),
        ("COMMAND_CONTEXTS", Some("")),
        ("KAFKA_BROKERS", None),
        ("JWT_SECRET", Some("short")),
        ("PERSONAL_DATA_KEY", None),
        ("PERSONAL_DATA_KEY", Some("c2hvcnQ=")),
        ("PERSONAL_DATA_KEY_FILE", Some("/nonexistent")),
        ("LANES", Some("0")),
        ("LANES", Some("1025")),
        ("RELAY_GROUPS", Some("0")),
        ("RELAY_GROUPS", Some("17")),
        ("RELAY_DELIVERY", Some("maybe")),
        ("TOPIC_PREFIX", Some("order flow")),
        ("TOPIC_PARTITIONS", Some("0")),
        ("TOPIC_REPLICATION", Some("0")),
        ("WRITERS", Some("0")),
        ("MAILBOX", Some("0")),
        ("CACHE_AGGREGATES", Some("0")),
        ("BATCH_COMMANDS", Some("0")),
        ("SNAPSHOT_EVERY", Some("-1")),
        ("HTTP_ADDR", Some("nowhere")),
    ] {
        let launch = Launch::new(NOWHERE);
        let launch = if name == "PERSONAL_DATA_KEY_FILE" { launch.without("PERSONAL_DATA_KEY") } else { launch };
        let output = match value {
            Some(value) => launch.env(name, value),
            None => launch.without(name),
        }
        .output();
        assert_eq!(output.status.code(), Some(64), "{name}={value:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).to_uppercase().replace('-', "_");
        assert!(said.contains(name), "{name}={value:?}: {said}");
        assert!(output.stdout.is_empty(), "something ran before all settings were checked");
    }
}

/// Runs a process that should not come up, and gives what it says.
async fn refused(launch: Launch) -> String {
    let mut process = launch.spawn();
    process.ready_or_ended().await;
    let status = process.try_wait().expect("it does not come up");
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    process.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_not_opened_with_other_settings_than_it_was_made_with() {
    let database = Database::create().await;
    Launch::new(&database.url).start().await.stop().await;
    let said = refused(Launch::new(&database.url).env("LANES", "8")).await;
    assert!(said.contains("LANES=16") && said.contains("says 8"), "{said}");
    let said = refused(Launch::new(&database.url).env("RELAY_GROUPS", "3")).await;
    assert!(said.contains("RELAY_GROUPS=2") && said.contains("says 3"), "{said}");
    Launch::new(&database.url).start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_keeps_the_relay_groups_that_it_was_made_with() {
    for (made_with, groups) in [(Some("3"), 3), (None, 1)] {
        let (database, topics) = (Database::create().await, Topics::new().await);
        let launch = || Launch::new(&database.url).without("RELAY_GROUPS").env("COMMAND_CONTEXTS", "products");
        made_with.map_or_else(launch, |made_with| launch().env("RELAY_GROUPS", made_with)).start().await.stop().await;
        let instance = launch().publishing(&topics).start().await;
        eventually("each group is owned, which takes a partition for its cursor", async || {
            let ready = instance.get("/ready", "").await.body;
            assert_eq!(ready.matches("relay-products-").count(), groups, "{ready}");
            !ready.contains("starting")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_this_build_cannot_read_are_noticed_at_the_start() {
    let database = Database::create().await;
    Launch::new(&database.url).start().await.stop().await;
    let pool = database.pool("orders").await;
    let insert = "INSERT INTO event_types (event_type) VALUES ('order.teleported.v1')";
    sqlx::query(AssertSqlSafe(insert)).execute(&pool).await.unwrap();
    let said = refused(Launch::new(&database.url)).await;
    assert!(said.contains("order.teleported.v1") && said.contains("orders"), "{said}");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_census_lists_each_type_once_it_is_stored() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    let pool = database.pool("products").await;
    let census = async || {
        let types = sqlx::query_scalar("SELECT event_type FROM event_types ORDER BY 1").fetch_all(&pool).await;
        types.unwrap() as Vec<String>
    };
    assert_eq!(census().await, [""; 0]);
    let body = crate::harness::product_body(crate::harness::id(1), "A");
    shop.post("/v1/products", &staff(), &body).await;
    assert_eq!(census().await, ["product.created.v1"]);
    let path = format!("/v1/products/{}/discontinue", crate::harness::id(1));
    shop.post(&path, &staff(), &serde_json::json!({})).await;
    assert_eq!(census().await, ["product.created.v1", "product.discontinued.v1"]);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_do_not_fit_are_noticed_at_the_start() {
    let (database, topics) = (Database::create().await, Topics::new().await);
    Launch::new(&database.url).publishing(&topics).start().await.stop().await;
    let said = refused(Launch::new(&database.url).publishing(&topics).env("TOPIC_PARTITIONS", "4")).await;
    assert!(said.contains("has 3 partitions, not 4") && said.contains("TOPIC_PARTITIONS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_start_at_once_on_an_empty_database() {
    let (database, topics) = (Database::create().await, Topics::new().await);
    let launch = || Launch::new(&database.url).publishing(&topics).start();
    tokio::join!(launch(), launch(), launch());
}
