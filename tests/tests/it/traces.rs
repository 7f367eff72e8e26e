//! One trace from the command to the read model and on, told to a collector; logs beside it; and a collector that is away.

mod failing;
mod shop;
mod tree;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};
use system_tests::{
    binaries,
    client::token,
    collector::{Collector, SpanKind},
    process::Process,
    stack::JWT_SECRET,
    wait::until,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::verify::{orderctl, said};
use shop::Shop;
use tree::Tree;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The caller's header, sampled or not.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// A way down a tree: services and the names of their spans.
type Way = Vec<(&'static str, String)>;

fn way(steps: &[(&'static str, &str)]) -> Way {
    steps.iter().map(|(service, name)| (*service, (*name).to_owned())).collect()
}

#[tokio::test]
async fn one_trace_goes_from_the_command_to_the_read_model_and_on() {
    let shop = Shop::open().await;
    // What is not sampled is told by nobody, however far it goes.
    let silent = shop.place(&format!("00-{}-{CALLER}-00", "5".repeat(32))).await;
    shop.confirmed(silent).await;
    let order = shop.place(&traceparent("01")).await;
    shop.confirmed(order).await;
    let read = shop.read(order, &traceparent("01")).await;
    assert_eq!(read["status"], "confirmed", "{read}");

    for way in ways(&shop) {
        until(&format!("{way:?} is told"), PATIENCE, async || {
            let tree = Tree::new(shop.collector.spans(), TRACE);
            tree.find(CALLER, &way).map(drop)
        })
        .await;
    }
    let tree = Tree::new(shop.collector.spans(), TRACE);
    command(&tree);
    batches(&tree, &shop);
    webhook(&tree, &shop);
    let reading = tree.at(CALLER, &way(&[("query-service", "GET /v1/orders/{id}")]));
    assert_eq!(reading.attributes["http.response.status_code"], "200", "{reading:?}");
    log_levels(&shop).await;
    // Nothing else was told: neither of the other order, nor of what services ask each other all the time.
    let strangers = tree.strangers();
    assert!(strangers.is_empty(), "{strangers:?}");
}

fn placing() -> Way {
    way(&[("command-service", "POST /v1/orders"), ("command-service", "place-order")])
}

/// All that has to be in the trace.
fn ways(shop: &Shop) -> Vec<Way> {
    let from = |beginning: &Way, rest: &[(&'static str, &str)]| [beginning.clone(), way(rest)].concat();
    let [orders, products, payments] = ["orders", "products", "payments"].map(|context| shop.topic(context));
    let told = |topic: &str| [format!("send {topic}"), format!("process {topic}")];
    let placing = placing();
    let mut ways: Vec<Way> = ["wait", "decide", "commit"].map(|phase| from(&placing, &[("command-service", phase)])).to_vec();
    let [sent, processed] = told(&orders);
    ways.push(from(&placing, &[("command-service", &sent)]));
    // To the read model, and to whoever reacts to it.
    ways.extend(["projector", "fulfilment", "notifier"].map(|reader| from(&placing, &[(reader, &processed)])));
    ways.push(from(&placing, &[("notifier", "deliver webhook"), ("notifier", "POST")]));
    // The saga's steps, their commands, and what those cause.
    for (step, route, command, topic) in [
        ("reserve", "POST /v1/products/{id}/reservations", "reserve-stock", &products),
        ("authorise", "POST /v1/payments", "request-payment", &payments),
        ("authorise", "POST /v1/payments/{id}/authorise", "authorise-payment", &payments),
        ("confirm", "POST /v1/orders/{id}/confirm", "confirm-order", &orders),
    ] {
        let step = from(&placing, &[("fulfilment", step), ("fulfilment", "POST")]);
        let command = from(&step, &[("command-service", route), ("command-service", command)]);
        let [sent, processed] = told(topic);
        ways.push(from(&command, &[("command-service", &sent)]));
        ways.push(from(&command, &[("projector", &processed)]));
    }
    let asked = [("fulfilment", "authorise"), ("fulfilment", "POST"), ("payment-sandbox", "POST /v1/authorisations")];
    ways.push(from(&placing, &asked));
    ways.push(way(&[("query-service", "GET /v1/orders/{id}")]));
    ways
}

/// The request and its command say what they were.
fn command(tree: &Tree) {
    let request = tree.at(CALLER, &placing()[..1]);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/orders"),
        ("url.path", "/v1/orders"),
        ("url.scheme", "http"),
        ("http.response.status_code", "201"),
    ] {
        assert_eq!(request.attributes[key], value, "{request:?}");
    }
    assert_eq!(request.kind, SpanKind::Server);
    let command = tree.at(CALLER, &placing());
    for phase in ["wait", "decide", "commit"] {
        let phase = tree.at(&command.span_id, &way(&[("command-service", phase)]));
        assert!(command.time.0 <= phase.time.0 && phase.time.1 <= command.time.1, "{phase:?} in {command:?}");
    }
}

/// Work that was done for many traces at once is linked to each of them, both ways.
fn batches(tree: &Tree, shop: &Shop) {
    let topic = shop.topic("orders");
    let command = tree.at(CALLER, &placing());
    let sent = tree.at(&command.span_id, &way(&[("command-service", &format!("send {topic}"))]));
    let processed = tree.at(&command.span_id, &way(&[("projector", &format!("process {topic}"))]));
    for (member, service, batch) in [
        (command, "command-service", "append orders".to_owned()),
        (sent, "command-service", format!("send batch {topic}")),
        (processed, "projector", format!("process batch {topic}")),
    ] {
        let (trace, id) = member.links.first().unwrap_or_else(|| panic!("{member:?} has no link"));
        let batch = tree.batch(service, &batch, id);
        assert_eq!((&batch.trace_id, &*batch.parent), (trace, ""), "{batch:?}");
        assert_ne!(trace, TRACE);
        // To the command itself, which is also what caused its messages.
        let back = (TRACE.to_owned(), command.span_id.clone());
        assert!(batch.links.contains(&back), "{batch:?} of {member:?}");
    }
    assert_eq!((sent.kind, processed.kind), (SpanKind::Client, SpanKind::Consumer));
    for span in [sent, processed] {
        assert_eq!((&*span.attributes["messaging.system"], &*span.attributes["messaging.destination.name"]), ("kafka", &*topic));
    }
    assert!(processed.attributes.contains_key("messaging.consumer.group.name"), "{processed:?}");
    let failed = [command, sent, processed].into_iter().find(|span| span.has_failed);
    assert!(failed.is_none() && command.attributes["orderflow.outcome"] == "accepted", "{failed:?} {command:?}");
    let call = tree.of_batch(&processed.links[0].1);
    assert_eq!((&*call.name, &*call.attributes["db.system.name"]), ("EXEC", "redis"), "{call:?}");
}

/// An operator changes what all instances of a service log.
async fn log_levels(shop: &Shop) {
    let changed = orderctl(&shop.stack, &["log-level", "--service", "projector", "info,projector=debug"]).await;
    assert!(changed.status.success() && said(&changed).ends_with(": projector=debug,info\n"), "{}", said(&changed));
    let all = said(&orderctl(&shop.stack, &["log-level"]).await);
    let shown = |service: &str| all.lines().find(|line| line.starts_with(service)).unwrap_or_default().to_owned();
    assert!(shown("projector").ends_with(": projector=debug,info"), "{all}");
    for service in ["command-service", "query-service", "fulfilment"] {
        assert!(shown(service).ends_with(": info"), "{all}");
    }
    let wrong = orderctl(&shop.stack, &["log-level", "loud"]).await;
    assert!(!wrong.status.success() && said(&wrong).contains("loud"), "{}", said(&wrong));
}

/// Whoever hears of it can go on with the trace.
fn webhook(tree: &Tree, shop: &Shop) {
    let received = shop.webhook.deliveries().into_iter().find(|delivery| delivery.traceparent.contains(TRACE)).unwrap();
    let told = [placing(), way(&[("notifier", "deliver webhook"), ("notifier", "POST")])].concat();
    assert_eq!(received.traceparent, format!("00-{TRACE}-{}-01", tree.at(CALLER, &told).span_id));
}

/// A service that needs no other, with these settings beside its own.
async fn sandbox(directory: &TempDir, settings: &[(&str, &str)]) -> Process {
    let own = [("JWT_SECRET", JWT_SECRET), ("SANDBOX_KEY", "a-key"), ("SHUTDOWN_TIMEOUT", "60")];
    let environment = own.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut process = Process::new("payment-sandbox", binaries::program("payment-sandbox"), environment, directory.path());
    process.start().await;
    process
}

/// Asks it for something that it may have, in our trace.
async fn ask(service: &Process) -> StatusCode {
    let request = reqwest::Client::new().get(format!("{}/v1/book", service.url())).bearer_auth(token());
    request.header("traceparent", traceparent("01")).send().await.unwrap().status()
}

/// Asks it for something that it never answers, and goes away.
async fn give_up(service: &Process) {
    let body = json!({"amount": {"minor": 100, "currency": "GBP"}, "method": "pm_card"});
    let url = format!("{}/v1/authorisations", service.url());
    let request = reqwest::Client::new().post(url).bearer_auth("a-key").header("traceparent", traceparent("01"));
    let request = request.header("Idempotency-Key", "gone").header("Sandbox-Behaviour", "hangs").json(&body);
    let asking = tokio::spawn(request.send());
    until("it is asked", PATIENCE, async || {
        let calls = reqwest::Client::new().get(format!("{}/v1/calls?key=gone", service.url())).bearer_auth(token());
        let calls = calls.header("traceparent", traceparent("00")).send().await.unwrap().text().await.unwrap();
        calls.contains("gone").then_some(())
    })
    .await;
    asking.abort();
    let gone = r#"route="/v1/authorisations",status="499"} 1"#;
    until("the client is missed", PATIENCE, async || {
        let metrics = reqwest::get(format!("{}/metrics", service.url())).await.unwrap().text().await.unwrap();
        metrics.contains(gone).then_some(())
    })
    .await;
}

async fn log_level(service: &Process, token: &str, body: Option<Value>) -> (u16, Value) {
    let method = if body.is_some() { Method::PUT } else { Method::GET };
    let request = reqwest::Client::new().request(method, format!("{}/admin/log-level", service.url())).bearer_auth(token);
    let request = if let Some(body) = body { request.json(&body) } else { request };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_process_that_ends_tells_what_it_has_not_told() {
    let (collector, directory) = (Collector::start().await, tempfile::tempdir().unwrap());
    // So that nothing but the end makes it tell.
    let never = [("OTEL_BSP_SCHEDULE_DELAY", "3600000"), ("OTEL_BLRP_SCHEDULE_DELAY", "3600000")];
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint), ("OTEL_SERVICE_NAME", "money")];
    let mut sandbox = sandbox(&directory, &[&settings[..], &never].concat()).await;
    assert_eq!(ask(&sandbox).await, 200);
    give_up(&sandbox).await;
    assert!(collector.spans().is_empty() && collector.records().is_empty());
    sandbox.signal(Signal::TERM);
    assert_eq!(sandbox.ended(PATIENCE).await.code(), Some(0));
    let spans = collector.spans();
    let names: Vec<_> = spans.iter().map(|span| (&*span.service, &*span.name, &*span.trace_id)).collect();
    assert_eq!(names, [("money", "GET /v1/book", TRACE), ("money", "POST /v1/authorisations", TRACE)]);
    let gone = &spans[1];
    assert!(gone.has_failed && gone.attributes["error.type"] == "client-gone", "{gone:?}");
    for (key, value) in [("http.request.method", "POST"), ("http.route", "/v1/authorisations")] {
        assert_eq!(gone.attributes[key], value, "{gone:?}");
    }
    let lines = collector.records();
    for body in ["listening", "shutting down", "stopped"] {
        assert!(lines.iter().any(|line| line.body == body && line.service == "money"), "{body} in {lines:?}");
    }
}

#[tokio::test]
async fn a_process_that_cannot_start_tells_why() {
    let (collector, directory) = (Collector::start().await, tempfile::tempdir().unwrap());
    let settings = [
        ("JWT_SECRET", JWT_SECRET),
        ("SANDBOX_KEY", "a-key"),
        ("BOOK_FILE", "/nowhere/book.jsonl"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint),
    ];
    let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut process = Process::new("payment-sandbox", binaries::program("payment-sandbox"), environment, directory.path());
    // It waits half a second for the collector, which may be too short for a busy machine.
    let told = loop {
        process.spawn();
        assert_eq!(process.ended(PATIENCE).await.code(), Some(1));
        if let Some(told) = collector.records().into_iter().find(|line| line.body == "cannot start") {
            break told;
        }
    };
    assert!(told.severity == "ERROR" && told.attributes["error"].contains("/nowhere"), "{told:?}");
}

#[tokio::test]
async fn what_is_logged_changes_while_all_runs_and_lines_know_their_trace() {
    let (collector, directory) = (Collector::start().await, tempfile::tempdir().unwrap());
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint), ("OTEL_BLRP_SCHEDULE_DELAY", "100")];
    let sandbox = sandbox(&directory, &settings).await;
    let operator = mint(&Secret::new(JWT_SECRET), "olga", &[Role::Admin], PATIENCE).unwrap();
    assert_eq!(log_level(&sandbox, &operator, None).await, (200, json!({"filter": "info"})));
    assert_eq!(ask(&sandbox).await, 200);

    let staff = mint(&Secret::new(JWT_SECRET), "sam", &[Role::Staff], PATIENCE).unwrap();
    assert_eq!(log_level(&sandbox, &staff, Some(json!({"filter": "debug"}))).await.0, 403);
    for wrong in ["loud", "", "payment_sandbox=loud"] {
        let (status, problem) = log_level(&sandbox, &operator, Some(json!({"filter": wrong}))).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/filter")), "{wrong}: {problem}");
    }
    let (status, problem) = log_level(&sandbox, &operator, Some(json!({"level": "debug"}))).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/level")), "{problem}");
    assert_eq!(log_level(&sandbox, &operator, None).await.1, json!({"filter": "info"}));

    let changed = log_level(&sandbox, &operator, Some(json!({"filter": "info,service_kit=debug"}))).await;
    assert_eq!(changed, (200, json!({"filter": "service_kit=debug,info"})));
    assert_eq!(ask(&sandbox).await, 200);
    let requests = until("the request is a log line", PATIENCE, async || {
        let lines = collector.records();
        let requests: Vec<_> =
            lines.into_iter().filter(|line| line.attributes.get("http.path").is_some_and(|path| path == "/v1/book")).collect();
        (!requests.is_empty()).then_some(requests)
    })
    .await;
    // The first was not logged: one line a request at most, and that of the second alone.
    let [line] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&*line.service, &*line.severity, &*line.trace_id), ("payment-sandbox", "DEBUG", TRACE), "{line:?}");
    // Who has silenced it is the last that it says, and who ended the silence the first.
    assert_eq!(log_level(&sandbox, &operator, Some(json!({"filter": "off"}))).await.0, 200);
    assert_eq!(log_level(&sandbox, &operator, Some(json!({"filter": "info"}))).await.0, 200);
    let changes = until("all changes are told", PATIENCE, async || {
        let told = collector.records().into_iter().filter(|line| line.body == "what is logged changes");
        let told: Vec<_> =
            told.map(|line| ["operator", "log.former", "log.filter"].map(|key| line.attributes[key].clone())).collect();
        (told.len() >= 3).then_some(told)
    })
    .await;
    let loud = "service_kit=debug,info";
    assert_eq!(changes, [["olga", "info", loud], ["olga", loud, "off"], ["olga", "off", "info"]]);
    let file = std::fs::read_to_string(directory.path().join("payment-sandbox.log")).unwrap();
    assert!(file.lines().any(|line| line.contains("/v1/book") && line.contains(TRACE)), "{file}");
}

