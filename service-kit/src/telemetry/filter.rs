//! What is logged, and changing that while the process runs.

use std::sync::OnceLock;

use tracing_subscriber::{EnvFilter, Registry, reload};

/// Of the process's subscriber, once there is one.
static INSTALLED: OnceLock<LogFilter> = OnceLock::new();

/// The levels by name; a word that is none of these would be taken for a target, and silence all others.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why a text is no filter.
#[derive(Debug, thiserror::Error)]
pub enum UnusableFilter {
    /// It says nothing.
    #[error("is empty: give a level ({}), or target=level directives separated by commas", LEVELS.join(", "))]
    Empty,
    /// A directive that is neither a level nor about a target.
    #[error("{word:?} is none of the levels {}", LEVELS.join(", "))]
    NoLevel {
        /// The directive.
        word: String,
    },
    /// A directive can't be parsed.
    #[error(transparent)]
    Directive(#[from] tracing_subscriber::filter::ParseError),
    /// The subscriber is gone.
    #[error("nothing is logged any more: {0}")]
    Gone(#[from] reload::Error),
}

/// The filter of this process's logs. Cloning is cheap, and all clones are the same filter.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// The one of this process; none before [`super::init`].
    pub fn of_process() -> Option<&'static Self> {
        INSTALLED.get()
    }

    /// What is logged now, as directives.
    pub fn directives(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Logs by these directives, [`parse`]d, from now on.
    pub(crate) fn set(&self, filter: EnvFilter) -> Result<(), UnusableFilter> {
        Ok(self.0.reload(filter)?)
    }
}

/// A level, or `target=level` directives separated by commas.
pub(crate) fn parse(text: &str) -> Result<EnvFilter, UnusableFilter> {
    if text.trim().is_empty() {
        return Err(UnusableFilter::Empty);
    }
    // Within brackets, which are about spans' fields, commas mean something else.
    if !text.contains('[') {
        let mut words = text.split(',').filter(|directive| !directive.is_empty() && !directive.contains('='));
        if let Some(word) = words.find(|word| !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))) {
            return Err(UnusableFilter::NoLevel { word: word.to_owned() });
        }
    }
    Ok(EnvFilter::try_new(text)?)
}

/// A layer that filters what all others get.
pub(super) fn install(filter: EnvFilter) -> reload::Layer<EnvFilter, Registry> {
    let (layer, handle) = reload::Layer::new(filter);
    // Only one subscriber can be the process's; where this is not the first, installing that will fail.
    INSTALLED.get_or_init(|| LogFilter(handle));
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_targets() {
        for text in ["info", "INFO", "warn,projector=debug", "off,hyper=trace,", "info,[partition{kafka.topic=a}]=debug"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in ["", " ", "loud", "info,debgu", "info, debug", "a=b=c", "projector=loud"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_can_be_changed() {
        let (layer, handle) = reload::Layer::new(parse("info").unwrap());
        let filter = LogFilter(handle);
        assert_eq!(filter.directives(), "info");
        filter.set(parse("warn,projector=debug").unwrap()).unwrap();
        assert_eq!(filter.directives(), "projector=debug,warn");
        assert!(parse("loud").unwrap_err().to_string().contains("loud"));
        drop(layer);
        assert!(filter.set(parse("info").unwrap()).is_err());
    }
}
