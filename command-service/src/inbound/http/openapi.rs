//! What the handlers say of themselves: the description that `GET /openapi.json` gives and `schemas/openapi` has.

use events::{Context, DomainEvent, RecordedEvent};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use service_kit::{
    openapi::{About, Answer, Operation, Schemas},
    problem::Problem,
};
use uuid::Uuid;

use super::{
    batch,
    commands::{Accepted, CommandBody, MAX_KEY},
    facts, feed as lane, history, personal_keys as keys,
};
use crate::domain::{
    Aggregate,
    order::{Payer, ProductQuote},
};

/// The service as a whole.
pub const ABOUT: About = About {
    title: "orderflow command service",
    description: "The write side: commands, and the history of what they made.\n\n\
        An accepted command answers with the version that it made: a read with `min_version` at the query service waits for it. With an \
        `Idempotency-Key` a command that is sent again gets the same answer, and happens once. Every answer has an `X-Request-Id`. \
        Errors are `application/problem+json` (RFC 9457). New fields may come at any time: pass over what you don't know. How this \
        interface changes is told in docs/VERSIONING.md.",
    version: env!("CARGO_PKG_VERSION"),
    tags: &[
        ("users", "Accounts."),
        ("products", "The catalogue and its stock."),
        ("orders", "Orders and returns."),
        ("payments", "What a payment provider is asked for, and what it answered. Whoever calls these talks to the provider."),
        ("bulk", "Thousands of commands on one connection."),
        ("services", "For other services."),
        ("operations", "For machines that watch, and for people who read."),
    ],
};

/// The answer to a line of commands, as `batch::write_answer` writes it: `id`, `version`, `lane` and `seq`, or a `problem`.
#[derive(Serialize, JsonSchema)]
struct LineAnswer {
    /// Which line, from 1; blank ones are not counted.
    line: u64,
    /// What the command's own endpoint would have answered with.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<u16>,
    /// Null when there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// That it was answered before.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Problem>")]
    problem: Option<Value>,
}

/// The endpoint of a command.
pub(super) fn command<B: CommandBody>(schemas: &mut Schemas) -> Operation {
    let mut accepted = |meaning| {
        Answer::json(schemas.answer::<Accepted>(), meaning)
            .always("Location", "The aggregate, at the query service.")
            .always("ETag", "Its version, in quotes.")
            .header("Idempotency-Replayed", "`true` on an answer that was given before.")
    };
    let status = B::STATUS.as_u16();
    let (made, nothing) = (accepted("It happened."), accepted("There was nothing to do."));
    let key = json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$" });
    let version = json!({ "type": "string", "pattern": "^\"[0-9]{1,19}\"$" });
    Operation::new(B::NAME, B::CONTEXT.name(), B::SUMMARY)
        .body::<B>(schemas)
        .heeds(
            "Idempotency-Key",
            key,
            "Makes it safe to send the command again, for 24 hours: the same key with another request is refused.",
        )
        .heeds("If-Match", version, "The version that the aggregate must have, in quotes.")
        .answer(200, nothing)
        .answer(status, made)
        .refuses(&[400, 404, 409, 412, 421, 422, 503])
}

pub(super) fn commands(schemas: &mut Schemas) -> Operation {
    let answers =
        Answer::lines(&schemas.answer::<LineAnswer>(), "A line for each command, in their order, as soon as it is known.");
    Operation::new("commands", "bulk", "Runs the commands of a stream of lines, and answers each in a line of its own.")
        .about("Commands on one aggregate run in order; others share batches. A line that is refused does not stop the next.")
        .body_of_lines::<batch::Line>(schemas)
        .answer(200, answers)
}

pub(super) fn events<A: Aggregate>(schemas: &mut Schemas) -> Operation {
    let (context, singular) = context::<A>();
    let answer = Answer::json(schemas.answer::<history::EventsPage>(), "A page, the oldest first.");
    Operation::new(format!("list-{singular}-events"), context.name(), "What has happened, event by event.")
        .about("Personal data shows as it is stored: encrypted.")
        .query::<history::EventsQuery>(schemas)
        .answer(200, answer)
        .refuses(&[404, 421, 503])
}

pub(super) fn state<A: Aggregate>(schemas: &mut Schemas) -> Operation {
    let (context, singular) = context::<A>();
    let answer = Answer::json(schemas.answer::<history::StateAt<Map<String, Value>>>(), "The state at that point.");
    Operation::new(format!("get-{singular}-state"), context.name(), "The state now, at a version, or at a time.")
        .about("Folded from the events. Personal data shows as it is stored: encrypted.")
        .query::<history::StateQuery>(schemas)
        .answer(200, answer)
        .refuses(&[404, 421, 503])
}

pub(super) fn feed(schemas: &mut Schemas) -> Operation {
    let answer = Answer::lines(&schemas.answer::<RecordedEvent>(), "Fewer lines than the limit: the end, for now.");
    Operation::new("read-feed", "services", "A lane's events in the order they were committed.")
        .query::<lane::FeedQuery>(schemas)
        .answer(200, answer)
        .refuses(&[421, 503])
}

pub(super) fn lanes(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<lane::Lanes>(), "All lanes of the context.");
    Operation::new("list-lanes", "services", "How far each lane has come.")
        .query::<lane::LanesQuery>(schemas)
        .answer(200, answer)
        .refuses(&[421, 503])
}

pub(super) fn personal_keys(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<keys::Keys>(), "Keys that were destroyed or never made are absent.");
    Operation::new("get-personal-keys", "services", "The keys that personal data is encrypted under.")
        .body::<keys::Wanted>(schemas)
        .answer(200, answer)
        .refuses(&[421, 503])
}

pub(super) fn quotes(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(
        schemas.answer::<facts::Known<Option<ProductQuote>>>(),
        "In the order of the ids; null where there is no such product.",
    );
    Operation::new("get-quotes", "services", "What an order has to know of products.")
        .body::<facts::Wanted>(schemas)
        .answer(200, answer)
        .refuses(&[421, 503])
}

pub(super) fn payers(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<facts::Known<Payer>>(), "In the order of the ids.");
    Operation::new("get-payers", "services", "What an order has to know of users.")
        .body::<facts::Wanted>(schemas)
        .answer(200, answer)
        .refuses(&[421, 503])
}

fn context<A: Aggregate>() -> (Context, &'static str) {
    let context = <A::Event as DomainEvent>::CONTEXT;
    (context, context.singular())
}
