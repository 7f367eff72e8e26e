//! The gateway before real services: one origin, and nobody notices when an instance behind it goes.

mod availability;
mod measure;
mod nginx;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command as Program,
    sync::Arc,
    time::Duration,
};

use reqwest::{Method, Response, header};
use serde_json::{Value, json};
use system_tests::{
    Client, Command,
    Context::{Orders, Products},
    Plan, Stack, client,
    wait::until,
};
use uuid::Uuid;

use nginx::{Behind, Gateway};

/// Longer than anything here takes on a machine that others starve.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which service has which path, one of each kind.
const ENDPOINTS: [(Method, &str, &str); 37] = [
    (Method::GET, "/v1/orders?limit=3", "queries"),
    (Method::GET, "/v1/orders/ID", "queries"),
    (Method::HEAD, "/v1/orders/ID", "queries"),
    (Method::GET, "/v1/orders/ID/payments", "queries"),
    (Method::GET, "/v1/orders/ID/updates", "queries"),
    (Method::GET, "/v1/users?email=a@b.example", "queries"),
    (Method::GET, "/v1/users/ID/orders", "queries"),
    (Method::GET, "/v1/products/ID", "queries"),
    (Method::GET, "/v1/payments/ID", "queries"),
    (Method::GET, "/v1/updates", "queries"),
    (Method::GET, "/v1/stats", "queries"),
    (Method::GET, "/v1/services", "queries"),
    (Method::GET, "/docs", "queries"),
    (Method::GET, "/openapi.json", "queries"),
    (Method::GET, "/commands/docs", "commands"),
    (Method::GET, "/v1/orders/ID/events", "commands"),
    (Method::GET, "/v1/users/ID/state", "commands"),
    (Method::POST, "/v1/orders", "commands"),
    (Method::POST, "/v1/orders/ID/cancel", "commands"),
    (Method::PATCH, "/v1/users/ID", "commands"),
    (Method::PUT, "/v1/users/ID/payment-method", "commands"),
    (Method::POST, "/v1/products/ID/reservations/ID/release", "commands"),
    (Method::POST, "/v1/payments/ID/captures/ID/confirm", "commands"),
    (Method::POST, "/v1/commands", "commands"),
    (Method::GET, "/v1/orders/ID/journey", "projector"),
    (Method::GET, "/v1/dead-letters/log", "projector"),
    (Method::POST, "/v1/dead-letters/orders/ID/retry", "projector"),
    (Method::GET, "/v1/rebuilds", "projector"),
    (Method::GET, "/v1/rebuilds/orders/differences", "projector"),
    (Method::GET, "/v1/orders/ID/fulfilment", "fulfilment"),
    (Method::GET, "/v1/sagas", "fulfilment"),
    (Method::POST, "/v1/sagas/ID/retry", "fulfilment"),
    (Method::GET, "/v1/webhooks", "notifier"),
    (Method::DELETE, "/v1/webhooks/ID", "notifier"),
    (Method::POST, "/v1/webhooks/ID/deliveries/ID/redeliver", "notifier"),
    (Method::PUT, "/v1/contacts/ID", "notifier"),
    (Method::GET, "/v1/notifications/explain", "notifier"),
];

/// What is for services and operators alone, and what only looks like something else.
const HIDDEN: [(Method, &str); 13] = [
    (Method::GET, "/"),
    (Method::GET, "/metrics"),
    (Method::GET, "/ready"),
    (Method::GET, "/.problem"),
    (Method::POST, "/v1/personal-keys"),
    (Method::POST, "/v1/quotes"),
    (Method::POST, "/v1/payers"),
    (Method::GET, "/v1/feed"),
    (Method::GET, "/v1/lanes"),
    (Method::POST, "/v1/verify"),
    (Method::GET, "//v1//feed"),
    (Method::GET, "/v1/orders/..%2ffeed"),
    (Method::OPTIONS, "/v1/orders/ID/updates"),
];

async fn behind_a_gateway(commands: usize) -> (Stack, Gateway) {
    let stack = Stack::start(Plan { commands, ..Plan::default() }).await;
    let gateway = Gateway::start(&Behind::of(&stack), &[]).await;
    (stack, gateway)
}

fn client_of(stack: &Stack, gateway: &Gateway) -> Client {
    Client::new(vec![gateway.url()], gateway.url(), Arc::clone(&stack.ledger))
}

/// A product, as a command that was accepted.
async fn product(client: &Client) -> Uuid {
    let id = Uuid::now_v7();
    let create = json!({"sku": format!("Lamp-{id}"), "name": "Lamp", "price": {"minor": 1999, "currency": "GBP"}});
    client.send(&Command::new(Products, "create-product", id, create)).await.accepted();
    id
}

/// What the gateway answers by itself: the status, and the problem's type.
async fn refusal(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], json!(status), "{problem}");
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    (status, problem["type"].as_str().unwrap().replace("https://orderflow.dev/problems/", ""))
}

