//! What a writer tells of itself in traces. A command has a span in its own trace, with its phases; the append that it shares
//! with its batch has one that links to all of them.

use service_kit::trace::{self, Span, SpanKind};

use super::failure::Failure;
use crate::{
    application::command::Submission,
    domain::Aggregate,
    outbound::postgres::{Obstacle, append::Append},
};

/// In the mailbox, or behind another command of the batch.
pub(super) const WAIT: &str = "wait";
/// State is gathered, and the batch decided on it.
pub(super) const DECIDE: &str = "decide";
/// Postgres appends and commits.
pub(super) const COMMIT: &str = "commit";

/// All of these go over to a phase.
pub(super) fn enter<A: Aggregate>(phase: &'static str, submissions: &mut [Submission<A>]) {
    if trace::is_on() {
        submissions.iter_mut().for_each(|submission| submission.span.phase(phase));
    }
}

/// Whether nobody waits for its answer any more; then that is what came of it.
pub(super) fn is_abandoned<A: Aggregate>(submission: &mut Submission<A>) -> bool {
    let is_abandoned = submission.reply.is_closed();
    if is_abandoned {
        submission.span.set("orderflow.outcome", "abandoned");
        submission.span.done();
    }
    is_abandoned
}

/// The append of a batch, for those of its commands that are recorded.
pub(super) fn append<A: Aggregate>(context: &'static str, submissions: &mut [Submission<A>], append: &Append) -> Span {
    if !trace::is_on() {
        return Span::none();
    }
    let members = submissions.iter().filter_map(|submission| submission.span.context());
    let mut span = Span::joining(members, SpanKind::Client, || format!("append {context}")).unless_done("interrupted");
    let Some(joined) = span.context() else { return span };
    span.set("db.system.name", "postgresql");
    span.set("db.operation.name", "append");
    span.set("orderflow.context", context);
    span.set("orderflow.batch.commands", count(submissions.len()));
    span.set("orderflow.batch.events", count(append.events()));
    submissions.iter_mut().for_each(|submission| submission.span.link(joined));
    span
}

/// What came of it. That something stood in the way is no failure: the batch is decided again.
pub(super) fn appended(mut span: Span, appended: &Result<Option<Vec<Obstacle>>, Failure>) {
    match appended {
        Ok(Some(obstacles)) if obstacles.is_empty() => span.set("orderflow.outcome", "stored"),
        Ok(Some(_)) => span.set("orderflow.outcome", "obstacles"),
        Ok(None) => span.set("orderflow.outcome", "conflict"),
        Err(failure) => span.fail(failure.refusal().name(), failure.refusal()),
    }
    span.done();
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
