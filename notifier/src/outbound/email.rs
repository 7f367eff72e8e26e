//! E-mail over SMTP. The address is looked up and opened when a message is sent, and goes nowhere but to the server: neither
//! into the ledger nor into the log, and what a server says is kept only if it can't have the address in it.

use std::time::Duration;

use events::{Personal, UserId, text::Email};
use futures::{FutureExt, future::BoxFuture};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp,
};

use super::{
    personal_keys::PersonalKeys,
    postgres::{
        PostgresStore,
        letters::{Order, Person},
    },
    templates::{Letter, Templates},
};
use crate::{
    application::sender::{Outcome, Sender, Taken},
    domain::written::Note,
};

/// Attempts for which a letter waits for the names of its products; after those it does without.
const TRIES_FOR_NAMES: u32 = 4;
/// Characters of a receipt.
const RECEIPT: usize = 200;

/// Why there is no way to send e-mail.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// `SMTP_URL` can't be used.
    #[error("SMTP_URL: {0}")]
    Url(#[source] smtp::Error),
    /// `MAIL_FROM` is no mailbox.
    #[error("MAIL_FROM: {0}")]
    From(#[from] lettre::address::AddressError),
    /// A template has a mistake.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
}

/// Sends e-mail.
pub struct EmailSender {
    store: PostgresStore,
    keys: PersonalKeys,
    templates: Templates,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    timeout: Duration,
}

/// Somebody to write to.
struct Recipient {
    email: Email,
    name: Option<String>,
}

impl EmailSender {
    /// Over the server at `url` (`smtp://user:password@host:port?tls=required`, `smtps://…`), in the name of `from`.
    pub fn new(
        store: PostgresStore,
        keys: PersonalKeys,
        (url, timeout): (&str, Duration),
        (from, shop): (&str, String),
    ) -> Result<Self, EmailError> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(EmailError::Url)?;
        let transport = builder.timeout(Some(timeout)).build();
        Ok(Self { store, keys, templates: Templates::new(shop)?, transport, from: from.parse()?, timeout })
    }

    async fn deliver(&self, taken: &Taken) -> Outcome {
        let note: Note = match serde_json::from_str(&taken.payload) {
            Ok(note) => note,
            Err(error) => return unwritten(&error),
        };
        let (order, recipient) = match self.gather(&note, taken).await {
            Ok(gathered) => gathered,
            Err(outcome) => return outcome,
        };
        let letter = match self.templates.write(&note, &order, recipient.name.as_deref()) {
            Ok(letter) => letter,
            Err(error) => return unwritten(&error),
        };
        let message = match self.message(taken, letter, &recipient) {
            Ok(message) => message,
            Err(cause) => return Outcome::Rejected { status: None, cause: cause.to_owned() },
        };
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(response)) => Outcome::Sent { status: Some(code(&response.code())), receipt: receipt(&response) },
            Ok(Err(error)) => judge(&error),
            Err(_) => failed(None, format!("no answer within {} s", self.timeout.as_secs_f64())),
        }
    }

    /// What a letter is written from, or why there will be none now.
    async fn gather(&self, note: &Note, taken: &Taken) -> Result<(Order, Recipient), Outcome> {
        let order = self.store.order(note.order_id).await.map_err(|_| not_yet("the order could not be read"))?;
        let order = order.ok_or_else(|| not_yet("the order has not come yet"))?;
        if !order.managed {
            return Err(Outcome::Nobody { cause: "another system carries the order out" });
        }
        if taken.tries < TRIES_FOR_NAMES && order.lines.iter().any(|line| line.product.is_none()) {
            return Err(not_yet("the names of its products have not come yet"));
        }
        let person = self.store.person(UserId(taken.recipient)).await.map_err(|_| not_yet("the user could not be read"))?;
        let person = person.ok_or_else(|| not_yet("the user has not come yet"))?;
        Ok((order, self.open(person).await?))
    }

    async fn open(&self, person: Person) -> Result<Recipient, Outcome> {
        if !person.active {
            return Err(Outcome::Nobody { cause: "the account is closed" });
        }
        let Some(email) = person.email else { return Err(Outcome::Nobody { cause: "the user has no e-mail address" }) };
        let key = self.keys.key(email.kid).await.map_err(|error| not_yet(&error.to_string()))?;
        let Some(key) = key else { return Err(Outcome::Nobody { cause: "the personal data was erased" }) };
        let open_name = |sealed: Personal<_>| sealed.open(&key).ok().map(|name: events::text::PersonName| name.to_string());
        let name = person.name.filter(|name| name.kid == email.kid).and_then(open_name);
        let email = email.open(&key).map_err(|error| not_yet(&error.to_string()))?;
        Ok(Recipient { email, name })
    }

    /// Errors of the builder quote addresses, so they are not passed on.
    fn message(&self, taken: &Taken, letter: Letter, recipient: &Recipient) -> Result<Message, &'static str> {
        let address: Address = recipient.email.as_str().parse().map_err(|_| "the address is none that SMTP takes")?;
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(recipient.name.clone(), address))
            .subject(letter.subject)
            .message_id(Some(format!("<{}@{domain}>", taken.id)))
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html));
        let mut message = message.map_err(|_| "the message can't be built")?;
        // RFC 3834: holiday notices need not answer.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        Ok(message)
    }
}

impl Sender for EmailSender {
    fn send<'a>(&'a self, taken: &'a Taken) -> BoxFuture<'a, Outcome> {
        self.deliver(taken).boxed()
    }
}

fn not_yet(cause: &str) -> Outcome {
    Outcome::NotYet { cause: cause.to_owned() }
}

fn unwritten(error: &dyn std::error::Error) -> Outcome {
    Outcome::Rejected { status: None, cause: format!("it can't be written: {error}") }
}

fn failed(status: Option<u16>, cause: String) -> Outcome {
    Outcome::Failed { status, cause, retry_after: None }
}

fn code(code: &smtp::response::Code) -> u16 {
    code.to_string().parse().unwrap_or_default()
}

/// What the server says of a message that it has taken: as a rule its number in the queue.
fn receipt(response: &smtp::response::Response) -> Option<String> {
    let line = response.first_line().filter(|line| !line.contains('@'))?;
    Some(line.chars().filter(|letter| !letter.is_control()).take(RECEIPT).collect())
}

/// A server that refuses a mailbox for good has nothing against the next one; everything else, wrong credentials too, is
/// about the server.
fn judge(error: &smtp::Error) -> Outcome {
    let status = error.status().map(|status| code(&status));
    match status {
        Some(550..=553 | 556) => {
            Outcome::Rejected { status, cause: format!("the server refuses the address ({})", status.unwrap_or_default()) }
        }
        Some(status) => failed(Some(status), format!("the server answered {status}")),
        None if error.is_timeout() => failed(None, "the server does not answer in time".to_owned()),
        None => failed(None, "the server can't be reached, or broke off".to_owned()),
    }
}
