//! Deliveries to endpoints: CloudEvents in JSON, signed by the Standard Webhooks specification.

use bytes::Bytes;
use chrono::Utc;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};

use super::{
    http_client::{Answer, HttpClient},
    postgres::PostgresStore,
};
use crate::{
    application::{
        sender::{Outcome, Sender, Taken},
        webhooks::Vault,
    },
    domain::{cloudevent, secret::SigningKey},
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Delivers to endpoints.
pub struct WebhookSender {
    store: PostgresStore,
    vault: Vault,
    client: HttpClient,
}

impl WebhookSender {
    /// With the client that goes only where endpoints may be.
    #[must_use]
    pub fn new(store: PostgresStore, vault: Vault, client: HttpClient) -> Self {
        Self { store, vault, client }
    }

    async fn deliver(&self, taken: &Taken) -> Outcome {
        let destination = match self.store.destination(taken.recipient).await {
            Ok(Some(destination)) => destination,
            Ok(None) => return Outcome::NotYet { cause: "the endpoint is not active".to_owned() },
            Err(error) => {
                tracing::warn!(%error, webhook.id = %taken.recipient, "the endpoint can't be read");
                return Outcome::NotYet { cause: "the endpoint could not be read".to_owned() };
            }
        };
        let key = match self.vault.open(taken.recipient, &destination.secret) {
            Ok(key) => key,
            Err(error) => {
                tracing::error!(%error, webhook.id = %taken.recipient, "the secret can't be opened: is NOTIFIER_KEY the right one?");
                return Outcome::NotYet { cause: "the secret can't be opened".to_owned() };
            }
        };
        let (Ok(url), Some(headers)) = (destination.url.parse::<Uri>(), headers(taken, &key)) else {
            return Outcome::Rejected { status: None, cause: "the URL can't be used".to_owned() };
        };
        match self.client.post(&url, headers, Bytes::copy_from_slice(taken.payload.as_bytes())).await {
            Ok(answer) => judge(&answer),
            Err(error) => Outcome::Failed { status: None, cause: error.to_string(), retry_after: None },
        }
    }
}

impl Sender for WebhookSender {
    fn send<'a>(&'a self, taken: &'a Taken) -> BoxFuture<'a, Outcome> {
        self.deliver(taken).boxed()
    }
}

/// Signed anew at each attempt: receivers refuse old timestamps. The id stays.
fn headers(taken: &Taken, key: &SigningKey) -> Option<HeaderMap> {
    let now = Utc::now().timestamp();
    let signature = key.sign(taken.id, now, taken.payload.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(cloudevent::CONTENT_TYPE));
    headers.insert(ID, taken.id.to_string().try_into().ok()?);
    headers.insert(TIMESTAMP, now.into());
    headers.insert(SIGNATURE, signature.try_into().ok()?);
    Some(headers)
}

fn judge(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    match answer.status {
        code if code.is_success() => Outcome::Sent { status: Some(status), receipt: answer.excerpt() },
        StatusCode::GONE => Outcome::Gone { status },
        code if code.is_redirection() => {
            let cause = format!("it answered {status}: redirects are not followed");
            Outcome::Failed { status: Some(status), cause, retry_after: None }
        }
        _ => Outcome::Failed { status: Some(status), cause: format!("it answered {status}"), retry_after: answer.retry_after },
    }
}
