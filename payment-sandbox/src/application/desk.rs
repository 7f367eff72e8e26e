//! Where calls are taken, one at a time: what is done is in the book before anybody hears of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::{
        behaviour::{Behaviour, Conduct, Telling},
        book::{Book, Effect, Entry, Refusal},
        operation::Operation,
    },
    outbound::book_file::{BookFile, BookFileError},
};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Call {
    /// Under which key.
    pub key: String,
    /// To do what.
    pub operation: Operation,
    /// How the provider is to behave, if the caller says so.
    pub behaviour: Option<Behaviour>,
}

/// What came of it, and how that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What came of it.
    pub answer: Answer,
    /// How that is told.
    pub telling: Telling,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and is called so.
    Done(String),
    /// It is refused.
    Refused(Refusal),
    /// It is not done, by mistake.
    Failed,
    /// It is not done now: this status says why.
    Later(u16),
}

impl From<Effect> for Answer {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Done(id) => Self::Done(id),
            Effect::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl Reply {
    /// The status that goes out, if one does.
    pub fn status(&self) -> Option<u16> {
        match (self.telling, &self.answer) {
            (Telling::Never | Telling::Halfway, _) => None,
            (Telling::Falsely, _) | (_, Answer::Failed) => Some(500),
            (_, Answer::Done(_)) => Some(201),
            (_, Answer::Refused(refusal)) => Some(refusal.status),
            (_, Answer::Later(status)) => Some(*status),
        }
    }
}

/// How many in a hundred are not approved where nobody asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    /// Authorisations that are declined.
    pub declined: u8,
    /// Calls of all kinds that fail at first.
    pub failing: u8,
}

/// The provider.
pub struct Desk {
    chances: Chances,
    state: Mutex<State>,
}

struct State {
    book: Book,
    file: Option<BookFile>,
}

impl Desk {
    /// A provider with an empty book.
    pub fn new(chances: Chances) -> Self {
        Self { chances, state: Mutex::new(State { book: Book::default(), file: None }) }
    }

    /// A provider that goes on with the book in this file.
    pub fn with_file(chances: Chances, file: BookFile, entries: Vec<Entry>) -> Self {
        Self { chances, state: Mutex::new(State { book: Book::of(entries), file: Some(file) }) }
    }

    /// Looks into the book.
    pub fn look<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.lock().book)
    }

    /// Takes a call. An error means that nothing was done, because the book can't be written.
    pub fn take(&self, call: Call, now: DateTime<Utc>) -> Result<Reply, BookFileError> {
        let mut state = self.lock();
        let known = state.book.keys().get(&call.key);
        if known.is_some_and(|known| known.operation != call.operation) {
            let refusal = Refusal::new(422, "idempotency-key-reused", "Something else was asked for under this key.");
            return Ok(Reply { answer: Answer::Refused(refusal), telling: Telling::Truly });
        }
        let (before, earlier) = known.map_or((0, None), |known| (known.asked, known.effect.clone()));
        let behaviour = call.behaviour.unwrap_or_else(|| self.behaviour(&state.book, &call));
        let conduct = behaviour.conduct(before);
        let effect = match conduct {
            Conduct::ServeAgain => Some(serve(&state.book, &call.operation)),
            Conduct::Serve(_) if earlier.is_none() => Some(serve(&state.book, &call.operation)),
            Conduct::Decline if earlier.is_none() => {
                Some(Effect::Refused(Refusal::new(402, "card-declined", "The card was declined.")))
            }
            Conduct::Serve(_) | Conduct::Decline | Conduct::Fail | Conduct::Later(_) | Conduct::Hang => None,
        };
        // One of the two is there wherever it was served or declined.
        let outcome = effect.clone().or(earlier).map_or(Answer::Failed, Answer::from);
        let reply = match conduct {
            Conduct::Serve(telling) => Reply { answer: outcome, telling },
            Conduct::ServeAgain | Conduct::Decline => Reply { answer: outcome, telling: Telling::Truly },
            Conduct::Fail => Reply { answer: Answer::Failed, telling: Telling::Truly },
            Conduct::Later(status) => Reply { answer: Answer::Later(status), telling: Telling::Truly },
            Conduct::Hang => Reply { answer: Answer::Failed, telling: Telling::Never },
        };
        let Call { key, operation, .. } = call;
        let entry = Entry { at: now, key, operation, behaviour, status: reply.status(), effect };
        if let Some(file) = &mut state.file {
            file.append(&entry)?;
        }
        state.book.enter(entry);
        Ok(reply)
    }

    fn behaviour(&self, book: &Book, call: &Call) -> Behaviour {
        let method = book.method_of(&call.operation);
        let asked_for = method.and_then(|method| Behaviour::of_method(method.expose(), &call.operation));
        let Chances { declined, failing } = self.chances;
        asked_for.unwrap_or_else(|| Behaviour::by_chance(&call.key, &call.operation, declined, failing))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(book: &Book, operation: &Operation) -> Effect {
    match book.check(operation) {
        Ok(()) => Effect::Done(format!("{}_{}", operation.prefix(), Uuid::new_v4().simple())),
        Err(refusal) => Effect::Refused(refusal),
    }
}

#[cfg(test)]
mod tests;
