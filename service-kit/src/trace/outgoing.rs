//! A request to another service: its span, and the `traceparent` that goes with it.

use std::fmt::Display;

use http::Uri;

use super::{Span, TraceContext};

/// A request that goes out, until this is dropped. Attributes are those of the semantic conventions for HTTP clients; of the URL
/// only the server is told, for paths and queries may be secrets of whoever gave them.
#[derive(Debug)]
pub struct Outgoing {
    context: TraceContext,
    span: Span,
}

impl Outgoing {
    /// Part of what `parent` is about, or the root of a trace of its own.
    pub fn begin(method: &'static str, url: &str, parent: Option<TraceContext>) -> Self {
        let context = parent.map_or_else(TraceContext::new, |parent| parent.child());
        // Whoever runs out of patience drops it.
        let mut span = Span::client(context, parent, || method).unless_done("no-answer");
        if span.is_recorded() {
            span.set("http.request.method", method);
            let url = url.parse::<Uri>().unwrap_or_default();
            if let Some(host) = url.host() {
                span.set("server.address", host.to_owned());
            }
            if let Some(port) = port(&url) {
                span.set("server.port", i64::from(port));
            }
        }
        Self { context, span }
    }

    /// The header that makes the other side part of the same trace.
    pub fn traceparent(&self) -> String {
        self.context.to_string()
    }

    /// An answer came.
    pub fn answered(&mut self, status: u16) {
        self.span.set("http.response.status_code", i64::from(status));
        self.span.done();
        if status >= 400 && self.span.is_recorded() {
            self.span.fail(status.to_string(), "");
        }
    }

    /// None came.
    pub fn failed(&mut self, why: &dyn Display) {
        self.span.fail("no-answer", why);
    }
}

/// The port that a URL means, whether or not it says so.
fn port(url: &Uri) -> Option<u16> {
    url.port_u16().or_else(|| match url.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_port_even_if_it_does_not_say_so() {
        for (url, meant) in [
            ("http://shop.example/", Some(80)),
            ("https://shop.example/", Some(443)),
            ("https://shop.example:8443/", Some(8443)),
            ("http://[::1]:81/", Some(81)),
            ("/orders", None),
        ] {
            assert_eq!(port(&url.parse().unwrap()), meant, "{url}");
        }
    }
}
