//! Whether a slot has everything, so that what is not there does not exist.
//!
//! Nobody who finds a view asks. Who finds none, and who reads over all partitions, asks in the same transaction as for
//! the data: the answer is about that very moment.

use ::redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, Value};
use events::Context;
use read_model::{Filling, Slot};

use super::{Link, RedisReadError};

/// How far a read model is that lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The context.
    pub context: Context,
    /// Log positions read, of those that were there when it was begun.
    pub done: u64,
    /// Those that are not read yet; none while some partition has not said.
    pub to_do: Option<u64>,
}

impl Progress {
    /// The part that is done, in whole percent; 100 is never said.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let all = self.done + self.to_do?;
        Some((self.done * 100).checked_div(all).unwrap_or(0).min(99))
    }
}

/// What a slot's state says of its goal and its offset.
pub(super) struct Said {
    goal: Option<String>,
    offset: Option<u64>,
    /// See [`Filling`].
    filling: Option<String>,
}

impl Said {
    /// Whether the slot has everything.
    pub(super) fn is_complete(&self) -> bool {
        self.goal.as_deref() == Some("")
    }
}

impl FromRedisValue for Said {
    fn from_redis_value(value: Value) -> Result<Self, ::redis::ParsingError> {
        let (goal, offset, filling) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { goal, offset, filling })
    }
}

/// Adds the question to a pipeline.
pub(super) fn ask(pipeline: &mut Pipeline, slot: &Slot) {
    pipeline.cmd("HMGET").arg(slot.state()).arg(&["goal", "offset", "filling"]);
}

impl Link {
    /// Runs commands over all of these slots, on the connection that is not tracked, and fails unless all are complete.
    pub(super) async fn run_whole<T: FromRedisValue>(
        &self,
        context: Context,
        slots: &[Slot],
        commands: impl FnOnce(&mut Pipeline),
    ) -> Result<T, RedisReadError> {
        let mut pipeline = ::redis::pipe();
        pipeline.atomic();
        for slot in slots {
            ask(&mut pipeline, slot);
        }
        commands(&mut pipeline);
        let mut answers: Vec<Value> = self.run(&pipeline).await?;
        if answers.len() < slots.len() {
            return Err(RedisReadError::Malformed("fewer answers than questions".to_owned()));
        }
        let data = answers.split_off(slots.len());
        let said: Vec<Said> = parsed(Value::Array(answers))?;
        if said.iter().all(Said::is_complete) { parsed(Value::Array(data)) } else { Err(incomplete(context, &said)) }
    }

    /// Fails with the progress of these slots, whatever it is.
    pub(super) async fn incomplete(&self, context: Context, slots: &[Slot]) -> RedisReadError {
        let mut pipeline = ::redis::pipe();
        for slot in slots {
            ask(&mut pipeline, slot);
        }
        match self.run::<Vec<Said>>(&pipeline).await {
            Ok(said) => incomplete(context, &said),
            Err(error) => error,
        }
    }
}

fn incomplete(context: Context, said: &[Said]) -> RedisReadError {
    let mut progress = Progress { context, done: 0, to_do: Some(0) };
    for Said { goal, offset, filling } in said {
        let offset = offset.unwrap_or(0);
        let goal = match goal.as_deref() {
            Some("") => Some(offset),
            Some(goal) => goal.parse::<u64>().ok(),
            None => None,
        };
        let filling = filling.as_deref().and_then(|json| serde_json::from_str::<Filling>(json).ok());
        let offset = filling.map_or(offset, |filling| filling.share_of(goal.unwrap_or(0)).max(offset));
        progress.done += goal.map_or(offset, |goal| goal.min(offset));
        progress.to_do = progress.to_do.zip(goal).map(|(sum, goal)| sum + goal.saturating_sub(offset));
    }
    RedisReadError::Incomplete(progress)
}

fn parsed<T: FromRedisValue>(value: Value) -> Result<T, RedisReadError> {
    T::from_redis_value(value).map_err(|error| {
        let error = RedisError::from((ErrorKind::UnexpectedReturnType, "a reply", error.to_string()));
        RedisReadError::Malformed(error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(said: &[(Option<&str>, Option<u64>)]) -> (u64, Option<u64>, Option<u64>) {
        let said: Vec<_> = said.iter().map(|(goal, offset)| said_of(*goal, *offset)).collect();
        match incomplete(Context::Orders, &said) {
            RedisReadError::Incomplete(progress) => (progress.done, progress.to_do, progress.percent()),
            other => panic!("{other}"),
        }
    }

    fn said_of(goal: Option<&str>, offset: Option<u64>) -> Said {
        Said { goal: goal.map(str::to_owned), offset, filling: None }
    }

    #[test]
    fn what_is_filled_from_the_store_counts_for_as_much_of_the_log() {
        let filling = Filling { offset: 80, heads: vec![30, 10], lanes: vec![10, 0] };
        let filling = Some(serde_json::to_string(&filling).unwrap());
        match incomplete(Context::Orders, &[Said { filling, ..said_of(Some("80"), Some(0)) }]) {
            RedisReadError::Incomplete(progress) => assert_eq!((progress.done, progress.to_do), (20, Some(60))),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn progress_is_added_up_where_it_is_known() {
        assert_eq!(progress(&[(Some("100"), Some(10)), (Some(""), Some(50)), (Some("40"), Some(30))]), (90, Some(100), Some(47)));
        assert_eq!(progress(&[(None, None), (Some("40"), Some(30))]), (30, None, None));
        // Complete by the time it was asked.
        assert_eq!(progress(&[(Some(""), Some(7))]), (7, Some(0), Some(99)));
        assert_eq!(progress(&[(Some(""), Some(0))]), (0, Some(0), Some(0)));
    }
}
