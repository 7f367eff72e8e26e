//! The provider's book: every call, and what it did, as the fold of its entries.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{Currency, Money, text::PaymentMethod};
use serde::{Deserialize, Serialize};

use super::{behaviour::Behaviour, operation::Operation};

/// One call: a line of the book.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// Under which key.
    pub key: String,
    /// To do what.
    #[serde(flatten)]
    pub operation: Operation,
    /// How it was to be met.
    pub behaviour: Behaviour,
    /// The status of the answer; none where there was to be no answer, or half of one.
    pub status: Option<u16>,
    /// What was done now. None: it had been before, or was not.
    pub effect: Option<Effect>,
}

/// What came of a call, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It was done, and is called so.
    Done(String),
    /// It was refused.
    Refused(Refusal),
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// As an HTTP status.
    pub status: u16,
    /// For programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, code: &str, detail: &str) -> Self {
        Self { status, code: code.to_owned(), detail: detail.to_owned() }
    }
}

/// Money that was set aside.
#[derive(Clone, Debug, Serialize)]
pub struct Authorisation {
    /// What it is called.
    pub id: String,
    /// Under which key.
    pub key: String,
    /// How much.
    pub amount: Money,
    /// Whose. It may ask for trouble.
    #[serde(skip)]
    pub method: PaymentMethod,
    /// In minor units: taken.
    pub captured: u64,
    /// In minor units: paid back.
    pub refunded: u64,
    /// In minor units: given back; none while it can still be.
    pub voided: Option<u64>,
    /// By what it was taken.
    pub captures: Vec<Capture>,
}

/// Money that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Capture {
    /// What it is called.
    pub id: String,
    /// Under which key.
    pub key: String,
    /// In minor units: how much.
    pub amount: u64,
    /// In minor units: paid back of it.
    pub refunded: u64,
}

/// What is known of a key.
#[derive(Clone, Debug, Serialize)]
pub struct Keyed {
    /// What was asked under it.
    #[serde(flatten)]
    pub operation: Operation,
    /// How many times.
    pub asked: u32,
    /// How many times it was done: more than once only by a forgetful provider.
    pub done: u32,
    /// What came of it.
    pub effect: Option<Effect>,
}

/// Minor units of one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Set aside, ever.
    pub authorised: u64,
    /// Taken, ever.
    pub captured: u64,
    /// Paid back.
    pub refunded: u64,
    /// Given back.
    pub voided: u64,
    /// Taken and not paid back.
    pub charged: u64,
    /// Set aside, and neither taken nor given back.
    pub held: u64,
}

/// Everything that the provider was asked and did.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: Vec<Entry>,
    keys: BTreeMap<String, Keyed>,
    authorisations: BTreeMap<String, Authorisation>,
    /// From a capture's id to its authorisation's.
    captures: BTreeMap<String, String>,
}

