//! JSON in, with errors that name the field (RFC 6901 pointers); and path and query parameters,
//! with errors that name the parameter.

mod body;
mod params;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::Problem;

pub use body::{Json, MAX_BODY, read_body};
pub use params::{Path, Query};

/// Parses a JSON object. Nothing at all is an empty one, so that commands without data need no body.
pub fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    parse_json_at("", text)
}

/// Parses a JSON object that is part of a larger one: errors point into that, from `prefix` (a JSON pointer) on.
pub fn parse_json_at<T: DeserializeOwned>(prefix: &str, text: &[u8]) -> Result<T, Problem> {
    let text = match text.trim_ascii_start() {
        [] => b"{}",
        // Serde would take a list for a struct, field by field in the order of the source.
        [b'[', ..] => {
            let problem = Problem::invalid_field(prefix, "invalid type: sequence, expected an object");
            return Err(problem);
        }
        _ => text,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = prefix.to_owned() + &pointer_of(&error);
        explain(&error.into_inner(), pointer)
    })?;
    deserializer.end().map_err(|error| explain(&error, prefix.to_owned()))?;
    Ok(value)
}

fn explain(error: &serde_json::Error, pointer: String) -> Problem {
    let text = error.to_string();
    match error.classify() {
        Category::Data => {
            // The position is that of the token after the field: the pointer says it better.
            let position = format!(" at line {} column {}", error.line(), error.column());
            Problem::invalid_field(pointer, text.strip_suffix(&position).unwrap_or(&text))
        }
        Category::Io | Category::Syntax | Category::Eof => {
            Problem::invalid_request("The request body is not JSON.").with_error("", text)
        }
    }
}

fn pointer_of(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in error.path() {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // The variant of an enum is a key in the text; what has no name there adds nothing.
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    // An unknown field is at the end of the path already; these two cannot be.
    let message = error.inner().to_string();
    let named = named_field(&message, "missing field `");
    if let Some(field) = named.or_else(|| named_field(&message, "duplicate field `")) {
        push(&mut pointer, field);
    }
    pointer
}

/// The name of a field in serde's message, which is the only place that has it.
fn named_field<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.split('`').next()
}

fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests;
