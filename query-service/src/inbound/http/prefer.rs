//! `Prefer: wait=SECONDS` (RFC 7240).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The header that says which preference was heeded.
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Longer waits are cut to this, in seconds: proxies give up on a silent upstream after 60.
const MAX_WAIT: u64 = 30;

/// The preferred wait in whole seconds. What is malformed is as if it were not there, as the RFC demands.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let seconds = values.flat_map(|value| value.split(',')).find_map(wait_of)?;
    Some(Duration::from_secs(seconds.min(MAX_WAIT)))
}

/// The seconds of one preference, if it is `wait`; its parameters, of which none is defined, are passed over.
fn wait_of(preference: &str) -> Option<u64> {
    let (name, value) = preference.split(';').next()?.split_once('=')?;
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let whole = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !name.trim().eq_ignore_ascii_case("wait") || !whole {
        return None;
    }
    // Digits that do not fit are a very long wait.
    Some(value.parse().unwrap_or(u64::MAX))
}

/// The value of `Preference-Applied`.
pub(super) fn applied(wait: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("wait={}", wait.as_secs())).unwrap_or_else(|_| HeaderValue::from_static("wait"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_first_well_formed_wait() {
        for (values, seconds) in [
            (&["wait=5"][..], Some(5)),
            (&["respond-async, WAIT = 7; x=1"], Some(7)),
            (&["return=minimal", "wait=\"3\""], Some(3)),
            (&["wait=x, wait=2"], Some(2)),
            (&["wait=0"], Some(0)),
            (&["wait=31"], Some(30)),
            (&["wait=99999999999999999999999"], Some(30)),
            (&["wait"], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["wait="], None),
            (&["await=1"], None),
            (&[""], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, HeaderValue::from_static(value));
            }
            assert_eq!(wait(&headers), seconds.map(Duration::from_secs), "{values:?}");
        }
    }
}
