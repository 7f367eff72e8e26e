//! What the handlers say of themselves: the description that `GET /openapi.json` gives and `schemas/openapi` has.

use read_model::{OrderView, PaymentView, ProductView, UserView};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use service_kit::openapi::{About, Answer, Operation, Schemas};

use super::{
    freshness, orders, paging, products as product_lists, stats as statistics, updates as live, users as accounts, view::Resource,
};
use crate::application::{services::Listed, stats::Stats, updates::ChangeJson};

/// The service as a whole.
pub const ABOUT: About = About {
    title: "orderflow query service",
    description: "The read side: orders, users, products and payments as they are, lists, statistics, and live updates.\n\n\
        Customers see what is theirs, and the catalogue; another's is to them as if it did not exist. A command's answer names a version: \
        with `min_version` and `Prefer: wait=SECONDS` a read waits until the view has it. Every answer has an `X-Request-Id`. Errors are \
        `application/problem+json` (RFC 9457). New fields, and new values of those that are one of several, may come at any time: \
        pass over what you don't know. How this interface changes is told in docs/VERSIONING.md.",
    version: env!("CARGO_PKG_VERSION"),
    tags: &[
        ("orders", "Orders, one by one, in lists, and as they change."),
        ("payments", "Payments, without what they are paid with."),
        ("users", "Accounts."),
        ("products", "The catalogue and its stock."),
        ("updates", "What changes, as it changes."),
        ("shop", "The shop as a whole, and the services that it runs on."),
        ("operations", "For machines that watch, and for people who read."),
    ],
};

/// A page of a list, as `respond::page` writes it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
struct PageOf<T> {
    items: Vec<T>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// What the stream missed is not known any more: read your copies anew.
#[derive(Serialize, JsonSchema)]
struct Reset {
    /// `rebuilt` or `lost`.
    cause: String,
}

/// The stream is at its end: another token is needed.
#[derive(Serialize, JsonSchema)]
struct End {
    /// `token-expired`.
    cause: String,
}

/// The read of one view.
pub(super) fn view_of<V: Resource>(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<V>(), "The view.");
    Operation::new(format!("get-{}", V::CONTEXT.singular()), V::CONTEXT.name(), V::SUMMARY)
        .query::<freshness::Parameters>(schemas)
        .heeds("If-None-Match", json!({ "type": "string" }), "The `ETag` of what the caller has; `*` matches all.")
        .heeds("Prefer", json!({ "type": "string" }), "`wait=SECONDS`: how long to wait for `min_version`, at most 30.")
        .answer(200, labelled(answer))
        .answer(304, labelled(Answer::empty("The caller has this version.")))
        .refuses(&[404, 409, 503, 504])
}

pub(super) fn orders(schemas: &mut Schemas) -> Operation {
    let operation = Operation::new("list-orders", "orders", "Orders, the newest first; a customer's own.");
    page::<OrderView>(operation.query::<orders::OrdersQuery>(schemas).refuses(&[404, 410]), schemas)
}

pub(super) fn orders_of_user(schemas: &mut Schemas) -> Operation {
    let operation = Operation::new("list-orders-of-user", "orders", "A user's orders, the newest first.");
    page::<OrderView>(operation.query::<orders::OrdersOfQuery>(schemas).refuses(&[404, 410]), schemas)
}

pub(super) fn payments_of_order(schemas: &mut Schemas) -> Operation {
    let operation = Operation::new("list-payments-of-order", "payments", "An order's payments, the newest first.");
    page::<PaymentView>(operation.query::<paging::Paging>(schemas).refuses(&[404, 410]), schemas)
}

pub(super) fn products(schemas: &mut Schemas) -> Operation {
    let operation = Operation::new("list-products", "products", "Products by name, or those that run short.");
    page::<ProductView>(operation.query::<product_lists::ProductsQuery>(schemas).refuses(&[410]), schemas)
}

pub(super) fn users(schemas: &mut Schemas) -> Operation {
    let operation = Operation::new("find-user", "users", "The user with an e-mail address, as a list of at most one.");
    page::<UserView>(operation.query::<accounts::UsersQuery>(schemas), schemas)
}

pub(super) fn stats(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<Stats>(), "Days on which nothing happened are left out.");
    Operation::new("statistics", "shop", "What was sold, day by day and in all; at most a second old.")
        .query::<statistics::StatsQuery>(schemas)
        .answer(200, answer.always("Cache-Control", "`private, no-cache`."))
        .refuses(&[503])
}

pub(super) fn services(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<Listed>(), "By name and address.");
    Operation::new("list-services", "shop", "Every instance of every service that is known, with its health as it is now.")
        .answer(200, answer)
}

pub(super) fn order_updates(schemas: &mut Schemas) -> Operation {
    let events =
        [("view", schemas.answer::<OrderView>()), ("reset", schemas.answer::<Reset>()), ("end", schemas.answer::<End>())];
    stream(Operation::new("follow-order", "updates", "An order as it is, and then as it becomes."), &events).refuses(&[404])
}

pub(super) fn updates(schemas: &mut Schemas) -> Operation {
    let events = [
        ("change", schemas.answer::<ChangeJson<'static>>()),
        ("reset", schemas.answer::<Reset>()),
        ("end", schemas.answer::<End>()),
    ];
    let operation = Operation::new("follow-changes", "updates", "What changes from now on, anywhere.");
    stream(operation.query::<live::ChangesQuery>(schemas), &events)
}

fn labelled(answer: Answer) -> Answer {
    answer
        .always("ETag", "The version, in quotes.")
        .always("Cache-Control", "`private, no-cache`: what is seen depends on who asks.")
        .header("Preference-Applied", "The wait that was heeded; with `Prefer` and `min_version` only.")
        .header(
            "Orderflow-View",
            "`stale` when later events are known and could not be handled; `stale; parked` when they wait for a person.",
        )
}

fn page<T: JsonSchema>(operation: Operation, schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(schemas.answer::<PageOf<T>>(), "A page.").always("Cache-Control", "`private, no-cache`.");
    operation.answer(200, answer).refuses(&[503])
}

fn stream(operation: Operation, events: &[(&str, service_kit::openapi::Schema)]) -> Operation {
    let answer = Answer::events(
        events,
        "Does not end by itself. A comment (`:`) comes where nothing else does; an event without data only has an `id`.",
    );
    operation
        .about(
            "Server-sent events. Whoever is cut off goes on with the last `id` in `Last-Event-ID`; after `reset` what was missed is not known \
             any more. The stream ends, after `end`, with the token that opened it.",
        )
        .heeds("Last-Event-ID", json!({ "type": "string" }), "Where to go on: the last `id` that was received.")
        .answer(200, answer.always("Cache-Control", "`no-store`."))
        .refuses(&[400, 503])
}
