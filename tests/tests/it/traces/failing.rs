//! What was refused, has failed or was dropped amid the work is told as that, and as nothing else.

use rustix::process::Signal;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use system_tests::{collector::Span, wait::until};

use super::{CALLER, PATIENCE, shop::Shop};

/// A trace for each kind of trouble.
const REFUSED: &str = "1af7651916cd43dd8448eb211c80319c";
const FAILED: &str = "2af7651916cd43dd8448eb211c80319c";
const DROPPED: &str = "3af7651916cd43dd8448eb211c80319c";

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-{CALLER}-01")
}

/// A span's outcome, whether it has failed, and as what.
fn fate(span: &Span) -> (Option<&str>, bool, Option<&str>) {
    let of = |key| span.attributes.get(key).map(String::as_str);
    (of("orderflow.outcome"), span.has_failed, of("error.type"))
}

/// The spans of a trace with this name, once there are so many.
async fn told(shop: &Shop, trace: &str, name: &str, count: usize) -> Vec<Span> {
    until(&format!("{count} spans {name} are told"), PATIENCE, async || {
        let spans = shop.collector.spans().into_iter().filter(|span| span.trace_id == trace && span.name == name);
        let spans: Vec<_> = spans.collect();
        (spans.len() >= count).then_some(spans)
    })
    .await
}

#[tokio::test]
async fn what_is_refused_fails_or_is_dropped_is_told_as_that() {
    let mut shop = Shop::open().await;
    refused(&shop).await;
    let mut postgres = PgConnection::connect(&shop.stack.database.url).await.unwrap();
    failed(&shop, &mut postgres).await;
    dropped(&mut shop, &mut postgres).await;
}

/// A broken rule is an answer, though the status of the whole stream says nothing of it.
async fn refused(shop: &Shop) {
    let adjust = |delta: i64| {
        let data = json!({"delta": delta, "reason": "received"});
        json!({"command": "adjust-stock", "id": shop.product, "data": data})
    };
    let lines = [adjust(1), adjust(-1_000_000), json!({"command": "adjust-everything", "data": {}})];
    let statuses = shop.lines(&traceparent(REFUSED), &lines).await;
    assert_eq!(statuses, [200, 422, 400]);
    let commands = told(shop, REFUSED, "adjust-stock", 2).await;
    let mut fates: Vec<_> = commands.iter().map(fate).collect();
    fates.sort_unstable();
    assert_eq!(fates, [(Some("InsufficientStock"), false, None), (Some("accepted"), false, None)], "{commands:?}");
    let lines = told(shop, REFUSED, "refused line", 1).await;
    assert_eq!(lines.iter().map(fate).collect::<Vec<_>>(), [(Some("invalid-request"), false, None)], "{lines:?}");
}

/// A store that takes nothing: the append has failed, and whatever shared it.
async fn failed(shop: &Shop, postgres: &mut PgConnection) {
    refuse_rows(postgres, "products.events").await;
    let line = json!({"command": "adjust-stock", "id": shop.product, "data": {"delta": 1, "reason": "received"}});
    assert_eq!(shop.lines(&traceparent(FAILED), &[line]).await, [500]);
    let commands = told(shop, FAILED, "adjust-stock", 1).await;
    assert_eq!(commands.iter().map(fate).collect::<Vec<_>>(), [(Some("failed"), true, Some("failed"))], "{commands:?}");
    let back = (FAILED.to_owned(), commands[0].span_id.clone());
    let append = until("the append is told", PATIENCE, async || {
        shop.collector.spans().into_iter().find(|span| span.name == "append products" && span.links.contains(&back))
    })
    .await;
    assert_eq!(fate(&append), (None, true, Some("failed")), "{append:?}");
}

/// Work that is given up amid a retry did not succeed.
async fn dropped(shop: &mut Shop, postgres: &mut PgConnection) {
    let (url, retries) = (shop.stack.fulfilments[0].url(), "orderflow_consumer_retries_total");
    let before = shop.stack.metric(&url, retries).await;
    refuse_rows(postgres, "fulfilment.sagas").await;
    shop.place(&traceparent(DROPPED)).await;
    shop.stack.metric_reaches(&url, retries, before + 1.0).await;
    shop.stack.fulfilments[0].signal(Signal::TERM);
    shop.stack.fulfilments[0].ended(PATIENCE).await;
    let name = format!("process {}", shop.topic("orders"));
    let group = format!("{}-fulfilment", shop.stack.name);
    let span = until("the dropped work is told", PATIENCE, async || {
        let mut spans = shop.collector.spans().into_iter();
        spans.find(|span| {
            let is_ours = span.attributes.get("messaging.consumer.group.name") == Some(&group);
            span.trace_id == DROPPED && span.name == name && is_ours
        })
    })
    .await;
    assert_eq!(fate(&span), (None, true, Some("interrupted")), "{span:?}");
}

/// From now on the table takes no row.
async fn refuse_rows(postgres: &mut PgConnection, table: &'static str) {
    let refuse = format!("ALTER TABLE {table} ADD CONSTRAINT takes_nothing CHECK (false) NOT VALID");
    sqlx::query(AssertSqlSafe(refuse)).execute(postgres).await.unwrap();
}
