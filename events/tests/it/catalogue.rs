//! Every event type of every context, in one list.

use std::path::PathBuf;

use events::{Context, DecodeError, Event};
use serde_json::Value;

/// One event type, as its context's enum knows it.
pub(crate) struct EventType {
    /// The versioned type name.
    pub(crate) name: &'static str,
    /// The context that it belongs to.
    pub(crate) context: Context,
    /// Its JSON Schema, as the types generate it.
    pub(crate) schema: Value,
}

impl EventType {
    /// Decodes bytes of a type of this one's context and encodes them again: the current type, and the bytes.
    pub(crate) fn recode(&self, event_type: &str, data: &[u8]) -> Result<(&'static str, Vec<u8>), DecodeError> {
        let event = Event::decode(self.context, event_type, data)?;
        Ok((event.event_type(), event.encode().unwrap()))
    }
}

/// Every type that can be read, old versions too.
pub(crate) fn every_type() -> Vec<EventType> {
    Context::ALL.into_iter().flat_map(of).collect()
}

fn of(context: Context) -> impl Iterator<Item = EventType> {
    let schemas = context.schemas();
    let names: Vec<_> = schemas.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, context.types(), "each type has a schema");
    let entry = move |(name, schema)| EventType { name, context, schema: serde_json::to_value(schema).unwrap() };
    schemas.into_iter().map(entry)
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
