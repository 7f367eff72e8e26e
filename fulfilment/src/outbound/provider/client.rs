//! How a provider is reached: HTTP/1.1, over TLS where its URL says so. Redirects are not followed, proxies are not used.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use reqwest::Url;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use service_kit::trace::TRACEPARENT;

use super::{ProviderSettings, answer::Trouble};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);

/// The longest answer that is read: a reference or a reason is far shorter.
const MAX_ANSWER: usize = 64 << 10;

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The provider's key has characters that no header has.
    #[error("the payment provider's key can't be sent in a header")]
    Key,
    /// A certificate of an authority, or TLS itself.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What a provider has answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A client of one provider.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authorization: HeaderValue,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, ClientError> {
        let bearer = format!("Bearer {}", settings.key.expose());
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| ClientError::Key)?;
        authorization.set_sensitive(true);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = HttpsConnectorBuilder::new().with_tls_config(trusting(&settings.authorities)?);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(tls.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Self { http, authorization, timeout: settings.timeout })
    }

    /// Asks once. What is said of trouble names no URL: that has what the provider calls things.
    pub(super) async fn post(&self, url: &Url, key: &str, traceparent: &str, body: Vec<u8>) -> Result<Reply, Trouble> {
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| cannot_be_made());
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().map_err(|_| cannot_be_made())?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(IDEMPOTENCY_KEY, header(key)?);
        headers.insert(TRACEPARENT, header(traceparent)?);
        let asked = tokio::time::timeout(self.timeout, self.exchange(request));
        asked.await.unwrap_or_else(|_| Err(Trouble::unknown("it did not answer in time".to_owned())))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Trouble> {
        let response = self.http.request(request).await.map_err(|error| match error.is_connect() {
            true => Trouble::not_reached(format!("no connection to it: {}", innermost(&error))),
            false => Trouble::unknown(innermost(&error)),
        })?;
        let (parts, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| Trouble::unknown(innermost(&error)))?;
            body.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
            if body.len() > MAX_ANSWER {
                return Err(Trouble::unknown(format!("its answer {} is too long", parts.status)));
            }
        }
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }
}

/// What is asked can't be put into a request.
pub(super) fn cannot_be_made() -> Trouble {
    Trouble::not_asked("the request can't be made".to_owned())
}

/// TLS 1.2 and 1.3, with the authorities that browsers trust and these.
fn trusting(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The innermost cause, which is the one that says something.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
