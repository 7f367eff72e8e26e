//! What the README of the demo data states, checked against the file itself.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use super::super::rejects::by_reason;
use super::*;

fn real_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../demo/online-retail-2010-12-to-2011-05.csv.xz")
}

fn plan_of(lines: &str) -> Result<Plan> {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    writeln!(file, "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country").unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    Plan::read(file.path())
}

fn reasons(plan: &Plan) -> Vec<(u64, &'static str)> {
    plan.rejects.iter().map(|reject| (reject.line, reject.reason.code())).collect()
}

#[test]
fn the_real_file_maps_to_the_counts_that_the_readme_states() {
    let plan = Plan::read(&real_file()).unwrap();
    assert_eq!(plan.lines, 209_029);
    assert_eq!(plan.users.len(), 2_767);
    assert_eq!(plan.products.len(), 3_296);
    assert_eq!(plan.orders.len(), 8_126);
    assert_eq!(plan.returns.len(), 1_377);
    let counts: BTreeMap<_, _> = by_reason(&plan.rejects).into_iter().map(|(reason, count)| (reason.code(), count)).collect();
    let expected = BTreeMap::from([
        ("non-positive-price", 1_292),
        ("too-many-decimals", 1),
        ("no-earlier-purchase", 980),
        ("only-part-matches", 30),
        ("return-without-customer", 193),
    ]);
    assert_eq!(counts, expected);
    let sold: usize = plan.orders.iter().map(|order| order.lines.len()).sum();
    let credited: HashSet<u64> = plan.returns.iter().flat_map(|part| part.sources.iter().copied()).collect();
    assert_eq!((sold, credited.len()), (203_953, 2_580));
    assert_eq!(u64::try_from(sold + credited.len() + plan.rejects.len()).unwrap(), plan.lines);
}

#[test]
fn the_real_file_gives_back_no_more_than_was_bought() {
    let plan = Plan::read(&real_file()).unwrap();
    let mut left: Vec<Vec<u32>> =
        plan.orders.iter().map(|order| order.lines.iter().map(|line| line.quantity).collect()).collect();
    let (mut gross, mut refunds, mut parts) = (0, 0, 0);
    for order in &plan.orders {
        gross += order.lines.iter().map(|line| u64::from(line.quantity) * line.price).sum::<u64>();
        parts += order.returns;
    }
    for part in &plan.returns {
        assert!(plan.orders[part.order].at <= part.at, "{} came before its order", part.invoice);
        for &(line, quantity) in &part.lines {
            let index = usize::try_from(line - 1).unwrap();
            left[part.order][index] = left[part.order][index].checked_sub(quantity).unwrap();
            refunds += u64::from(quantity) * plan.orders[part.order].lines[index].price;
        }
    }
    assert_eq!((gross, refunds), (406_472_659, 15_991_010));
    assert_eq!(usize::try_from(parts).unwrap(), plan.returns.len());
}

#[test]
fn codes_that_differ_by_case_are_one_product_with_its_most_frequent_name() {
    let plan = plan_of(concat!(
        "1,85123a,LANTERN,6,2010-12-01 08:26:00,2.55,7,UK\n",
        "1,85123A,LIGHT,6,2010-12-01 08:26:00,2.95,7,UK\n",
        "2,85123A,LIGHT,6,2010-12-01 08:27:00,2.95,,UK\n",
    ))
    .unwrap();
    let [product] = plan.products.as_slice() else { panic!("{:?}", plan.products) };
    assert_eq!((product.sku.as_str(), product.name.as_str(), product.price), ("85123A", "LIGHT", 255));
    assert_eq!(plan.orders[0].lines.len(), 2);
    assert_eq!((plan.orders[0].user, plan.orders[1].user), (Some(0), None));
}

#[test]
fn refuses_each_kind_of_line_by_its_reason() {
    let plan = plan_of(concat!(
        "1,A,X,6,2010-12-01 08:26:00,0.0,7,UK\n",
        "1,A,X,-6,2010-12-01 08:26:00,0.0,7,UK\n",
        "1,A,X,-6,2010-12-01 08:26:00,1.0,7,UK\n",
        "1,A,X,6,2010-12-01 08:26:00,0.001,7,UK\n",
        "A1,B,Adjust bad debt,1,2010-12-01 08:26:00,11062.06,,UK\n",
        "C2,A,X,-1,2010-12-01 08:26:00,1.0,,UK\n",
        "C2,A,X,1,2010-12-01 08:26:00,1.0,7,UK\n",
        "C2,A,X,-1,2010-12-01 08:26:00,1.0,7,UK\n",
        "3,A,X,2,2010-12-01 08:27:00,1.0,7,UK\n",
        "C4,A,X,-3,2010-12-01 08:28:00,1.0,7,UK\n",
        "C4,A,X,-2,2010-12-01 08:28:00,1.0,7,UK\n",
        "4,A,X,two,2010-12-01 08:29:00,1.0,7,UK\n",
        "4,A\n",
    ))
    .unwrap();
    let expected = [
        (2, "non-positive-price"),
        (3, "non-positive-price"),
        (4, "non-positive-quantity"),
        (5, "too-many-decimals"),
        (6, "adjustment"),
        (7, "return-without-customer"),
        (8, "non-negative-credit"),
        (9, "no-earlier-purchase"),
        (11, "only-part-matches"),
        (13, "malformed"),
        (14, "malformed"),
    ];
    assert_eq!(reasons(&plan), expected);
    assert_eq!((plan.orders.len(), plan.returns.len()), (1, 1));
}

#[test]
fn one_credit_note_gives_one_return_an_order() {
    let plan = plan_of(concat!(
        "1,A,X,2,2010-12-01 08:26:00,1.0,7,UK\n",
        "2,A,X,2,2010-12-01 08:27:00,1.0,7,UK\n",
        "C3,A,X,-1,2010-12-01 08:28:00,1.0,7,UK\n",
        "C3,A,X,-2,2010-12-01 08:29:00,1.0,7,UK\n",
    ))
    .unwrap();
    let parts: Vec<_> = plan.returns.iter().map(|part| (part.order, part.lines.clone(), part.sources.clone())).collect();
    assert_eq!(parts, [(1, vec![(1, 2)], vec![4, 5]), (0, vec![(1, 1)], vec![5])]);
    assert!(plan.returns.iter().all(|part| part.at == plan.returns[0].at), "an invoice has one date: its first");
}

#[test]
fn says_that_a_file_must_be_in_order_of_time() {
    let refused = plan_of("1,A,X,2,2010-12-02 08:26:00,1.0,7,UK\n2,A,X,2,2010-12-01 08:27:00,1.0,7,UK\n").unwrap_err();
    assert!(format!("{refused:#}").contains("line 3 is dated before"), "{refused:#}");
}
