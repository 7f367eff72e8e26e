//! Live updates, through the real projector: with processes killed and Redis emptied meanwhile.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use system_tests::{Client, Plan, Stack, load::Load, wait::until};

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stream of changes told: the versions of each (context, id), in the order in which they came.
type Told = HashMap<(String, String), Vec<u64>>;

/// A client that notes every change, and goes on from the last id when its stream ends.
struct Follower {
    client: Client,
    path: String,
    last: String,
    told: Told,
    resets: u64,
    opened: u64,
}

impl Follower {
    fn new(client: Client, path: &str) -> Self {
        Self { client, path: path.to_owned(), last: String::new(), told: Told::new(), resets: 0, opened: 0 }
    }

    /// Follows until `enough`, asked before each wait.
    async fn follow(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let request = self.client.reading(&self.path).timeout(Duration::from_secs(600));
            let request = if self.last.is_empty() { request } else { request.header("last-event-id", &self.last) };
            match request.send().await {
                Ok(answer) if answer.status() == 200 => self.listen(answer, &enough).await,
                // It is being restarted.
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn listen(&mut self, mut answer: reqwest::Response, enough: impl Fn(&Self) -> bool) {
        self.opened += 1;
        let mut received = String::new();
        while !enough(self) {
            let chunk = match tokio::time::timeout(Duration::from_millis(200), answer.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(_) => return,
                Err(_) => continue,
            };
            received += std::str::from_utf8(&chunk).unwrap();
            while let Some((block, rest)) = received.split_once("\n\n") {
                let fields: BTreeMap<_, _> = block.lines().filter_map(|line| line.split_once(": ")).collect();
                if let Some(id) = fields.get("id") {
                    (*id).clone_into(&mut self.last);
                }
                match fields.get("event") {
                    Some(&"reset") => self.resets += 1,
                    Some(_) => self.note(&serde_json::from_str(fields["data"]).unwrap()),
                    None => {}
                }
                received = rest.to_owned();
            }
        }
    }

    fn note(&mut self, data: &Value) {
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let versions = self.told.entry((text("context"), text("id"))).or_default();
        versions.push(data["version"].as_u64().unwrap());
    }

    fn reached(&self, context: &str, id: &str) -> u64 {
        let key = (context.to_owned(), id.to_owned());
        self.told.get(&key).and_then(|versions| versions.last()).copied().unwrap_or(0)
    }
}

/// The last version of every stream that was written by the commands after the first `before`.
fn written(stack: &Stack, before: usize) -> HashMap<(String, String), u64> {
    let mut last = HashMap::new();
    for entry in stack.ledger.entries().split_off(before) {
        let version = last.entry((entry.context.to_string(), entry.id.to_string())).or_default();
        *version = entry.version.max(*version);
    }
    last
}

async fn open_streams(stack: &Stack) -> f64 {
    stack.metric(&stack.query.url(), "orderflow_update_streams").await
}

fn has_all(follower: &Follower, written: &HashMap<(String, String), u64>) -> bool {
    written.iter().all(|((context, id), version)| follower.reached(context, id) >= *version)
}

#[tokio::test]
async fn every_change_is_told_once_and_in_order_while_processes_are_killed() {
    let mut stack = Stack::start(Plan { projectors: 2, ..Plan::default() }).await;
    let mut follower = Follower::new(stack.client(), "/v1/updates");
    // Its place in the logs is known before the first command.
    follower.follow(|follower| !follower.last.is_empty()).await;
    let done = Arc::new(AtomicBool::new(false));
    let (finished, client) = (Arc::clone(&done), stack.client());
    let faults = async {
        let mut load = Load::begin(&client, 71, 8).await;
        for round in 0..6 {
            load.accepts(60).await;
            match round % 3 {
                0 => {
                    stack.projectors[round % 2].kill();
                    stack.projectors[round % 2].spawn();
                }
                1 => {
                    stack.query.kill();
                    stack.query.spawn();
                }
                _ => {
                    stack.query.signal(Signal::TERM);
                    assert_eq!(stack.query.ended(PATIENCE).await.code(), Some(0));
                    stack.query.spawn();
                }
            }
        }
        load.finish().await;
        finished.store(true, Ordering::Release);
        let all = written(&stack, 0);
        (stack, all)
    };
    let following = async {
        follower.follow(|_| done.load(Ordering::Acquire)).await;
        follower
    };
    let ((stack, all), mut follower) = futures::join!(faults, following);
    tokio::time::timeout(PATIENCE * 2, follower.follow(|follower| has_all(follower, &all))).await.expect("all is told");
    assert!(follower.opened > 2 && follower.resets == 0, "{} streams, {} resets", follower.opened, follower.resets);
    for (stream, versions) in &follower.told {
        assert!(versions.iter().copied().eq(1..=versions.len() as u64), "{stream:?}: {versions:?}");
    }
    drop(stack);
}

#[tokio::test]
async fn an_emptied_redis_is_a_reset_and_the_streams_go_on() {
    let mut stack = Stack::start(Plan { own_redis: true, ..Plan::default() }).await;
    let client = stack.client();
    let mut load = Load::begin(&client, 72, 4).await;
    load.accepts(60).await;
    let entries = stack.ledger.entries();
    let order = entries.iter().find(|entry| entry.context == system_tests::Context::Orders).unwrap().id;
    let mut changes = Follower::new(client.clone(), "/v1/updates");
    let mut of_order = Follower::new(client.clone(), &format!("/v1/orders/{order}/updates"));
    let versions_of = |follower: &Follower| follower.told.values().next().cloned().unwrap_or_default();
    of_order.follow(|follower| !follower.told.is_empty()).await;
    changes.follow(|follower| !follower.last.is_empty()).await;
    // Those two have ended, so that what is counted below is opened anew.
    until("no stream is open", PATIENCE, async || (open_streams(&stack).await == 0.0).then_some(())).await;
    {
        let told = async |follower: &mut Follower| {
            tokio::time::timeout(PATIENCE, follower.follow(|follower| follower.resets > 0)).await.expect("a reset");
        };
        let flush = async {
            until("both streams are open", PATIENCE, async || (open_streams(&stack).await >= 2.0).then_some(())).await;
            stack.own_redis().flush().await;
        };
        futures::join!(told(&mut changes), told(&mut of_order), flush);
    }
    // What fills the slots again is not told: a client that starts anew reads, and reads wait for it.
    until("the read models are filled", PATIENCE, async || is_filled(&client).await.then_some(())).await;
    // What was written before is for the client to read anew; what is written from now on is told.
    // A log in which nothing had grown meanwhile is found broken later, and that is another reset.
    loop {
        let (before, resets) = (stack.ledger.count(), changes.resets);
        load.accepts(60).await;
        let all = written(&stack, before);
        let enough = |follower: &Follower| has_all(follower, &all) || follower.resets > resets;
        tokio::time::timeout(PATIENCE, changes.follow(enough)).await.expect("all is told");
        if changes.resets == resets {
            break;
        }
        assert!(changes.resets < 5, "{} resets", changes.resets);
    }
    load.finish().await;
    let last = written(&stack, 0)[&("orders".to_owned(), order.to_string())];
    let reached = |follower: &Follower| versions_of(follower).last() == Some(&last);
    tokio::time::timeout(PATIENCE, of_order.follow(reached)).await.expect("the order's last version");
    let versions = versions_of(&of_order);
    assert!(versions.is_sorted(), "never an older one after a newer: {versions:?}");
    until("both models agree", PATIENCE, async || (client.read("/v1/orders").await.ok()?.0 == 200).then_some(())).await;
}

/// Whether lists are answered, which they are when all partitions of their context are whole.
async fn is_filled(client: &Client) -> bool {
    for list in ["/v1/orders", "/v1/products", "/v1/users?email=nobody@example.org"] {
        if !client.read(list).await.is_ok_and(|(status, ..)| status < 300) {
            return false;
        }
    }
    true
}