#[tokio::test]
async fn a_collector_that_is_away_never_answers_or_refuses_holds_nothing_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}", silent.local_addr().unwrap());
    let picky = Collector::picky().await;
    for (endpoint, complains) in [
        ("http://127.0.0.1:1", "the collector takes no telemetry"),
        (&*hangs, "the collector takes no telemetry"),
        (&*picky.endpoint, "the collector refuses some telemetry"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
        let mut sandbox = sandbox(&directory, &settings).await;
        until("spans are lost", PATIENCE, async || {
            assert_eq!(ask(&sandbox).await, 200);
            let metrics = reqwest::get(format!("{}/metrics", sandbox.url())).await.unwrap().text().await.unwrap();
            let labels = [r#"signal="traces""#, r#"cause="not-taken""#];
            let mut lines = metrics.lines().filter(|line| line.starts_with("orderflow_telemetry_dropped_total{"));
            let lost = lines.find(|line| labels.iter().all(|label| line.contains(label)))?.rsplit_once(' ')?.1;
            (lost.parse::<f64>().unwrap() > 0.0).then_some(())
        })
        .await;
        until("that is complained of", PATIENCE, async || {
            let log = std::fs::read_to_string(directory.path().join("payment-sandbox.log")).unwrap();
            let complaint = |line: &str| line.contains(complains) && line.contains(r#""signal":"traces""#);
            log.lines().any(complaint).then_some(())
        })
        .await;
        sandbox.signal(Signal::TERM);
        assert_eq!(sandbox.ended(PATIENCE).await.code(), Some(0), "{endpoint}");
    }
}
