//! The token with which a service calls another.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{MintError, Role, mint};
use crate::config::Secret;

/// How long a token is good for, and how long before its end the next one is made.
const LIFE: Duration = Duration::from_secs(600);
const MARGIN: Duration = Duration::from_secs(60);

/// A token with the role of a service, made anew before it expires.
pub struct ServiceToken {
    secret: Secret,
    subject: &'static str,
    current: Mutex<Option<(String, Instant)>>,
}

impl ServiceToken {
    /// For the service of this name, which others trust because they know `secret`.
    pub fn new(secret: Secret, subject: &'static str) -> Self {
        Self { secret, subject, current: Mutex::default() }
    }

    /// A token that is good for a minute at least.
    pub fn get(&self) -> Result<String, MintError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, made)) = &*current
            && made.elapsed() + MARGIN < LIFE
        {
            return Ok(token.clone());
        }
        let fresh = mint(&self.secret, self.subject, &[Role::Service], LIFE)?;
        *current = Some((fresh.clone(), Instant::now()));
        Ok(fresh)
    }
}
