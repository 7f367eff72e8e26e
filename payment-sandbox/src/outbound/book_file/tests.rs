use chrono::DateTime;
use events::text::PaymentMethod;

use super::*;
use crate::domain::{
    behaviour::Behaviour,
    book::{Effect, Refusal},
    operation::Operation,
};

fn entry(key: &str, effect: Option<Effect>) -> Entry {
    let amount = serde_json::from_str(r#"{"minor": 5, "currency": "GBP"}"#).unwrap();
    let operation = Operation::Authorise { amount, method: PaymentMethod::parse("pm_card").unwrap() };
    let status = effect.as_ref().map(|_| 201);
    Entry { at: DateTime::UNIX_EPOCH, key: key.to_owned(), operation, behaviour: Behaviour::HangsOnce, status, effect }
}

#[test]
fn what_was_written_is_read_again_but_not_half_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("book");
    let (mut file, entries) = BookFile::open(&path).unwrap();
    assert!(entries.is_empty());
    let refused = Effect::Refused(Refusal::new(402, "card-declined", "No."));
    for written in [entry("a", Some(Effect::Done("auth_1".to_owned()))), entry("b", Some(refused)), entry("c", None)] {
        file.append(&written).unwrap();
    }
    drop(file);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], &whole[..20]].concat()).unwrap();

    let (mut file, entries) = BookFile::open(&path).unwrap();
    let json = |entries: &[Entry]| entries.iter().map(|entry| serde_json::to_value(entry).unwrap()).collect::<Vec<_>>();
    assert_eq!(entries.len(), 3);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    file.append(&entry("d", None)).unwrap();
    let (_, again) = BookFile::open(&path).unwrap();
    assert_eq!(json(&again[..3]), json(&entries));
    assert_eq!(again[3].key, "d");
}

#[test]
fn another_s_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("book");
    std::fs::write(&path, "Dear diary\n").unwrap();
    let error = BookFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
    assert!(BookFile::open(directory.path()).is_err());
}
