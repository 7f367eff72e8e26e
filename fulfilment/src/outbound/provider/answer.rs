//! What an answer of the provider means.

use std::time::Duration;

use events::text::{ProviderReference, Reason};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::LONGEST_REST;
use crate::application::provider::Answer;

/// Refusals of the key, not of what was asked: under this key something else was asked, or is being done. What became of
/// that, nobody knows.
const OF_THE_KEY: [&str; 2] = ["idempotency-key-reused", "in-progress"];

/// Why an attempt gave no definite answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// For people: no payment method, no secret, nothing that the provider has said.
    pub(super) why: String,
    /// Whether what was asked may have been done.
    pub(super) may_be_done: bool,
    /// Whether asking again soon may help.
    pub(super) is_worth_another: bool,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    /// It may have been done.
    pub(super) fn unknown(why: String) -> Self {
        Self { why, may_be_done: true, is_worth_another: true, retry_after: None }
    }

    /// It was not asked: nobody was there to be asked.
    pub(super) fn not_reached(why: String) -> Self {
        Self { why, may_be_done: false, is_worth_another: true, retry_after: None }
    }

    /// It was not asked, and will not be for a while.
    pub(super) fn not_asked(why: String) -> Self {
        Self { why, may_be_done: false, is_worth_another: false, retry_after: None }
    }
}

#[derive(Deserialize)]
struct Done {
    id: ProviderReference,
}

#[derive(Deserialize)]
struct Refusal {
    /// That there is one says that it is the provider who refuses, and nobody in between.
    code: String,
    detail: Option<String>,
}

/// Reads an answer.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Trouble> {
    if status.is_success() {
        let done = serde_json::from_slice::<Done>(body);
        return done.map(|done| Answer::Done(done.id)).map_err(|_| Trouble::unknown("its answer can't be read".to_owned()));
    }
    let answered = format!("it answered {}", status.as_u16());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::not_asked(format!("{answered}: is the key right?"))),
        StatusCode::TOO_MANY_REQUESTS => Err(Trouble { retry_after: retry_after(headers), ..Trouble::not_reached(answered) }),
        // Whoever answers may be a proxy that has handed the request on.
        StatusCode::SERVICE_UNAVAILABLE => Err(Trouble { retry_after: retry_after(headers), ..Trouble::unknown(answered) }),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Err(Trouble::unknown(answered)),
        _ if status.is_client_error() => match serde_json::from_slice::<Refusal>(body) {
            Ok(refusal) if OF_THE_KEY.contains(&&*refusal.code) => {
                let why = format!("{answered} {}", refusal.code);
                Err(Trouble { is_worth_another: refusal.code == "in-progress", ..Trouble::unknown(why) })
            }
            Ok(refusal) => reason(&refusal).map(Answer::Refused).ok_or_else(|| Trouble::unknown(answered)),
            Err(_) => Err(Trouble::unknown(answered)),
        },
        _ => Err(Trouble::unknown(answered)),
    }
}

/// In seconds; as a date, providers don't give it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_REST))
}

/// In the provider's words, as far as they fit.
fn reason(refusal: &Refusal) -> Option<Reason> {
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(Reason::MAX).collect::<String>();
    let words = [refusal.detail.as_deref(), Some(&refusal.code)];
    words.into_iter().flatten().find_map(|text| Reason::parse(&clean(text)).ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Answer, Trouble> {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]);
        read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn a_success_with_a_reference_is_done() {
        let done = answer(201, r#"{"id": "auth_1", "status": "authorised"}"#);
        assert_eq!(done, Ok(Answer::Done(ProviderReference::parse("auth_1").unwrap())));
    }

    #[test]
    fn a_refusal_of_the_provider_s_own_is_definite() {
        let refused = |text: &str| Ok(Answer::Refused(Reason::parse(text).unwrap()));
        assert_eq!(answer(402, r#"{"code": "card-declined", "detail": "Not enough\nmoney."}"#), refused("Not enough money."));
        assert_eq!(answer(422, r#"{"code": "amount-too-large"}"#), refused("amount-too-large"));
        let long = format!(r#"{{"code": "x", "detail": "{}"}}"#, "é".repeat(500));
        assert_eq!(answer(404, &long), refused(&"é".repeat(200)));
    }

    #[test]
    fn whatever_is_not_definite_is_unknown() {
        for (status, body) in [
            (200, "<html>"),
            (201, r#"{"id": ""}"#),
            (302, ""),
            (400, "<html>"),
            (404, r#"{"detail": "There is nothing at this path."}"#),
            (408, r#"{"code": "timeout"}"#),
            (409, r#"{"code": "in-progress"}"#),
            (422, r#"{"code": "idempotency-key-reused"}"#),
            (500, r#"{"code": "card-declined"}"#),
            (502, ""),
            (503, ""),
        ] {
            let trouble = answer(status, body).expect_err(body);
            assert!(trouble.may_be_done, "{status} {body}: {trouble:?}");
        }
    }

    #[test]
    fn what_was_turned_away_at_the_door_is_not_done() {
        for status in [401, 403, 429] {
            let trouble = answer(status, r#"{"code": "x"}"#).unwrap_err();
            assert!(!trouble.may_be_done, "{status}: {trouble:?}");
        }
    }

    #[test]
    fn a_busy_provider_says_how_long() {
        for (status, seconds) in [(429, Some(7)), (503, Some(7)), (500, None)] {
            assert_eq!(answer(status, "").unwrap_err().retry_after, seconds.map(Duration::from_secs), "{status}");
        }
    }

    #[test]
    fn a_key_that_was_used_otherwise_is_not_asked_again() {
        assert!(!answer(422, r#"{"code": "idempotency-key-reused"}"#).unwrap_err().is_worth_another);
        assert!(answer(409, r#"{"code": "in-progress"}"#).unwrap_err().is_worth_another);
    }
}
