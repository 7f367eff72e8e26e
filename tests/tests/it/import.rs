//! `orderctl` brings a part of the real year in: killed half-way, run again, run twice.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use liblzma::read::XzDecoder;
use sqlx::{Connection, PgConnection};
use system_tests::{Oracle, Plan, Stack, binaries::program, stack::JWT_SECRET, wait::until_every};

/// Lines of the file that are imported: two days of December, with returns, guests and lines that can't be taken.
const LINES: usize = 5_000;
/// The moment of the kill: so many events of orders are stored.
const HALF: i64 = 20;

#[tokio::test]
async fn an_import_that_was_killed_is_completed_by_the_next_and_another_changes_nothing() {
    let stack = Stack::start(Plan::default()).await;
    let orderctl = Orderctl { command: stack.commands[0].url(), query: stack.query.url(), rejects: stack.file("rejects.csv") };
    let slice = slice(&stack.file("slice.csv"));

    let mut first = orderctl.start(&["import", &slice, "--concurrency", "1"], true);
    let mut connection = PgConnection::connect(&stack.database.url).await.unwrap();
    let (often, bound) = (Duration::from_millis(1), Duration::from_secs(240));
    until_every(often, "a part is imported", bound, async || (counts(&mut connection).await[2] >= HALF).then_some(())).await;
    first.kill().unwrap();
    assert!(!first.wait().unwrap().success(), "it was killed before its end");
    let part = counts(&mut connection).await;

    orderctl.run(&["import", &slice], true).await;
    let whole = counts(&mut connection).await;
    assert!(part[2] < whole[2], "the kill came half-way: {part:?} of {whole:?}");
    let rejects = fs::read(&orderctl.rejects).unwrap();
    orderctl.run(&["import", &slice], true).await;
    assert_eq!(counts(&mut connection).await, whole, "the same file again changes nothing");
    assert_eq!(fs::read(&orderctl.rejects).unwrap(), rejects, "nor what is reported");

    orderctl.run(&["wait", &slice], false).await;
    orderctl.run(&["audit", &slice], true).await;
    Oracle::of(&stack).published().await;
    // The audit sees what is missing: of a longer file than was imported it finds that.
    let longer = fs::read_to_string(&slice).unwrap() + "599999,85123A,LANTERN,6,2010-12-02 18:26:00,2.55,17850,United Kingdom\n";
    fs::write(&slice, longer).unwrap();
    let output = orderctl.start(&["audit", &slice], true).wait_with_output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
}

/// The beginning of the demo's file.
fn slice(path: &Path) -> String {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/online-retail-2010-12-to-2011-05.csv.xz");
    let lines = BufReader::new(XzDecoder::new(fs::File::open(demo).unwrap())).split(b'\n').take(LINES);
    let mut file = fs::File::create(path).unwrap();
    for line in lines {
        file.write_all(&line.unwrap()).unwrap();
        file.write_all(b"\n").unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// Events stored in each context.
async fn counts(connection: &mut PgConnection) -> [i64; 3] {
    let counts = "SELECT (SELECT count(*) FROM users.events), (SELECT count(*) FROM products.events), (SELECT count(*) FROM orders.events)";
    let (users, products, orders) = sqlx::query_as(counts).fetch_one(connection).await.unwrap();
    [users, products, orders]
}

struct Orderctl {
    command: String,
    query: String,
    rejects: PathBuf,
}

impl Orderctl {
    fn start(&self, arguments: &[&str], rejects: bool) -> Child {
        let mut command = Command::new(program("orderctl"));
        command.args(arguments).env("COMMAND_URL", &self.command).env("QUERY_URL", &self.query).env("JWT_SECRET", JWT_SECRET);
        if rejects {
            command.arg("--rejects").arg(&self.rejects);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    async fn run(&self, arguments: &[&str], rejects: bool) {
        let child = self.start(arguments, rejects);
        let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output));
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
