//! The HTTP client that telemetry goes out by: plain HTTP to a collector beside, on the process's runtime. Exporters run on
//! threads of their own, where there is none.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::runtime::Handle;

use super::tally::Tally;

/// A whole request. Longer, and what comes meanwhile would have no room.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of an answer: how much was refused, and why.
const MOST_READ: usize = 64 << 10;

/// See above. One signal's.
#[derive(Debug)]
pub(super) struct OtlpClient {
    runtime: Handle,
    client: Client<HttpConnector, Full<Bytes>>,
    tally: Arc<Tally>,
}

impl OtlpClient {
    pub(super) fn new(runtime: Handle, tally: Arc<Tally>) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Arc::new(Self { runtime, client, tally })
    }
}

impl HttpClient for OtlpClient {
    fn send_bytes<'client, 'sent>(&'client self, request: Request<Bytes>) -> BoxFuture<'sent, Result<Response<Bytes>, HttpError>>
    where
        'client: 'sent,
        Self: 'sent,
    {
        let (client, tally) = (self.client.clone(), Arc::clone(&self.tally));
        let exchange = async move {
            let response = client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MOST_READ).collect().await?.to_bytes();
            if head.status.is_success() {
                note_refused(&tally, &body);
            }
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // Made in there, too: a timer can't be made on the exporter's thread.
        let running = self.runtime.spawn(async move { tokio::time::timeout(TIMEOUT, exchange).await });
        Box::pin(async move { running.await?? })
    }
}

/// A collector may take a request in part, which the SDK takes for a success. Answers about logs are made as those about traces
/// are; one that is neither says nothing of what was refused.
fn note_refused(tally: &Tally, body: &Bytes) {
    let answer = ExportTraceServiceResponse::decode(body.clone()).unwrap_or_default();
    if let Some(refused) = answer.partial_success.filter(|refused| refused.rejected_spans > 0) {
        tally.refused(refused.rejected_spans, refused.error_message);
    }
}
