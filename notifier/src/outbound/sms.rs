//! Text messages over a provider's HTTP API: `POST {base}/messages` with `{"to", "text"}` and the message id as
//! `Idempotency-Key`; it answers 2xx with `{"id"}`. Providers differ: this is the place to write another one's.

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde::Deserialize;
use serde_json::json;
use service_kit::config::Secret;

use super::{
    http_client::{Answer, HttpClient},
    personal_keys::PersonalKeys,
    postgres::PostgresStore,
};
use crate::{
    application::sender::{Outcome, Sender, Taken},
    domain::{
        effect::Kind,
        written::{News, Note},
    },
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sends text messages.
pub struct SmsSender {
    store: PostgresStore,
    keys: PersonalKeys,
    client: HttpClient,
    url: Uri,
    token: Option<Secret>,
    shop: String,
}

#[derive(Deserialize)]
struct Receipt {
    id: String,
}

impl SmsSender {
    /// By the provider at `url` (that of its messages).
    #[must_use]
    pub fn new(
        store: PostgresStore,
        keys: PersonalKeys,
        client: HttpClient,
        url: Uri,
        token: Option<Secret>,
        shop: String,
    ) -> Self {
        Self { store, keys, client, url, token, shop }
    }

    async fn deliver(&self, taken: &Taken) -> Outcome {
        let text = match self.text(taken).await {
            Ok(text) => text,
            Err(outcome) => return outcome,
        };
        let phone = match self.phone(taken).await {
            Ok(phone) => phone,
            Err(outcome) => return outcome,
        };
        let body = json!({ "to": phone, "text": text }).to_string();
        match self.client.post(&self.url, self.headers(taken), Bytes::from(body)).await {
            Ok(answer) => judge(&answer),
            Err(error) => Outcome::Failed { status: None, cause: error.to_string(), retry_after: None },
        }
    }

    async fn text(&self, taken: &Taken) -> Result<String, Outcome> {
        let note: Note = serde_json::from_str(&taken.payload).map_err(unwritten)?;
        let News::Shipped { carrier, tracking } = note.news else {
            return Err(unwritten(format!("{} is no news for a text message", Kind::ShippedText.name())));
        };
        let by = carrier.map(|carrier| format!(" by {carrier}")).unwrap_or_default();
        let under = tracking.map(|tracking| format!(", tracking code {tracking}")).unwrap_or_default();
        Ok(format!("{}: your order {} is on its way{by}{under}.", self.shop, note.order_id))
    }

    async fn phone(&self, taken: &Taken) -> Result<String, Outcome> {
        let user = taken.recipient.into();
        let not_yet = |cause: &str| Outcome::NotYet { cause: cause.to_owned() };
        let person = self.store.person(user).await.map_err(|_| not_yet("the user could not be read"))?;
        if person.is_some_and(|person| !person.active) {
            return Err(Outcome::Nobody { cause: "the account is closed" });
        }
        let phone = self.store.phone(user).await.map_err(|_| not_yet("the number could not be read"))?;
        let Some(phone) = phone else { return Err(Outcome::Nobody { cause: "the user has no telephone number" }) };
        let opened = self.keys.open(&phone).await.map_err(|cause| Outcome::NotYet { cause })?;
        let Some(phone) = opened else { return Err(Outcome::Nobody { cause: "the personal data was erased" }) };
        Ok(phone.as_str().to_owned())
    }

    fn headers(&self, taken: &Taken) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = taken.id.to_string().try_into() {
            headers.insert(IDEMPOTENCY_KEY, id);
        }
        let bearer = self.token.as_ref().and_then(|token| HeaderValue::try_from(format!("Bearer {}", token.expose())).ok());
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        headers
    }
}

impl Sender for SmsSender {
    fn send<'a>(&'a self, taken: &'a Taken) -> BoxFuture<'a, Outcome> {
        self.deliver(taken).boxed()
    }
}

fn unwritten(cause: impl std::fmt::Display) -> Outcome {
    Outcome::Rejected { status: None, cause: format!("it can't be written: {cause}") }
}

/// What the provider says of a request is about this message; anything else is about the provider. Its words are not kept: they
/// may have the number in them.
fn judge(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    match status {
        200..=299 => {
            let receipt = serde_json::from_slice::<Receipt>(&answer.body).ok().map(|receipt| receipt.id);
            Outcome::Sent { status: Some(status), receipt }
        }
        400 | 404 | 422 => Outcome::Rejected { status: Some(status), cause: format!("the provider answered {status}") },
        _ => Outcome::Failed {
            status: Some(status),
            cause: format!("the provider answered {status}"),
            retry_after: answer.retry_after,
        },
    }
}
