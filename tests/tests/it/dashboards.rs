//! What Grafana shows and Prometheus computes. Every query of every dashboard is asked of a real Prometheus that scrapes real
//! services while orders go through them, and has to have an answer; and what the services export is what docs/METRICS.md says.

mod panels;
mod prometheus;

use std::{collections::BTreeSet, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::json;
use system_tests::{Context::Orders, Plan, client::token, process::Process, wait::until};
use tokio::time::Instant;
use uuid::Uuid;

use self::{panels::Query, prometheus::Prometheus};
use crate::{
    fulfilment::shop::{Shop, line, plan},
    metrics::{CRATES, metric},
    notifier::receiver::{Receiver, secret},
};

/// Longer than anything here takes on a machine that others starve.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn every_panel_has_data_and_every_metric_is_documented() {
    let world = World::start().await;
    let prometheus = Prometheus::start(&world.shop.stack, &world.services()).await;
    let mut open = panels::queries();
    let deadline = Instant::now() + PATIENCE;
    loop {
        world.trade().await;
        open = prometheus.without_answer(open).await;
        if open.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "no data for {open:#?}\n{}", prometheus.tail());
    }
    prometheus.rules_work().await;
    for (job, url) in world.services() {
        is_documented(&job, &reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap());
    }
}

/// A shop with a notifier and an endpoint.
struct World {
    // Dropped in this order.
    notifier: Process,
    receiver: Receiver,
    shop: Shop,
    user: Uuid,
    product: Uuid,
}

impl World {
    async fn start() -> Self {
        let audited = vec![("AUDIT_STREAMS_PER_SECOND", "20")];
        let shop = Shop::open(Plan { projector_environment: audited, ..plan() }).await;
        let mut notifier = shop.stack.notifier(&[]);
        notifier.start().await;
        let receiver = Receiver::start(200).await;
        let (user, product) = (shop.user("pm_card").await, shop.product(10_000).await);
        let world = Self { notifier, receiver, shop, user, product };
        world.subscribe().await;
        world
    }

    async fn subscribe(&self) {
        let http = reqwest::Client::new();
        until("the notifier takes an endpoint", PATIENCE, async || {
            let body = json!({"id": Uuid::now_v7(), "url": self.receiver.url, "event_types": ["order.*"], "secret": secret()});
            let request = http.post(format!("{}/v1/webhooks", self.notifier.url())).bearer_auth(token());
            let answer = request.json(&body).send().await.ok()?;
            (answer.status() == StatusCode::CREATED).then_some(())
        })
        .await;
    }

    /// By the name of its job.
    fn services(&self) -> Vec<(String, String)> {
        let stack = &self.shop.stack;
        [
            ("command-service", stack.commands[0].url()),
            ("query-service", stack.query.url()),
            ("projector", stack.projectors[0].url()),
            ("fulfilment", stack.fulfilments[0].url()),
            ("notifier", self.notifier.url()),
            ("payment-sandbox", stack.sandbox.as_ref().unwrap().url()),
        ]
        .map(|(job, url)| (job.to_owned(), url))
        .to_vec()
    }

    /// An order through its whole life, and somebody who asks for what there is and what there is not.
    async fn trade(&self) {
        let shop = &self.shop;
        let before = self.receiver.ids().len();
        let order = shop.place(Some(self.user), &[line(self.product, 1)]).await;
        shop.until_stage(order, &["confirmed"]).await;
        shop.send("ship-order", order, json!({"carrier": "Post"})).await.accepted();
        shop.until_stage(order, &["fulfilled"]).await;
        for path in
            [format!("/v1/orders/{order}?min_version=3"), "/v1/stats".to_owned(), format!("/v1/orders/{}", Uuid::now_v7())]
        {
            shop.client.reading(&path).send().await.unwrap();
        }
        let (status, _) = shop.ask(Method::GET, "/v1/sagas", "no-token", None).await.unwrap();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        shop.state(Orders, order).await;
        until("the endpoint hears of the order", PATIENCE, async || (self.receiver.ids().len() > before).then_some(())).await;
    }
}

/// Fails on what a service exports and the tables don't have, or have otherwise.
fn is_documented(job: &str, text: &str) {
    let theirs: BTreeSet<_> = CRATES
        .iter()
        .filter(|of| {
            ["service-kit", job].contains(&of.folder) || (of.folder == "consumer" && ["fulfilment", "notifier"].contains(&job))
        })
        .flat_map(|of| of.metrics.iter().map(|metric| metric.name))
        .collect();
    let mut described = BTreeSet::new();
    let mut last = None;
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            assert!(theirs.contains(name), "{job} exports {name}, and no table of it has that");
            assert_eq!(help, metric(name).unwrap().help, "{job}: {name}");
            described.insert(name);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            assert!(described.contains(name), "{job} exports {name} and does not describe it");
            assert_eq!(kind, metric(name).unwrap().kind.name(), "{job}: {name}");
            last = metric(name);
        } else {
            let metric = last.unwrap();
            for label in labels(line).filter(|label| *label != "le") {
                assert!(
                    metric.labels.contains(&label),
                    "{job}: {} has a label {label} that its table has not: {line}",
                    metric.name
                );
            }
        }
    }
    assert!(described.contains("orderflow_http_requests_total"), "{job}: {text}");
}

/// The names of a sample's labels.
fn labels(sample: &str) -> impl Iterator<Item = &str> {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    // A value may have anything in it but for an unescaped quote, and every name stands right before one.
    inside.split("=\"").map(|piece| piece.rsplit([',', '{']).next().unwrap_or_default()).take(inside.matches("=\"").count())
}

#[test]
fn reads_the_labels_of_a_sample() {
    let names = |sample| labels(sample).collect::<Vec<_>>();
    assert_eq!(names(r#"a_bucket{method="GET",route="/v1/{id}",le="0.1"} 3"#), ["method", "route", "le"]);
    assert!(names("a 1").is_empty());
}

#[test]
fn panels_and_rules_name_what_there_is() {
    let mut named: Vec<(String, String)> =
        panels::queries().into_iter().map(|Query { panel, expression }| (panel, expression)).collect();
    named.extend(prometheus::rules());
    for (place, text) in &named {
        for name in panels::names(text) {
            let known = ["", "_bucket", "_count", "_sum"].iter().any(|part| {
                name.strip_suffix(part)
                    .and_then(metric)
                    .is_some_and(|metric| part.is_empty() || metric.kind.name() == "histogram")
            });
            assert!(known, "{place} asks for {name}, which nothing exports");
        }
    }
}

#[test]
fn dashboards_are_well_formed() {
    panels::check();
}
