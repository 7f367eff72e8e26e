//! Requests to wherever strangers say. Every address is checked after it was resolved and connected to as it was checked, so
//! a name that means something else a moment later gains nothing; redirects are not followed, proxies are not used, and of an
//! answer only the beginning is read.

use std::{
    error::Error as StdError,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use service_kit::trace::{self, Outgoing, TRACEPARENT};
use tower::Service;

use crate::domain::address::Reachable;

/// What is read of an answer, in bytes.
const MOST_READ: usize = 4 << 10;
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);
/// What this service calls itself.
const USER_AGENT: &str = concat!("orderflow-notifier/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is nobody's business of ours.
    #[error("the address is not public")]
    Refused,
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// It could not be asked, or broke off.
    #[error("{0}")]
    Failed(String),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The beginning of the body as a line of printable text, if it is one.
    #[must_use]
    pub fn excerpt(&self) -> Option<String> {
        /// Characters.
        const EXCERPT: usize = 200;
        let text = String::from_utf8_lossy(&self.body);
        let excerpt: String = text.trim().chars().filter(|letter| !letter.is_control()).take(EXCERPT).collect();
        (!excerpt.is_empty()).then_some(excerpt)
    }
}

/// A client that goes only where it may.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector<CheckingResolver>>, Full<Bytes>>,
    reachable: Arc<Reachable>,
    timeout: Duration,
}

impl HttpClient {
    /// A client for addresses that are `reachable`, whose requests take at most `timeout`.
    #[must_use]
    pub fn new(reachable: Reachable, timeout: Duration) -> Self {
        let reachable = Arc::new(reachable);
        let mut http = HttpConnector::new_with_resolver(CheckingResolver(Arc::clone(&reachable)));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(2)
            .build(https);
        Self { client, reachable, timeout }
    }

    /// Sends `body`.
    pub async fn post(&self, url: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, HttpError> {
        let asked = tokio::time::timeout(self.timeout, self.ask(url, headers, body));
        asked.await.unwrap_or(Err(HttpError::Timeout(self.timeout)))
    }

    /// Whether a host's addresses may be asked: for saying so before anything is sent.
    pub async fn check(&self, host: &str) -> Result<(), HttpError> {
        match literal(host) {
            Some(address) if self.reachable.includes(address) => Ok(()),
            Some(_) => Err(HttpError::Refused),
            None => resolve(&self.reachable, host).await.map(drop),
        }
    }

    async fn ask(&self, url: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, HttpError> {
        // An address in place of a name is not resolved.
        if url.host().and_then(literal).is_some_and(|address| !self.reachable.includes(address)) {
            return Err(HttpError::Refused);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let mut asking = Outgoing::begin("POST", &url.to_string(), trace::current());
        if let Ok(traceparent) = asking.traceparent().try_into() {
            request.headers_mut().insert(TRACEPARENT, traceparent);
        }
        let response = self.client.request(request).await.map_err(|error| explain(&error));
        let response = response.inspect_err(|error| asking.failed(error))?;
        let (parts, mut incoming) = response.into_parts();
        asking.answered(parts.status.as_u16());
        let mut body = Vec::new();
        while body.len() < MOST_READ
            && let Some(frame) = incoming.frame().await
        {
            // The answer counts, not its end.
            let Ok(frame) = frame else { break };
            let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            body.extend_from_slice(&data[..data.len().min(MOST_READ - body.len())]);
        }
        let seconds = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status: parts.status, retry_after: seconds.map(Duration::from_secs), body })
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The innermost cause, which is the one that says something; that of a refused address as such.
fn explain(error: &(dyn StdError + 'static)) -> HttpError {
    let mut innermost = error;
    loop {
        if let Some(HttpError::Refused) = innermost.downcast_ref() {
            return HttpError::Refused;
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => return HttpError::Failed(innermost.to_string()),
        }
    }
}

async fn resolve(reachable: &Reachable, host: &str) -> Result<Vec<SocketAddr>, HttpError> {
    let failed = |error: io::Error| HttpError::Failed(format!("the name can't be resolved: {error}"));
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await.map_err(failed)?.collect();
    // One that is refused spoils all: whoever mixes them wants to have it tried.
    if found.iter().any(|address| !reachable.includes(address.ip())) {
        return Err(HttpError::Refused);
    }
    Ok(found)
}

/// Resolves names to addresses that may be connected to.
#[derive(Clone)]
struct CheckingResolver(Arc<Reachable>);

impl Service<Name> for CheckingResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = HttpError;
    type Future = BoxFuture<'static, Result<Self::Response, HttpError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let reachable = Arc::clone(&self.0);
        async move { resolve(&reachable, name.as_str()).await.map(Vec::into_iter) }.boxed()
    }
}

#[cfg(test)]
mod tests;
