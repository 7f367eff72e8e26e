//! `schemas/samples/`: an event of every version ever published, byte for byte. They are history: nothing rewrites them.

use std::collections::BTreeSet;

use events::{
    DataKey, DomainEvent, ProductEvent, UserEvent,
    products::{AdjustmentReason, StockAdjusted},
};
use serde_json::Value;

use crate::catalogue::{EventType, every_type, json_files};

/// The key under which the samples' personal data is sealed.
const SAMPLE_KEY: [u8; 32] = [7; 32];

struct Sample {
    name: String,
    data: String,
    event: EventType,
}

/// `{type}.json` or `{type}.{case}.json`; the file's last line break is not part of the event.
fn samples() -> Vec<Sample> {
    let sample = |(name, text): (String, String)| {
        let type_name = name.split('.').take(3).collect::<Vec<_>>().join(".");
        let event = every_type().into_iter().find(|event| event.name == type_name);
        let event = event.unwrap_or_else(|| panic!("{name}: no such event type"));
        Sample { data: text.trim_end().to_owned(), name, event }
    };
    json_files("samples").into_iter().map(sample).collect()
}

#[test]
fn every_version_ever_published_has_a_sample() {
    let sampled: BTreeSet<_> = samples().iter().map(|sample| sample.event.name).collect();
    let published: BTreeSet<_> = every_type().iter().map(|event| event.name).collect();
    assert_eq!(sampled, published);
}

#[test]
fn samples_decode_and_current_ones_encode_to_the_same_bytes() {
    for Sample { name, data, event } in samples() {
        let (current, encoded) = event.recode(event.name, data.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        if current == event.name {
            assert_eq!(String::from_utf8(encoded).unwrap(), data, "{name}");
        }
    }
}

#[test]
fn samples_fit_their_schema() {
    for Sample { name, data, event } in samples() {
        let validator = jsonschema::options().should_validate_formats(true).build(&event.schema).unwrap();
        let data: Value = serde_json::from_str(&data).unwrap();
        let errors: Vec<_> = validator.iter_errors(&data).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn a_schema_refuses_a_missing_field_as_the_decoder_does() {
    for Sample { name, data, event } in samples() {
        let validator = jsonschema::validator_for(&event.schema).unwrap();
        let Value::Object(members) = serde_json::from_str(&data).unwrap() else { panic!("{name} is no object") };
        for field in members.keys() {
            let mut rest = members.clone();
            rest.remove(field);
            let rest = Value::Object(rest);
            let decodes = event.recode(event.name, rest.to_string().as_bytes()).is_ok();
            assert_eq!(validator.is_valid(&rest), decodes, "{name} without {field}");
        }
    }
}

#[test]
fn a_field_that_was_added_is_passed_over() {
    for Sample { name, data, event } in samples() {
        let Value::Object(mut members) = serde_json::from_str(&data).unwrap() else { panic!("{name} is no object") };
        members.insert("added_in_a_later_year".into(), 1.into());
        let data = Value::Object(members).to_string();
        assert!(event.recode(event.name, data.as_bytes()).is_ok(), "{name}");
    }
}

#[test]
fn version_1_of_a_stock_adjustment_is_lifted_to_one_without_a_known_reason() {
    for (name, delta) in [("product.stock-adjusted.v1", 24), ("product.stock-adjusted.v1.removed", -3)] {
        let sample = samples().into_iter().find(|sample| sample.name == name).unwrap();
        let event = ProductEvent::decode(sample.event.name, sample.data.as_bytes()).unwrap();
        assert_eq!(event, StockAdjusted { delta, reason: AdjustmentReason::Other }.into());
        assert_eq!(event.event_type(), "product.stock-adjusted.v2");
    }
}

#[test]
fn personal_data_that_was_sealed_years_ago_still_opens() {
    let sample = samples().into_iter().find(|sample| sample.name == "user.registered.v1").unwrap();
    let event = UserEvent::decode(sample.event.name, sample.data.as_bytes()).unwrap();
    let UserEvent::Registered(registered) = event else { panic!("{event:?}") };
    let key = DataKey::from_bytes(SAMPLE_KEY);
    assert_eq!(registered.name.open(&key).unwrap().as_str(), "Ann Example");
    assert_eq!(registered.email.open(&key).unwrap().as_str(), "Ann@Example.org");
}
