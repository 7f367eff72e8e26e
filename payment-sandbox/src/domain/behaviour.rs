//! How the provider behaves: the table is in the README.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::operation::Operation;

/// How the provider behaves towards one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Does what is asked.
    #[default]
    Approved,
    /// Refuses.
    Declined,
    /// Answers late.
    Slow,
    /// Never does it.
    Fails,
    /// Does it at the third time.
    FailsTwice,
    /// Does it, and tells at the third time.
    Unknown,
    /// Does it, and never tells.
    Lost,
    /// Does it, and never answers.
    Hangs,
    /// Does it, and answers at the second time.
    HangsOnce,
    /// Does it at the second time, and answers nothing at the first.
    HangsBefore,
    /// Does it, and answers so that it can be read at the second time.
    Garbled,
    /// Has too much to do at the first time.
    Busy,
    /// Is away at the first time.
    Away,
    /// Does it each time anew.
    Forgetful,
}

/// What is done with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It is done unless it was, and the answer is what came of it.
    Serve(Telling),
    /// It is done whether or not it was.
    ServeAgain,
    /// It is refused, for ever.
    Decline,
    /// It is not done, and the answer is 500.
    Fail,
    /// It is not done, and the answer is this status, with a `Retry-After`.
    Later(u16),
    /// It is not done, and there is no answer.
    Hang,
}

/// How it is told what came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// As it is.
    Truly,
    /// As it is, after a while.
    Late,
    /// By a 500.
    Falsely,
    /// Half of it.
    Halfway,
    /// Not at all.
    Never,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Approved,
        Self::Declined,
        Self::Slow,
        Self::Fails,
        Self::FailsTwice,
        Self::Unknown,
        Self::Lost,
        Self::Hangs,
        Self::HangsOnce,
        Self::HangsBefore,
        Self::Garbled,
        Self::Busy,
        Self::Away,
        Self::Forgetful,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Slow => "slow",
            Self::Fails => "fails",
            Self::FailsTwice => "fails_twice",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
            Self::Hangs => "hangs",
            Self::HangsOnce => "hangs_once",
            Self::HangsBefore => "hangs_before",
            Self::Garbled => "garbled",
            Self::Busy => "busy",
            Self::Away => "away",
            Self::Forgetful => "forgetful",
        }
    }

    /// What is done with a call before which its key was asked `before` times.
    pub fn conduct(self, before: u32) -> Conduct {
        use Telling::{Falsely, Halfway, Late, Never, Truly};
        match (self, before) {
            (Self::Declined, _) => Conduct::Decline,
            (Self::Slow, _) => Conduct::Serve(Late),
            (Self::Fails, _) | (Self::FailsTwice, 0 | 1) => Conduct::Fail,
            (Self::Lost, _) | (Self::Unknown, 0 | 1) => Conduct::Serve(Falsely),
            (Self::Hangs, _) | (Self::HangsOnce, 0) => Conduct::Serve(Never),
            (Self::HangsBefore, 0) => Conduct::Hang,
            (Self::Garbled, 0) => Conduct::Serve(Halfway),
            (Self::Busy, 0) => Conduct::Later(429),
            (Self::Away, 0) => Conduct::Later(503),
            (Self::Forgetful, _) => Conduct::ServeAgain,
            _ => Conduct::Serve(Truly),
        }
    }

    /// The one that a payment method asks for when this is done: `pm_slow` when authorising, `pm_capture_slow` when capturing.
    pub fn of_method(method: &str, operation: &Operation) -> Option<Self> {
        let name = method.strip_prefix("pm_")?;
        let of_this = name.strip_prefix(operation.name()).and_then(|rest| rest.strip_prefix('_'));
        match (of_this, operation) {
            (Some(name), _) => name.parse().ok(),
            (None, Operation::Authorise { .. }) => name.parse().ok(),
            (None, _) => None,
        }
    }

    /// The one that falls to a key by chance, the same each time, where so many in a hundred are not approved.
    pub fn by_chance(key: &str, operation: &Operation, declined: u8, failing: u8) -> Self {
        // A hash whose digits are as good as thrown.
        let throw = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()).as_u128();
        let (first, second) = (throw % 100, throw / 100 % 100);
        if matches!(operation, Operation::Authorise { .. }) && first < u128::from(declined) {
            return Self::Declined;
        }
        if second >= u128::from(failing) {
            return Self::Approved;
        }
        if (throw / 10_000).is_multiple_of(2) { Self::FailsTwice } else { Self::Unknown }
    }
}

/// There is no such behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such behaviour; the README has a table of them")]
pub struct UnknownBehaviour;

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    fn from_str(name: &str) -> Result<Self, UnknownBehaviour> {
        Self::ALL.into_iter().find(|behaviour| behaviour.name() == name).ok_or(UnknownBehaviour)
    }
}
