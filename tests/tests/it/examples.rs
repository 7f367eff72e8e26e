//! The consumers in `examples/`, on topics that a real system wrote: they count what the query service counts, however often
//! they are killed, and nothing that breaks the contract.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command as Program, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use system_tests::{
    Context::{Orders, Users},
    Oracle, Plan, Stack,
    load::Load,
    planter::Plant,
};
use tokio::{task::spawn_blocking, time::timeout};
use uuid::Uuid;

/// A JVM on a machine that others starve takes its time, and five runs of it more.
const PATIENCE: Duration = Duration::from_secs(300);
/// Records in a transaction: few, so that there are many moments to be killed at.
const BATCH: &str = "5";
/// Lines, one a transaction, after which a consumer is killed.
const LINES: usize = 5;
/// How often that is tried.
const TRIES: usize = 5;

/// One of the consumers, with what it is told each time.
struct Consumer {
    name: &'static str,
    command: Vec<PathBuf>,
    brokers: String,
    prefix: String,
    file: PathBuf,
}

/// How a consumer ended.
struct Run {
    /// The totals in the last line that it wrote.
    totals: Value,
    /// What it wrote to standard error.
    complaints: String,
    /// Whether it was killed.
    killed: bool,
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
    let expected = expected(&stack).await;
    plant_what_is_not_to_be_counted(&stack).await;

    let checks = programs.map(|(name, command)| {
        let file = stack.file(&format!("{name}.sqlite"));
        let consumer =
            Consumer { name, command, brokers: stack.topics.brokers.clone(), prefix: stack.topics.prefix.clone(), file };
        let expected = expected.clone();
        spawn_blocking(move || consumer.counts(&expected))
    });
    for check in checks {
        timeout(PATIENCE, check).await.expect("the consumers come to an end").unwrap();
    }
}

impl Consumer {
    /// Killed in the midst, started again, and once more from the beginning: every time it ends with these totals.
    fn counts(mut self, expected: &Value) {
        let cut_off = self.killed_before(expected["events"].as_u64());
        let whole = self.run(&["--until-end"], None);
        let name = self.name;
        assert_eq!(&whole.totals, expected, "{name}, killed and started again; it says:\n{}", whole.complaints);
        let complaints = format!("{}{}", cut_off.complaints, whole.complaints);
        for said in
            ["order.placed.v1: ", "no schema for order.vanished.v1", "headers: ", "the key is not ce_subject", "follows 0"]
        {
            let reports = complaints.lines().filter(|line| line.starts_with("rejected ") && line.contains(said));
            assert!(reports.count() >= 1, "{name} reports `{said}`, but says only:\n{complaints}");
        }
        let again = self.run(&["--until-end", "--rewind"], None);
        assert_eq!(&again.totals, expected, "{name}, all of it once more; it says:\n{}", again.complaints);
    }

    /// Killed when it has counted some, but not all of the events.
    fn killed_before(&mut self, all: Option<u64>) -> Run {
        for number in 0..TRIES {
            // Should it be faster than we are, it begins anew.
            self.file.set_extension(format!("{number}.sqlite"));
            let run = self.run(&["--until-end"], Some(LINES));
            if run.killed && run.totals["events"].as_u64() < all {
                return run;
            }
        }
        panic!("{} came to the end each time before it could be killed", self.name);
    }

    /// Runs it to its end, or until it has written so many lines and is killed.
    fn run(&self, arguments: &[&str], kill_after: Option<usize>) -> Run {
        let (program, first) = self.command.split_first().unwrap();
        let complaints = self.file.with_extension("log");
        let mut child = Program::new(program)
            .args(first)
            .args(["--brokers", &self.brokers, "--prefix", &self.prefix, "--group", &format!("{}-{}", self.prefix, self.name)])
            .args(["--batch", BATCH, "--file"])
            .arg(&self.file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&complaints).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut last = None;
        for (number, line) in BufReader::new(child.stdout.take().unwrap()).lines().enumerate() {
            last = line.ok().or(last);
            if Some(number + 1) == kill_after {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        let complaints = fs::read_to_string(complaints).unwrap();
        let killed = status.signal() == Some(9);
        assert!(killed || status.success(), "{}: {status}; it says:\n{complaints}", self.name);
        let totals = last.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
        Run { totals, complaints, killed }
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
const REJECTED: usize = 6;

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
    let rejected = [event("order.placed.v1", &negative), event("order.vanished.v1", &json!({})), empty, nameless, elsewhere, gap];
    assert_eq!(rejected.len(), REJECTED);
    for plant in rejected {
        plant.plant(stack, Orders).await;
    }
    // An event that was counted, once more.
    let entry = stack.ledger.entries().into_iter().find(|entry| entry.context == Users).unwrap();
    let history = stack.client().asking(&format!("/v1/users/{}/events", entry.id)).send().await.unwrap();
    let history: Value = history.json().await.unwrap();
    Plant::recorded(Users, &history["events"][0]).plant(stack, Users).await;
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
