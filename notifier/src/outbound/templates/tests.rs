use events::{Currency, MinorUnits, Money, OrderId, Quantity};
use uuid::Uuid;

use super::*;
use crate::outbound::postgres::letters::Line;

fn gbp(minor: u64) -> Money {
    Money { minor: MinorUnits::new(minor).unwrap(), currency: Currency::GBP }
}

fn order() -> Order {
    let line = |product: &str, pieces, minor| Line {
        product: Some(product.to_owned()),
        quantity: Quantity::new(pieces).unwrap(),
        unit_price: gbp(minor),
        price: gbp(minor * u64::from(pieces)),
    };
    Order { managed: true, lines: vec![line("Lamp <b>brass</b> & more", 2, 1999), line("Candle", 1, 50)], total: gbp(4048) }
}

fn letter(news: News, name: Option<&str>) -> Letter {
    let note = Note { order_id: OrderId(Uuid::from_u128(1)), news, traceparent: None };
    Templates::new("Lamps & Co".to_owned()).unwrap().write(&note, &order(), name).unwrap()
}

#[test]
fn a_letter_has_the_lines_and_the_total() {
    let letter = letter(News::Confirmed, Some("Ann"));
    assert_eq!(letter.subject, "Your order 00000000-0000-0000-0000-000000000001 is confirmed");
    assert_eq!(
        letter.text,
        "Hello Ann,\n\nyour order is confirmed, and we are getting it ready for you.\n\n\
         Order 00000000-0000-0000-0000-000000000001\n\n  \
         2 x Lamp <b>brass</b> & more at 19.99 GBP: 39.98 GBP\n  1 x Candle at 0.50 GBP: 0.50 GBP\n  Total: 40.48 GBP\n\nLamps & Co\n"
    );
}

#[test]
fn html_is_escaped() {
    let letter = letter(News::Cancelled { reason: "<script>alert(1)</script>".to_owned() }, Some("Ann <ann>"));
    for (raw, escaped) in [
        ("<b>brass", "Lamp &lt;b&gt;brass"),
        ("<script>", "&lt;script&gt;alert(1)"),
        ("<ann>", "Ann &lt;ann&gt;"),
        ("Lamps & Co", "Lamps &amp; Co"),
    ] {
        assert!(letter.html.contains(escaped) && !letter.html.contains(raw), "{raw}: {}", letter.html);
    }
    assert!(letter.text.contains("was cancelled: <script>"));
}

#[test]
fn each_kind_tells_its_news() {
    let shipped = |carrier: Option<&str>, tracking: Option<&str>| News::Shipped {
        carrier: carrier.map(str::to_owned),
        tracking: tracking.map(str::to_owned),
    };
    for (news, text) in [
        (shipped(None, None), "your order is on its way.\n"),
        (shipped(Some("Post"), Some("X1")), "your order is on its way with Post. Its tracking code is X1.\n"),
        (News::Refunded { amount: gbp(1999) }, "we have paid 19.99 GBP back to you.\n"),
    ] {
        let letter = letter(news, None);
        assert!(letter.text.contains(text), "{}", letter.text);
        assert!(letter.text.starts_with("Hello,\n") && letter.html.contains(text.trim_end()), "{}", letter.html);
    }
}
