//! The import against a service that is slow to agree, breaks off and forgets.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod fake;

use std::io::Write;
use std::process::{Command, Output};

use fake::{Fake, Trouble};
use tempfile::TempDir;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

/// 300 orders of 40 customers, and some credits.
fn file(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("sales.csv");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(HEADER.as_bytes()).unwrap();
    for order in 0..300 {
        let (customer, day) = (order % 40, 1 + order / 20);
        for line in 0..3 {
            writeln!(file, "{order},P{line},Thing,{},2010-12-{day:02} 08:00:00,1.25,{customer},UK", line + 1).unwrap();
        }
        if order % 10 == 9 {
            writeln!(file, "C{order},P2,Thing,-2,2010-12-{day:02} 08:00:00,1.25,{customer},UK").unwrap();
        }
    }
    path
}

async fn import(fake: &Fake, folder: &TempDir) -> Output {
    import_apart(fake, fake, folder).await
}

/// The same with orders in a service of their own.
async fn import_apart(fake: &Fake, orders: &Fake, folder: &TempDir) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderctl"));
    command
        .arg("import")
        .arg(file(folder))
        .arg("--rejects")
        .arg(folder.path().join("rejects.csv"))
        .env_clear()
        .env("COMMAND_URL", fake.url())
        .env("COMMAND_URL_ORDERS", orders.url())
        .env("QUERY_URL", fake.url())
        .env("JWT_SECRET", "a secret of at least thirty-two bytes");
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// 40 customers, 3 products, 300 orders of 4 events, 30 returns.
const EVENTS: usize = 40 + 3 + 300 * 4 + 30;

#[tokio::test]
async fn imports_everything_once_in_order() {
    let (fake, folder) = (Fake::start(Trouble::None).await, TempDir::new().unwrap());
    let output = import(&fake, &folder).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fake.events(), EVENTS);
    assert_eq!(fake.out_of_order(), Vec::<String>::new());
}

#[tokio::test]
async fn commands_go_to_the_service_of_their_context() {
    let (fake, folder) = (Fake::start(Trouble::None).await, TempDir::new().unwrap());
    let orders = Fake::start(Trouble::None).await;
    let output = import_apart(&fake, &orders, &folder).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!((fake.events(), orders.events()), (40 + 3, EVENTS - 40 - 3));
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let (fake, folder) = (Fake::start(Trouble::None).await, TempDir::new().unwrap());
    import(&fake, &folder).await;
    let again = import(&fake, &folder).await;
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(fake.events(), EVENTS);
    assert!(text(&again).contains("had already done 1,273"), "{}", text(&again));
}

#[tokio::test]
async fn a_second_run_without_keys_takes_done_for_done() {
    let (fake, folder) = (Fake::start(Trouble::None).await, TempDir::new().unwrap());
    import(&fake, &folder).await;
    fake.forget_keys();
    let again = import(&fake, &folder).await;
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(fake.events(), EVENTS);
}

#[tokio::test]
async fn sends_again_what_was_answered_503() {
    let (fake, folder) = (Fake::start(Trouble::Overload).await, TempDir::new().unwrap());
    let output = import(&fake, &folder).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fake.events(), EVENTS);
    assert_eq!(fake.out_of_order(), Vec::<String>::new());
}

#[tokio::test]
async fn completes_although_connections_break() {
    let (fake, folder) = (Fake::start(Trouble::BreakOff).await, TempDir::new().unwrap());
    let output = import(&fake, &folder).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fake.events(), EVENTS);
}

#[tokio::test]
async fn reports_the_lines_of_an_order_that_the_service_refuses() {
    let (fake, folder) = (Fake::start(Trouble::RefuseOneOrder).await, TempDir::new().unwrap());
    let output = import(&fake, &folder).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("422 TooExpensive"), "{}", text(&output));
    let report = std::fs::read_to_string(folder.path().join("rejects.csv")).unwrap();
    assert_eq!(report.matches("refused-by-service").count(), 3, "{report}");
}

#[tokio::test]
async fn says_what_to_do_when_nothing_is_up() {
    let folder = TempDir::new().unwrap();
    let nothing = Fake::gone().await;
    let output = import(&nothing, &folder).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("is the stack up? `make up` starts it"), "{}", text(&output));
}

#[test]
fn wrong_usage_exits_with_64() {
    for arguments in [vec!["import"], vec!["import", "x.csv", "--concurrency", "0"], vec!["no-such-verb"], vec![]] {
        let status = Command::new(env!("CARGO_BIN_EXE_orderctl")).args(&arguments).output().unwrap().status;
        assert_eq!(status.code(), Some(64), "{arguments:?}");
    }
}
