//! The consumers in `examples/`, on topics that a real system wrote: they count what the query service counts, however often
//! they are killed, and nothing that breaks the contract.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use system_tests::{
    Context::{Orders, Users},
    Oracle, Plan, Stack,
    load::Load,
    planter::Plant,
    process::Process,
    servers::Topics,
    wait::until,
};
use uuid::Uuid;

/// How long one run of a consumer may take. A JVM on a machine that others starve takes its time.
const PATIENCE: Duration = Duration::from_secs(240);
/// Records in a transaction: few, so that there are many moments to be killed at.
const BATCH: &str = "5";
/// Lines, one a transaction, after which a consumer is killed.
const LINES: usize = 5;
/// How often that is tried.
const TRIES: usize = 5;

/// One of the consumers, with what it is told each time.
struct Consumer<'a> {
    name: &'static str,
    command: Vec<PathBuf>,
    stack: &'a Stack,
}

/// What a run of a consumer wrote: the totals after each transaction, and what it has to complain about.
#[derive(Default)]
struct Said {
    totals: Vec<Value>,
    complaints: String,
}

#[tokio::test]
async fn consumers_in_other_languages_count_what_the_query_service_counts() {
    // First what may be missing.
    let programs = [("python", python()), ("java", java())];
    let stack = Stack::start(Plan::default()).await;
    let mut load = Load::begin(&stack.client(), 7, 8).await;
    load.accepts(700).await;
    load.finish().await;
    // Then the topics and the read models have all of it.
    Oracle::of(&stack).verify().await;
    let mut expected = expected(&stack).await;
    plant_what_is_not_to_be_counted(&stack).await;
    plant_a_type_to_come(&stack, &mut expected).await;
    let [python, java] = programs.map(|(name, command)| Consumer { name, command, stack: &stack });
    tokio::join!(python.counts(&expected), java.counts(&expected));
}

