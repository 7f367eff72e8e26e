//! Routes that are on their way out say so in each answer: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and a link.

use axum::response::Response;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use http::{HeaderName, HeaderValue, header};
use serde_json::Value;

/// That a route is deprecated, from when on it may be gone, and what to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecation {
    since: NaiveDate,
    sunset: NaiveDate,
    see: &'static str,
}

impl Deprecation {
    /// Deprecated since a day, there until another (year, month, day; both begin at midnight, UTC), and a page that says what
    /// to use instead.
    ///
    /// Panics when there is no such day, or when it ends before it begins: both at start-up, where routes are made.
    pub fn new(since: (i32, u32, u32), sunset: (i32, u32, u32), see: &'static str) -> Self {
        let day = |(year, month, day)| NaiveDate::from_ymd_opt(year, month, day).expect("a day of the calendar");
        let (since, sunset) = (day(since), day(sunset));
        assert!(since <= sunset, "a route is not gone before it is deprecated");
        Self { since, sunset, see }
    }

    /// Says so in an answer.
    pub(super) fn tell(&self, response: &mut Response) {
        let headers = response.headers_mut();
        let told = [
            (HeaderName::from_static("deprecation"), format!("@{}", midnight(self.since).timestamp())),
            (HeaderName::from_static("sunset"), midnight(self.sunset).format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            (header::LINK, format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", self.see)),
        ];
        for (name, value) in told {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
    }

    /// What the service's description says of it besides.
    pub(crate) fn extensions(&self) -> [(String, Value); 3] {
        [
            ("x-deprecated-since".to_owned(), self.since.to_string().into()),
            ("x-sunset".to_owned(), self.sunset.to_string().into()),
            ("x-deprecation-link".to_owned(), self.see.into()),
        ]
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
