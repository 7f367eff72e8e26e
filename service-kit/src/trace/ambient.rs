//! The context of what a task does now, for clients that are behind ports which know nothing of traces.

use super::TraceContext;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Runs `work` as part of this trace: what it asks of others, it asks in the name of `context`. Tasks that it spawns don't
/// belong to it.
pub fn scope<F: Future>(context: TraceContext, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(context, work)
}

/// The context of what this task does now, if that is known.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_known_within_its_scope_only() {
        let context = TraceContext::new();
        assert_eq!(scope(context, async { current() }).await, Some(context));
        assert_eq!(current(), None);
    }
}
