//! The audit against the real file, and against answers that are wrong in one place.

use serde_json::json;

use super::recount::{Day, Fate, Recount};
use super::refusals::Refusals;
use super::served::Served;
use super::{compare, report};

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";
const FILE: &str = concat!(
    "1,a,X,6,2010-12-01 08:26:00,2.55,7,UK\n",
    "1,A,X,1,2010-12-01 08:26:00,0.001,7,UK\n",
    "C2,A,X,-2,2010-12-02 08:26:00,2.55,7,UK\n",
    "C2,A,X,-5,2010-12-02 08:26:00,2.55,7,UK\n",
);
const REPORT: &str = "line,invoice,reason\n3,1,too-many-decimals\n5,C2,only-part-matches\n";

fn recount() -> Recount {
    Recount::of(format!("{HEADER}{FILE}").as_bytes()).unwrap()
}

fn served(orders: i64, gross: i64, refunds: i64) -> Served {
    let revenue = |gross: i64, refunds: i64| json!({ "GBP": { "gross": gross, "refunds": refunds, "net": gross - refunds } });
    let day = |day: &str, orders: i64, units: i64, returned: i64, gross: i64, refunds: i64| json!({ "day": day, "orders": orders, "cancelled": 0, "units": units, "returned_units": returned, "revenue": revenue(gross, refunds) });
    let answer = json!({
        "totals": { "orders": orders, "cancelled": 0, "units": 6, "returned_units": 2, "revenue": revenue(gross, refunds) },
        "days": [day("2010-12-01", orders, 6, 0, gross, 0), day("2010-12-02", 0, 0, 2, 0, refunds)],
        "top_products": [],
    });
    Served::read(answer).unwrap()
}

fn differences(report: &str, served: &Served) -> Vec<String> {
    compare::all(&recount(), &Refusals::of(report.as_bytes()).unwrap(), served)
}

#[test]
fn the_real_file_has_the_sums_that_were_counted_by_other_means() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/online-retail-2010-12-to-2011-05.csv.xz");
    let recount = Recount::read(&file).unwrap();
    let total = recount.days.values().fold(Day::default(), Day::plus);
    // Counted by a script in another language.
    let expected = Day { orders: 8_126, units: 2_112_657, returned_units: 102_426, gross: 406_472_659, refunds: 15_991_010 };
    assert_eq!(total, expected);
    assert_eq!(compare::file_sum(&recount), 3_706_827_641_000);
    let refused = |reason| recount.lines.values().filter(|fate| fate.refused == Some(reason)).count();
    let credits = refused("no-earlier-purchase") + refused("only-part-matches") + refused("return-without-customer");
    assert_eq!((recount.lines.len(), credits, refused("non-positive-price")), (209_029, 1_203, 1_292));
}

#[test]
fn finds_nothing_where_nothing_is_wrong() {
    assert_eq!(differences(REPORT, &served(1, 1_530, 510)), Vec::<String>::new());
    let text = report::text(&recount(), &served(1, 1_530, 510), &[]);
    assert!(text.contains("No difference"), "{text}");
}

#[test]
fn finds_a_penny_that_is_missing() {
    let found = differences(REPORT, &served(1, 1_529, 510));
    assert_eq!(found[0], "2010-12-01: 1,530 pence sold in the file, 1,529 served");
    assert!(found[1].contains("10,000 millionths"), "{found:?}");
}

#[test]
fn finds_lines_that_the_report_gets_wrong() {
    let served = served(1, 1_530, 510);
    let cases = [
        ("line,reason\n3,too-many-decimals\n", "line 5 was taken and should be refused: only-part-matches"),
        ("line,reason\n2,adjustment\n3,too-many-decimals\n5,only-part-matches\n", "line 2 was refused (adjustment) and is fine"),
        ("line,reason\n3,adjustment\n5,only-part-matches\n", "line 3 was refused as adjustment and is too-many-decimals"),
        (
            "line,reason\n3,too-many-decimals\n5,only-part-matches\n9,adjustment\n",
            "line 9 was refused (adjustment), but the file has no such line",
        ),
    ];
    for (report, expected) in cases {
        let found = differences(report, &served);
        assert!(found.iter().any(|difference| difference == expected), "{expected}: {found:?}");
    }
}

#[test]
fn a_line_refused_by_the_service_is_a_difference() {
    let report = format!("{REPORT}2,1,refused-by-service\n");
    assert!(!differences(&report, &served(0, 0, 510)).is_empty());
}

#[test]
fn counts_fractions_of_a_penny_in_the_file_without_rounding() {
    assert_eq!(recount().lines[&3], Fate { amount: 1_000, refused: Some("too-many-decimals") });
    assert_eq!(report::pounds(1_000), "0.001");
    assert_eq!(report::pounds(-1_234_560_000), "-1,234.56");
}

#[test]
fn refuses_statistics_that_contradict_themselves() {
    let revenue = json!({ "GBP": { "gross": 5, "refunds": 0, "net": 5 } });
    let answer = json!({
        "totals": { "orders": 2, "units": 1, "returned_units": 0, "revenue": revenue },
        "days": [{ "day": "2010-12-01", "orders": 1, "units": 1, "returned_units": 0, "revenue": revenue }],
    });
    assert!(Served::read(answer).unwrap_err().to_string().contains("not the sum of their days"));
}

#[test]
fn a_report_that_names_a_line_twice_is_refused() {
    assert!(Refusals::of(b"line,reason\n3,adjustment\n3,adjustment\n").is_err());
}
