//! What it brings that a stream's commands go to one instance. By hand, on a quiet machine, with release programs:
//!
//! ```sh
//! deploy/build release && deploy/backends up && eval "$(deploy/backends env)"
//! ORDERFLOW_BIN_DIR=$PWD/target/release cargo test -p system-tests --release --test it -- --ignored --nocapture gateway::measure
//! ```

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use system_tests::{Plan, Stack, client};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    client_of,
    nginx::{Behind, Gateway},
    product,
};

/// Clients, each with one request on its way.
const CLIENTS: usize = 32;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, of a minute and a half"]
#[expect(clippy::print_stdout, reason = "what it is for")]
async fn what_it_brings_that_a_stream_keeps_its_instance() {
    let stack = Stack::start(Plan { commands: 2, ..Plan::default() }).await;
    let behind = Behind::of(&stack);
    let own = Gateway::start(&behind, &[]).await;
    let any = Gateway::start(&behind, &[("GATEWAY_COMMAND_KEY", "$request_id")]).await;
    let client = client_of(&stack, &own);
    let mut table = "streams | instance | commands/s | p50 ms | p99 ms | batches decided again a second\n".to_owned();
    for streams in [4, 400] {
        let mut products = Vec::new();
        for _ in 0..streams {
            products.push(product(&client).await);
        }
        let products = Arc::new(products);
        for _ in 0..ROUNDS {
            for (name, gateway) in [("its own", &own), ("any", &any)] {
                let before = redecided(&stack).await;
                let mut times = drive(&gateway.url(), &products).await;
                let again = (redecided(&stack).await - before) / ROUND.as_secs_f64();
                times.sort_unstable();
                let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
                let rate = times.len() as f64 / ROUND.as_secs_f64();
                writeln!(table, "{streams} | {name} | {rate:.0} | {:.1} | {:.1} | {again:.0}", at(50), at(99)).unwrap();
            }
        }
    }
    println!("{table}");
}

async fn redecided(stack: &Stack) -> f64 {
    let mut sum = 0.0;
    for instance in &stack.commands {
        sum += stack.metric(&instance.url(), "orderflow_writer_batches_redecided_total").await;
    }
    sum
}

/// Adjusts these products' stock for a round; how long each command took.
async fn drive(gateway: &str, products: &Arc<Vec<Uuid>>) -> Vec<Duration> {
    let (mut clients, end) = (JoinSet::new(), Instant::now() + ROUND);
    for _ in 0..CLIENTS {
        let (gateway, products) = (gateway.to_owned(), Arc::clone(products));
        clients.spawn(async move {
            let (http, token, mut times) = (reqwest::Client::new(), client::token(), Vec::new());
            while Instant::now() < end {
                let product = products[fastrand::usize(..products.len())];
                let url = format!("{gateway}/v1/products/{product}/stock-adjustments");
                let begun = Instant::now();
                let request = http.post(url).bearer_auth(&token).json(&json!({"delta": 1, "reason": "received"}));
                assert_eq!(request.send().await.unwrap().status(), 200);
                times.push(begun.elapsed());
            }
            times
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}
