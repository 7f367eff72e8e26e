//! What clients notice when an instance goes: nothing, as long as what they send may be sent again.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use system_tests::{client, wait::until};
use tokio::{net::TcpListener, task::JoinSet};
use uuid::Uuid;

use super::{
    PATIENCE, behind_a_gateway, client_of,
    nginx::{Behind, Gateway},
    product,
};

/// Clients at work on one product each.
const WORKERS: usize = 6;

/// What a service says, on a machine that others starve, of a Postgres that is slow. It is no instance's end.
const STARVED: &str = "The event store can't be reached; nothing was stored.";

/// Adjusts a product's stock and reads its history, again and again, with no other request sent twice; how often it did.
async fn work(gateway: String, product: Uuid, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> u64 {
    let (http, token) = (reqwest::Client::new(), client::token());
    let (adjust, read) = (
        format!("{gateway}/v1/products/{product}/stock-adjustments"),
        format!("{gateway}/v1/products/{product}/events?after=0&limit=1"),
    );
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = Uuid::new_v4().to_string();
        let request = http.post(&adjust).json(&json!({"delta": 1, "reason": "received"})).header("idempotency-key", key);
        for request in [request, http.get(&read)] {
            let request = request.bearer_auth(&token).timeout(PATIENCE);
            loop {
                let answer = request.try_clone().expect("a short body").send().await.expect("an answer");
                let status = answer.status();
                let text = answer.text().await.expect("a whole answer");
                if status == 503 && text.contains(STARVED) {
                    continue;
                }
                assert_eq!(status, 200, "{text}");
                break;
            }
        }
        accepted += 1;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    accepted
}

#[tokio::test]
async fn no_request_fails_when_an_instance_is_killed_or_stopped() {
    let (mut stack, gateway) = behind_a_gateway(2).await;
    let client = client_of(&stack, &gateway);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (mut workers, mut products) = (JoinSet::new(), Vec::new());
    for _ in 0..WORKERS {
        let product = product(&client).await;
        products.push(product);
        let task = work(gateway.url(), product, Arc::clone(&stop), Arc::clone(&answered));
        workers.spawn(async move { (product, task.await) });
    }
    let mut go_on = async || {
        let enough = answered.load(Ordering::Relaxed) + 10 * WORKERS;
        until("the clients go on", PATIENCE, async || {
            // A client that met a failure says so here.
            if let Some(Err(failure)) = workers.try_join_next() {
                panic!("{failure}");
            }
            (answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    };
    for round in 0..4 {
        let instance = &mut stack.commands[round % 2];
        go_on().await;
        if round < 2 {
            instance.kill();
        } else {
            instance.signal(Signal::TERM);
            assert_eq!(instance.ended(PATIENCE).await.code(), Some(0));
        }
        go_on().await;
        instance.start().await;
        let address = instance.url().replace("http://", "");
        until("it is asked again", PATIENCE, async || {
            let id = Uuid::new_v4().to_string();
            let asked = client.asking(&format!("/v1/orders/{id}/events")).header("x-request-id", &id).send().await;
            asked.expect("an answer");
            (gateway.line(&id).await["upstream"] == address.as_str()).then_some(())
        })
        .await;
    }
    go_on().await;
    stop.store(true, Ordering::Relaxed);
    // Everything that was accepted was so once.
    for (product, accepted) in workers.join_all().await {
        let state: Value = client.asking(&format!("/v1/products/{product}/state")).send().await.unwrap().json().await.unwrap();
        assert_eq!(state["version"], json!(accepted + 1), "{state}");
    }
}

/// An instance that says this to each request and goes away: its address, and how many requests those were.
async fn instance(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, taken) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut [0; 4096]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Ok(1..) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        stream.try_write(answer.as_bytes()).unwrap();
                    }
                    _ => {}
                }
                break;
            }
        }
    });
    (address, taken)
}

/// Sends a request about a stream; the status of the answer.
async fn send(gateway: &Gateway, method: &Method, verb: &str, key: Option<&str>) -> u16 {
    let url = format!("{}/v1/orders/{}{verb}", gateway.url(), Uuid::now_v7());
    let request = reqwest::Client::new().request(method.clone(), url).timeout(PATIENCE);
    let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    for (method, verb, key, times) in [
        (Method::GET, "/events", None, 2),
        (Method::PUT, "", None, 2),
        (Method::POST, "/cancel", None, 1),
        (Method::POST, "/cancel", Some("a-key"), 2),
        (Method::PATCH, "", None, 1),
        (Method::PATCH, "", Some("a-key"), 2),
    ] {
        let ((one, taken_by_one), (other, taken_by_other)) = (instance("").await, instance("").await);
        let gateway = Gateway::start(&Behind::commands(format!("{one},{other}")), &[]).await;
        assert_eq!(send(&gateway, &method, verb, key).await, 502);
        let taken = taken_by_one.load(Ordering::Relaxed) + taken_by_other.load(Ordering::Relaxed);
        assert_eq!(taken, times, "{method} {verb} {key:?}");
    }
}

#[tokio::test]
async fn what_never_left_goes_elsewhere_whatever_it_is() {
    let (there, taken) = instance("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let gateway = Gateway::start(&Behind::commands(format!("127.0.0.1:9,{there}")), &[]).await;
    for number in 1..=16 {
        assert_eq!(send(&gateway, &Method::POST, "/cancel", None).await, 204);
        assert_eq!(taken.load(Ordering::Relaxed), number);
    }
}
