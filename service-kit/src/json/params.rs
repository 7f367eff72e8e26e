//! Path and query parameters.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::named_field;
use crate::problem::Problem;

/// The parameters in the path; 400 names the one that is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                let names = RawPathParams::from_request_parts(parts, state).await;
                let names = names.iter().flatten().map(|(name, _)| name).collect::<Vec<_>>();
                Err(explain(error.into_kind(), &names))
            }
            Err(other) => Err(Problem::internal(other)),
        }
    }
}

fn explain(kind: ErrorKind, names: &[&str]) -> Problem {
    // A handler that takes one parameter by itself gets errors without its name.
    let only = names.first().copied().unwrap_or_default();
    match kind {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => invalid(&key, expected_type),
        ErrorKind::ParseErrorAtIndex { index, expected_type, .. } => {
            invalid(names.get(index).copied().unwrap_or_default(), expected_type)
        }
        ErrorKind::ParseError { expected_type, .. } => invalid(only, expected_type),
        ErrorKind::DeserializeError { key, message, .. } => Problem::invalid_parameter(key, message),
        ErrorKind::InvalidUtf8InPathParam { key } => Problem::invalid_parameter(key, "is not UTF-8"),
        ErrorKind::Message(message) => Problem::invalid_parameter(only, message),
        // A handler that asks for other parameters than its path has.
        other => Problem::internal(other),
    }
}

fn invalid(name: &str, expected: &str) -> Problem {
    Problem::invalid_parameter(name, format!("is not a valid {expected}"))
}

/// The parameters in the query; 400 names the one that is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let message = error.inner().to_string();
        let path = error.path().to_string();
        let named = named_field(&message, "missing field `").or_else(|| named_field(&message, "duplicate field `"));
        let parameter = named.map_or(path, str::to_owned);
        if parameter == "." {
            return Problem::invalid_request(format!("The query is not valid: {message}"));
        }
        Problem::invalid_parameter(parameter, message)
    })
}
