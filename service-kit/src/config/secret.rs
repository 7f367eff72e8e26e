//! Values that must not appear in a log, a help text or an error.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::ConfigError;

/// A secret setting. `Debug` and `Display` show no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: only for handing it to what needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(value: &str) -> Result<Self, Infallible> {
        Ok(Self::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

/// A secret given as `name` or in the file that `name`_FILE points at (as container platforms
/// mount secrets; one trailing line break is dropped), of at least `min_len` bytes.
pub fn secret_from(value: Option<&Secret>, file: Option<&Path>, name: &str, min_len: usize) -> Result<Secret, ConfigError> {
    let (setting, secret) = match (value, file) {
        (Some(_), Some(_)) => return Err(ConfigError::new(name, format!("give it or {name}_FILE, not both"))),
        (None, None) => return Err(ConfigError::new(name, format!("is required (or {name}_FILE)"))),
        (Some(value), None) => (name.to_owned(), value.clone()),
        (None, Some(path)) => {
            let setting = format!("{name}_FILE");
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigError::new(&*setting, format!("cannot read {}: {error}", path.display())))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            (setting, Secret::new(line.strip_suffix('\r').unwrap_or(line)))
        }
    };
    if secret.0.len() < min_len {
        return Err(ConfigError::new(setting, format!("must have at least {min_len} bytes, has {}", secret.0.len())));
    }
    Ok(secret)
}