#[tokio::test]
async fn every_endpoint_has_its_service_and_what_is_internal_is_not_there() {
    let (_stack, gateway) = behind_a_gateway(1).await;
    let http = reqwest::Client::new();
    for (number, (method, path, service)) in ENDPOINTS.into_iter().enumerate() {
        let (id, path) = (format!("try-{number}"), path.replace("ID", &Uuid::now_v7().to_string()));
        let request = http.request(method.clone(), format!("{}{path}", gateway.url())).header("x-request-id", &id);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], id.as_str());
        // A route that a service has wants a token, unless it is for everyone; of some services there is none.
        if path.ends_with("docs") || path.ends_with(".json") {
            assert!(!answer.status().is_server_error(), "{method} {path}");
        } else if matches!(service, "fulfilment" | "notifier") {
            assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
            assert_eq!(refusal(answer).await, (502, "unavailable".to_owned()), "{method} {path}");
        } else {
            assert_eq!(answer.status(), 401, "{method} {path}");
        }
        let line = gateway.line(&id).await;
        assert_eq!(line["service"], service, "{method} {path}: {line}");
        assert!(!line["http.path"].as_str().unwrap().contains('?'), "{line}");
    }
    for (method, path) in HIDDEN {
        let request = http.request(method, format!("{}{path}", gateway.url())).bearer_auth(client::token());
        let answer = request.send().await.unwrap();
        assert_eq!(refusal(answer).await, (404, "not-found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn one_origin_takes_commands_tells_changes_at_once_and_speaks_tls() {
    let (stack, gateway) = behind_a_gateway(1).await;
    let client = client_of(&stack, &gateway);
    let product = product(&client).await;
    let lines = json!([{"product_id": product, "quantity": 2}]);
    let order = Uuid::now_v7();
    let place = json!({"lines": lines, "fulfilment": "external"});
    client.send(&Command::new(Orders, "place-order", order, place)).await.accepted();
    let read = client.reading(&format!("/v1/orders/{order}?min_version=1")).header("prefer", "wait=30").send().await.unwrap();
    assert_eq!((read.status().as_u16(), &read.headers()[header::ETAG]), (200, &header::HeaderValue::from_static("\"1\"")));

    // Whether a trace is recorded is not for strangers to say.
    let (stranger, lamp) = ("4bf92f3577b34da6a3ce929d0e0e4736", Uuid::now_v7());
    let create = json!({"id": lamp, "sku": format!("Lamp-{lamp}"), "name": "Lamp", "price": {"minor": 1, "currency": "GBP"}});
    let request = reqwest::Client::new().post(format!("{}/v1/products", gateway.url())).bearer_auth(client::token());
    let request = request.header("traceparent", format!("00-{stranger}-00f067aa0ba902b7-01")).json(&create);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let history: Value = client.asking(&format!("/v1/products/{lamp}/events")).send().await.unwrap().json().await.unwrap();
    let trace = history["events"][0]["traceparent"].as_str().unwrap();
    assert!(!trace.contains(stranger), "{history}");

    // Each event arrives while the answer goes on.
    let path = format!("/v1/orders/{order}/updates");
    let mut updates = client.reading(&path).timeout(PATIENCE * 4).send().await.unwrap();
    told(&mut updates, 1).await;
    client.send(&Command::new(Orders, "confirm-order", order, json!({}))).await.accepted();
    told(&mut updates, 2).await;

    // A stream of commands that is short enough.
    let adjust = |_| Command::new(Products, "adjust-stock", product, json!({"delta": 1, "reason": "received"}));
    let commands: Vec<_> = (0..40).map(adjust).collect();
    assert!(client.send_stream(&commands).await.into_iter().all(|answer| answer.is_accepted()));

    let certificate = gateway.certificate();
    let url = format!("{}/v1/orders/{order}", gateway.tls_url());
    let (said, status) =
        curl(&["--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--cacert"], &certificate, &url).await;
    assert_eq!((said.as_str(), status), ("2 401", Some(0)));
    // Plain HTTP at the port for TLS is the client's mistake.
    let (said, _) = curl(&["-i", "--cacert"], &certificate, &url.replace("https", "http")).await;
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("application/problem+json"), "{said}");
}

/// Waits until an order's live updates have told this version.
async fn told(updates: &mut Response, version: u64) {
    let mut received = String::new();
    let data = |block: &str| block.lines().find_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let reached = tokio::time::timeout(PATIENCE, async {
        while !received.split("\n\n").filter_map(data).any(|view| view["version"] == version) {
            received += std::str::from_utf8(&updates.chunk().await.unwrap().expect("it goes on")).unwrap();
        }
    });
    assert!(reached.await.is_ok(), "version {version} was not told: {received}");
}

/// What curl says, and the code that it exits with.
async fn curl(options: &[&str], certificate: &Path, url: &str) -> (String, Option<i32>) {
    let mut curl = Program::new("curl");
    curl.args(["-sS", "--max-time", "60"]).args(options).arg(certificate).arg(url);
    let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().expect("curl runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[tokio::test]
async fn too_much_is_refused_as_a_problem() {
    let behind = Behind::commands("127.0.0.1:9".to_owned());
    let gateway = Gateway::start(&behind, &[]).await;
    for (path, length, refused) in
        [("/v1/users", 1 << 20, false), ("/v1/users", (1 << 20) + 1, true), ("/v1/commands", (32 << 10) + 1, true)]
    {
        // Only the head: it is refused before the body is sent, or waited for.
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n");
        let expect = if refused { "" } else { "Expect: 100-continue\r\n" };
        let said = raw(&gateway, &format!("{head}{expect}\r\n")).await;
        if refused {
            assert!(said.starts_with("HTTP/1.1 413") && said.contains("/problems/body-too-large\""), "{path} {length}: {said}");
        } else {
            assert!(said.starts_with("HTTP/1.1 100"), "{path} {length}: {said}");
        }
    }
    let long = "a".repeat(20 << 10);
    let said = raw(&gateway, &format!("GET /v1/orders HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n")).await;
    assert!(said.starts_with("HTTP/1.1 431") && said.contains("/problems/headers-too-large\""), "{said}");
    let said = raw(&gateway, &format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert!(said.starts_with("HTTP/1.1 414") && said.contains("/problems/uri-too-long\""), "{said}");

    let strict = Gateway::start(&behind, &[("GATEWAY_RATE", "1r/m"), ("GATEWAY_BURST", "2")]).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = reqwest::get(format!("{}/v1/orders", strict.url())).await.unwrap();
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        statuses.push(refusal(answer).await);
    }
    let (gone, many) = ((502, "unavailable".to_owned()), (429, "too-many-requests".to_owned()));
    assert_eq!(statuses, [gone.clone(), gone.clone(), gone.clone(), many.clone(), many.clone()]);

    // Behind a proxy that is trusted each of its clients has a rate of its own; else what a client says of itself is nothing.
    let two = [("GATEWAY_RATE", "1r/m"), ("GATEWAY_BURST", "1")];
    let trusting = Gateway::start(&behind, &[two[0], two[1], ("GATEWAY_TRUSTED", "10.0.0.0/8,127.0.0.1")]).await;
    let wary = Gateway::start(&behind, &two).await;
    for (gateway, other) in [(trusting, gone.clone()), (wary, many.clone())] {
        let mut statuses = Vec::new();
        for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"] {
            let request = reqwest::Client::new().get(format!("{}/v1/orders", gateway.url())).header("x-forwarded-for", client);
            statuses.push(refusal(request.send().await.unwrap()).await);
        }
        assert_eq!(statuses, [gone.clone(), gone.clone(), other, many.clone()]);
    }
}

/// Sends this, and reads what comes until a problem has come, or leave to go on.
async fn raw(gateway: &Gateway, text: &str) -> String {
    let (address, text) = (gateway.address(), text.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // nginx may have seen enough before all of it is out.
        let _ = stream.write_all(text.as_bytes());
        let (mut said, mut piece) = (String::new(), [0; 4096]);
        while !said.ends_with('}') && !said.starts_with("HTTP/1.1 100") {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "it ends early: {said}");
            said += &String::from_utf8_lossy(&piece[..length]);
        }
        said
    });
    asked.await.unwrap()
}

#[tokio::test]
async fn a_stream_stays_with_its_instance() {
    let (stack, gateway) = behind_a_gateway(2).await;
    let client = client_of(&stack, &gateway);
    let mut homes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..32 {
        let id = Uuid::now_v7();
        for path in ["events", "state", "events"] {
            // There is no such order; or the service can't say so in time, on a machine that others starve.
            let answer = client.asking(&format!("/v1/orders/{id}/{path}")).send().await.unwrap();
            assert!(matches!(answer.status().as_u16(), 404 | 503), "{}", answer.status());
        }
    }
    let logged = || gateway.log().into_iter().filter(|line| line["service"] == "commands").collect::<Vec<_>>();
    let lines = until("all is logged", PATIENCE, async || Some(logged()).filter(|lines| lines.len() == 96)).await;
    for line in lines {
        let id = line["http.path"].as_str().unwrap().split('/').nth(3).unwrap().to_owned();
        homes.entry(id).or_default().insert(line["upstream"].as_str().unwrap().to_owned());
    }
    assert_eq!(homes.len(), 32);
    assert!(homes.values().all(|instances| instances.len() == 1), "{homes:?}");
    assert_eq!(homes.into_values().flatten().collect::<BTreeSet<_>>().len(), 2, "both have some");
}