impl Book {
    /// The book with these lines.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut book = Self::default();
        entries.into_iter().for_each(|entry| book.enter(entry));
        book
    }

    /// Every call.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is known of all keys.
    pub fn keys(&self) -> &BTreeMap<String, Keyed> {
        &self.keys
    }

    /// All authorisations.
    pub fn authorisations(&self) -> &BTreeMap<String, Authorisation> {
        &self.authorisations
    }

    /// The sums, by currency.
    pub fn totals(&self) -> BTreeMap<Currency, Totals> {
        let mut totals: BTreeMap<Currency, Totals> = BTreeMap::new();
        for authorisation in self.authorisations.values() {
            let (total, amount) = (totals.entry(authorisation.amount.currency).or_default(), authorisation.amount.minor.get());
            let voided = authorisation.voided.unwrap_or_default();
            total.authorised += amount;
            total.captured += authorisation.captured;
            total.refunded += authorisation.refunded;
            total.voided += voided;
            total.charged += authorisation.captured - authorisation.refunded;
            total.held += amount - authorisation.captured - voided;
        }
        totals
    }

    /// The method that stands behind an operation, if there is one.
    pub fn method_of<'a>(&'a self, operation: &'a Operation) -> Option<&'a PaymentMethod> {
        let authorisation = match operation {
            Operation::Authorise { method, .. } => return Some(method),
            Operation::Capture { authorisation, .. } | Operation::Void { authorisation } => authorisation,
            Operation::Refund { capture, .. } => self.captures.get(capture)?,
        };
        self.authorisations.get(authorisation).map(|authorisation| &authorisation.method)
    }

    /// Whether an operation may be done now.
    pub fn check(&self, operation: &Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Authorise { amount, .. } => positive(*amount).map(drop),
            Operation::Capture { authorisation, amount } => {
                let found = self.open(authorisation)?;
                fits(*amount, found.amount.currency, found.amount.minor.get() - found.captured)
            }
            Operation::Void { authorisation } => {
                let found = self.open(authorisation)?;
                if found.captured == found.amount.minor.get() {
                    return Err(Refusal::new(409, "nothing-left", "All of it was captured."));
                }
                Ok(())
            }
            Operation::Refund { capture, amount } => {
                let missing = || Refusal::new(404, "no-such-capture", "There is no such capture.");
                let of = self.captures.get(capture).and_then(|id| self.authorisations.get(id)).ok_or_else(missing)?;
                let found = of.captures.iter().find(|found| found.id == *capture).ok_or_else(missing)?;
                fits(*amount, of.amount.currency, found.amount - found.refunded)
            }
        }
    }

    fn open(&self, id: &str) -> Result<&Authorisation, Refusal> {
        let missing = || Refusal::new(404, "no-such-authorisation", "There is no such authorisation.");
        let found = self.authorisations.get(id).ok_or_else(missing)?;
        if found.voided.is_some() {
            return Err(Refusal::new(409, "authorisation-voided", "The authorisation was voided."));
        }
        Ok(found)
    }

    /// Writes a line.
    pub fn enter(&mut self, entry: Entry) {
        let keyed = self.keys.entry(entry.key.clone()).or_insert_with(|| Keyed {
            operation: entry.operation.clone(),
            asked: 0,
            done: 0,
            effect: None,
        });
        keyed.asked += 1;
        if let Some(effect) = &entry.effect {
            keyed.effect = Some(effect.clone());
            if let Effect::Done(id) = effect {
                keyed.done += 1;
                self.apply(id, &entry.key, &entry.operation);
            }
        }
        self.entries.push(entry);
    }

    fn apply(&mut self, id: &str, key: &str, operation: &Operation) {
        let (id, key) = (id.to_owned(), key.to_owned());
        match operation {
            Operation::Authorise { amount, method } => {
                let (amount, method, captures) = (*amount, method.clone(), Vec::new());
                let made =
                    Authorisation { id: id.clone(), key, amount, method, captured: 0, refunded: 0, voided: None, captures };
                self.authorisations.insert(id, made);
            }
            Operation::Capture { authorisation, amount } => {
                if let Some(of) = self.authorisations.get_mut(authorisation) {
                    let amount = amount.minor.get();
                    of.captured += amount;
                    of.captures.push(Capture { id: id.clone(), key, amount, refunded: 0 });
                    self.captures.insert(id, authorisation.clone());
                }
            }
            Operation::Void { authorisation } => {
                if let Some(of) = self.authorisations.get_mut(authorisation) {
                    of.voided = Some(of.amount.minor.get() - of.captured);
                }
            }
            Operation::Refund { capture, amount } => {
                let of = self.captures.get(capture).and_then(|of| self.authorisations.get_mut(of));
                let Some(of) = of else { return };
                let amount = amount.minor.get();
                of.refunded += amount;
                if let Some(capture) = of.captures.iter_mut().find(|found| found.id == *capture) {
                    capture.refunded += amount;
                }
            }
        }
    }
}

fn positive(amount: Money) -> Result<u64, Refusal> {
    match amount.minor.get() {
        0 => Err(Refusal::new(422, "amount-invalid", "An amount is more than nothing.")),
        minor => Ok(minor),
    }
}

fn fits(amount: Money, currency: Currency, left: u64) -> Result<(), Refusal> {
    let minor = positive(amount)?;
    if amount.currency != currency {
        return Err(Refusal::new(422, "wrong-currency", "It is of another currency."));
    }
    if minor > left {
        return Err(Refusal::new(422, "amount-too-large", "That is more than is left."));
    }
    Ok(())
}
