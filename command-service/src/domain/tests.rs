//! Given events, when a command comes, then events follow or a rule refuses it.

mod tidy;

use std::fmt::Debug;

use proptest::{prelude::*, sample::Index};

use super::{Aggregate, Rule};

/// The state after some events.
pub(super) fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(events.into_iter().fold(A::default(), |state, event| state.evolve(&event)))
}

/// A state to ask something of.
pub(super) struct Given<A>(pub(super) A);

impl<A: Aggregate> Given<A> {
    /// Asks it.
    pub(super) fn when(self, command: A::Command) -> Outcome<A> {
        Outcome(self.0.decide(&command))
    }
}

/// What followed.
pub(super) struct Outcome<A: Aggregate>(Result<Vec<A::Event>, A::Error>);

impl<A: Aggregate> Outcome<A>
where
    A::Event: PartialEq + Debug,
    A::Error: PartialEq,
{
    /// Exactly these events follow.
    #[track_caller]
    pub(super) fn then(self, events: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.0, Ok(events.into_iter().collect()));
    }

    /// It is accepted, and nothing follows.
    #[track_caller]
    pub(super) fn changes_nothing(self) {
        self.then([]);
    }

    /// This rule refuses it.
    #[track_caller]
    pub(super) fn refused_by(self, rule: A::Error) {
        assert_eq!(self.0, Err(rule));
    }
}

/// What follows from each command in each state, in words: event types without context and version, or the rule's name.
pub(super) fn table<A: Aggregate>(states: &[(&'static str, A)], commands: &[(&'static str, A::Command)]) -> String {
    let mut table = String::new();
    for (state_name, state) in states {
        for (command_name, command) in commands {
            let outcome = match state.decide(command) {
                Ok(events) if events.is_empty() => "accepted, nothing changes".to_owned(),
                Ok(events) => events.iter().map(fact).collect::<Vec<_>>().join(", "),
                Err(rule) => rule.name().to_owned(),
            };
            table += &format!("{state_name} | {command_name} | {outcome}\n");
        }
    }
    table
}

fn fact<E: events::DomainEvent>(event: &E) -> String {
    event.event_type().split('.').nth(1).unwrap_or_default().to_owned()
}

/// A table as it is written in a test, without its alignment.
pub(super) fn expected(table: &str) -> String {
    let row = |row: &str| row.split('|').map(str::trim).collect::<Vec<_>>().join(" | ") + "\n";
    table.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

/// Asks all commands, one after another; `check` sees each state with the events that led to it. On the way: whatever was
/// decided can be applied, also when it comes back from its JSON, and each state survives a snapshot.
pub(super) fn play<A>(
    commands: &[A::Command],
    mut check: impl FnMut(&A, &[A::Event]) -> Result<(), TestCaseError>,
) -> Result<Vec<A::Event>, TestCaseError>
where
    A: Aggregate + PartialEq + Debug,
    A::Event: PartialEq + Debug,
{
    use events::DomainEvent;

    let (mut state, mut history) = (A::default(), Vec::new());
    for command in commands {
        let decided = state.decide(command).unwrap_or_default();
        for event in &decided {
            let decoded = A::Event::decode(event.event_type(), &event.encode().unwrap()).unwrap();
            prop_assert_eq!(state.clone().evolve(&decoded), state.clone().evolve(event));
            state = state.evolve(event);
        }
        let snapshot: A = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
        prop_assert_eq!(&snapshot, &state);
        history.extend(decided);
        check(&state, &history)?;
    }
    Ok(history)
}

/// Applies events in an order that never was, and asks commands of what comes of it: nothing may panic.
pub(super) fn scramble<A: Aggregate>(history: &[A::Event], order: &[Index], commands: &[A::Command]) {
    if history.is_empty() {
        return;
    }
    let mut state = A::default();
    for index in order {
        state = state.evolve(index.get(history));
        for command in commands {
            for event in state.decide(command).unwrap_or_default() {
                drop(state.clone().evolve(&event));
            }
        }
    }
}