impl Consumer<'_> {
    /// Killed in the midst, started again, and once more from the beginning: every time it ends with these totals.
    async fn counts(&self, expected: &Value) {
        let (file, cut_off) = self.killed_before(expected["events"].as_u64()).await;
        let whole = self.run("whole", &file, &[]).await;
        let name = self.name;
        assert_eq!(whole.totals.last(), Some(expected), "{name}, killed and started again; it says:\n{}", whole.complaints);
        let complaints = format!("{}{}", cut_off.complaints, whole.complaints);
        for (how, said) in [
            ("rejected ", "order.placed.v1: "),
            ("rejected ", "headers: "),
            ("rejected ", "the key is not ce_subject"),
            ("rejected ", "follows 0"),
            ("unknown ", "no schema for order.vanished.v1"),
        ] {
            let mut lines = complaints.lines();
            let reported = lines.any(|line| line.starts_with(how) && line.contains(said));
            assert!(reported, "{name} reports `{how}… {said}`, but says only:\n{complaints}");
        }
        let again = self.run("again", &file, &["--rewind"]).await;
        assert_eq!(again.totals.last(), Some(expected), "{name}, all of it once more; it says:\n{}", again.complaints);
    }

    /// Killed when it has counted some, but not all of the events. With the file that it leaves.
    async fn killed_before(&self, all: Option<u64>) -> (PathBuf, Said) {
        for number in 0..TRIES {
            let run = format!("killed-{number}");
            let file = self.stack.file(&format!("{}-{run}.sqlite", self.name));
            let mut process = self.process(&run, &file, &[]);
            process.spawn();
            until(&format!("{run} of {} counts", self.name), PATIENCE, async || {
                let going_on = process.is_running() && self.said(&run).totals.len() < LINES;
                (!going_on).then_some(())
            })
            .await;
            process.kill();
            let said = self.said(&run);
            // Should it be faster than we are, it begins anew.
            if said.totals.len() >= LINES && said.totals.last().and_then(|totals| totals["events"].as_u64()) < all {
                return (file, said);
            }
        }
        panic!("{} came to the end each time before it could be killed", self.name);
    }

    /// Runs it to its end.
    async fn run(&self, run: &str, file: &Path, arguments: &[&str]) -> Said {
        let mut process = self.process(run, file, arguments);
        process.spawn();
        let status = process.ended(PATIENCE).await;
        let said = self.said(run);
        assert!(status.success(), "{}: {status}; it says:\n{}", self.name, said.complaints);
        said
    }

    fn process(&self, run: &str, file: &Path, arguments: &[&str]) -> Process {
        let Topics { prefix, brokers } = &self.stack.topics;
        let (program, first) = self.command.split_first().unwrap();
        let (group, file) = (format!("{prefix}-{}", self.name), file.display().to_string());
        let mut all: Vec<String> = first.iter().map(|path| path.display().to_string()).collect();
        let ours =
            ["--brokers", brokers, "--prefix", prefix, "--group", &group, "--batch", BATCH, "--file", &file, "--until-end"];
        all.extend(ours.iter().chain(arguments).map(|argument| (*argument).to_owned()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let environment = ["PATH", "HOME", "JAVA_HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
        Process::new(&self.log(run), program.clone(), environment.into(), &self.stack.file("")).with_arguments(&all)
    }

    fn log(&self, run: &str) -> String {
        format!("{}-{run}", self.name)
    }

    fn said(&self, run: &str) -> Said {
        let log = fs::read_to_string(self.stack.file(&format!("{}.log", self.log(run)))).unwrap_or_default();
        let mut said = Said::default();
        for line in log.lines() {
            match serde_json::from_str(line) {
                Ok(totals) => said.totals.push(totals),
                Err(_) => said.complaints += &format!("{line}\n"),
            }
        }
        said
    }
}

/// What the consumers have to come to: the totals of the query service, and from the event store what it does not count.
async fn expected(stack: &Stack) -> Value {
    let answer = stack.client().reading("/v1/stats?top=0").send().await.unwrap();
    let mut totals = answer.json::<Value>().await.unwrap()["totals"].take();
    for counted in ["orders", "cancelled", "returned_units"] {
        assert!(totals[counted].as_u64() > Some(0), "there is something to be counted: {totals}");
    }
    let mut store = PgConnection::connect(&stack.database.url).await.unwrap();
    let rows: Vec<(String, i64)> = sqlx::query_as(STORED).fetch_all(&mut store).await.unwrap();
    let by_type: BTreeMap<String, i64> = rows.into_iter().collect();
    totals["events"] = json!(by_type.values().sum::<i64>());
    totals["users"] = json!(by_type["user.registered.v1"]);
    totals["products"] = json!(by_type["product.created.v1"]);
    totals["confirmed"] = json!(by_type["order.confirmed.v1"]);
    totals["rejected"] = json!(REJECTED);
    totals
}

/// The stored events by type.
const STORED: &str = "
    SELECT event_type, count(*) FROM users.events GROUP BY event_type
    UNION ALL SELECT event_type, count(*) FROM products.events GROUP BY event_type
    UNION ALL SELECT event_type, count(*) FROM orders.events GROUP BY event_type
    UNION ALL SELECT event_type, count(*) FROM payments.events GROUP BY event_type";

/// How many of the planted records break the contract.
const REJECTED: usize = 5;

async fn plant_what_is_not_to_be_counted(stack: &Stack) {
    let placed = json!({"fulfilment": "external", "currency": "GBP", "total": 1, "lines": [{
        "line": 1, "product_id": Uuid::now_v7(), "product_version": 1, "quantity": 1, "unit_price": 1,
    }]});
    let event = |event_type: &str, data: &Value| Plant::event(Uuid::now_v7(), 1, event_type, data);
    let mut negative = placed.clone();
    negative["total"] = json!(-1);
    let mut empty = event("order.placed.v1", &placed);
    empty.value = Vec::new();
    let mut nameless = event("order.placed.v1", &placed);
    nameless.headers.retain(|(name, _)| name != "ce_id");
    let mut elsewhere = event("order.placed.v1", &placed);
    elsewhere.key = Uuid::now_v7().to_string();
    let gap = Plant::event(Uuid::now_v7(), 2, "order.confirmed.v1", &json!({}));
    let rejected = [event("order.placed.v1", &negative), empty, nameless, elsewhere, gap];
    assert_eq!(rejected.len(), REJECTED);
    for plant in rejected {
        plant.plant(stack, Orders).await;
    }
    // An event that was counted, once more.
    let entry = stack.ledger.entries().into_iter().find(|entry| entry.context == Users).unwrap();
    let history = stack.client().asking(&format!("/v1/users/{}/events", entry.id)).send().await.unwrap();
    let history: Value = history.json().await.unwrap();
    let mut again = Plant::recorded(Users, &history["events"][0]);
    again.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    again.plant(stack, Users).await;
}

/// A stream whose first event is of a type that consumers don't know yet, and whose second means something to them.
async fn plant_a_type_to_come(stack: &Stack, expected: &mut Value) {
    let stream = Uuid::now_v7();
    for (version, event_type) in [(1, "order.vanished.v1"), (2, "order.confirmed.v1")] {
        Plant::event(stream, version, event_type, &json!({})).plant(stack, Orders).await;
    }
    for (name, more) in [("events", 2), ("confirmed", 1)] {
        expected[name] = json!(expected[name].as_u64().unwrap() + more);
    }
}

/// What docs/new-context.md shows is what `deploy/new-context` compiles and tests: each block names its file, and is in it.
#[test]
fn the_walk_shows_what_is_tested() {
    let example = repository().join("examples/new-context");
    let patch = fs::read_to_string(example.join("reviews.patch")).unwrap();
    let added: String = patch.lines().filter_map(|line| line.strip_prefix('+')).map(|line| format!("{line}\n")).collect();
    let walk = fs::read_to_string(repository().join("docs/new-context.md")).unwrap();
    let blocks: Vec<_> = walk.split("```rust\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
    assert!(blocks.len() > 5, "the walk has blocks of Rust");
    for (block, _) in blocks {
        let (place, code) = block.split_once('\n').unwrap();
        let file = place.strip_prefix("// ").expect("the first line names the file");
        let source = fs::read_to_string(example.join(file)).unwrap_or_else(|_| added.clone());
        assert!(source.contains(code), "{file} has no such lines:\n{code}");
    }
}

/// The Python consumer, in the environment that `deploy/examples` makes.
fn python() -> Vec<PathBuf> {
    let local = std::env::var_os("LOCAL_DIR").map_or_else(|| repository().join(".local"), PathBuf::from);
    vec![made(local.join("examples/python/bin/python")), repository().join("examples/python-consumer/consumer.py")]
}

/// The Java consumer that `deploy/examples` builds.
fn java() -> Vec<PathBuf> {
    vec!["java".into(), "-jar".into(), made(repository().join("examples/java-consumer/target/consumer.jar"))]
}

fn made(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "there is no {}: make it by deploy/examples, as `make test` does", path.display());
    path
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
