//! Every event type of every context, in one list.

use std::path::PathBuf;

use events::{Context, DecodeError, DomainEvent, OrderEvent, PaymentEvent, ProductEvent, UserEvent};
use serde_json::Value;

/// One event type, as its context's enum knows it.
pub(crate) struct EventType {
    /// The versioned type name.
    pub(crate) name: &'static str,
    /// The context that it belongs to.
    pub(crate) context: Context,
    /// Its JSON Schema, as the types generate it.
    pub(crate) schema: Value,
    /// Decodes bytes of this type and encodes them again: the type that they have then, and the bytes.
    pub(crate) recode: fn(&str, &[u8]) -> Recoded,
}

/// The current type and bytes of an event that was decoded.
type Recoded = Result<(&'static str, Vec<u8>), DecodeError>;

/// Every type that can be read, old versions too.
pub(crate) fn every_type() -> Vec<EventType> {
    [of::<UserEvent>(), of::<ProductEvent>(), of::<OrderEvent>(), of::<PaymentEvent>()].into_iter().flatten().collect()
}

fn of<E: DomainEvent>() -> Vec<EventType> {
    let schemas = E::schemas();
    let names: Vec<_> = schemas.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, E::TYPES, "each type has a schema");
    let entry = |(name, schema): (&'static str, _)| EventType {
        name,
        context: E::CONTEXT,
        schema: serde_json::to_value(schema).unwrap(),
        recode: recode::<E>,
    };
    schemas.into_iter().map(entry).collect()
}

fn recode<E: DomainEvent>(event_type: &str, data: &[u8]) -> Recoded {
    let event = E::decode(event_type, data)?;
    Ok((event.event_type(), event.encode().unwrap()))
}

/// A folder below `schemas/` at the root of the repository.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(name)
}

/// The names and contents of the JSON files in a folder, sorted.
pub(crate) fn json_files(name: &str) -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".json").map(str::to_owned);
    let mut files: Vec<_> = files.filter_map(|path| Some((stem(&path)?, std::fs::read_to_string(&path).unwrap()))).collect();
    files.sort();
    files
}
