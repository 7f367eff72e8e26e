//! Who is calling: bearer tokens (JWT, HS256 and nothing else), roles, and the rule of ownership.
//!
//! [`Principal`] is put into a request by `routes` after the token and the role were checked.

mod hs256;
mod service_token;
mod verifier;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::problem::Problem;

pub use service_token::ServiceToken;
pub use verifier::{AuthError, MintError, Verifier, mint};

/// What a caller may do in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A shopper: their own account and orders, nothing else.
    Customer,
    /// The shop's people.
    Staff,
    /// Another service of ours.
    Service,
    /// May do all that staff may.
    Admin,
}

impl Role {
    /// Every role, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::Customer, Self::Staff, Self::Service, Self::Admin];

    fn bit(self) -> u8 {
        match self {
            Self::Customer => 1,
            Self::Staff => 2,
            Self::Service => 4,
            Self::Admin => 8,
        }
    }

    fn from_claim(name: &str) -> Option<Self> {
        match name {
            "customer" => Some(Self::Customer),
            "staff" => Some(Self::Staff),
            "service" => Some(Self::Service),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// An authenticated caller. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    subject: Arc<str>,
    subject_id: Option<Uuid>,
    roles: u8,
    /// None is never.
    refused_from: Option<SystemTime>,
}

impl Principal {
    /// A principal as the token says; tests and in-process callers make their own.
    pub fn new(subject: &str, roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            subject: subject.into(),
            subject_id: subject.parse().ok(),
            roles: roles.into_iter().fold(0, |bits, role| bits | role.bit()),
            refused_from: None,
        }
    }

    /// The same, known by a token that is refused from this moment on.
    #[must_use]
    pub fn refused_from(self, moment: Option<SystemTime>) -> Self {
        Self { refused_from: moment, ..self }
    }

    /// For how long the caller's token will still be taken: what outlives its request ends then. None without an end.
    pub fn time_left(&self) -> Option<Duration> {
        let left = |moment: SystemTime| moment.duration_since(SystemTime::now()).unwrap_or_default();
        self.refused_from.map(left)
    }

    /// The token's `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The token's `sub` as the id of a user, if it is one.
    pub fn subject_id(&self) -> Option<Uuid> {
        self.subject_id
    }

    /// Whether the token carries this role, or is an admin's where staff is asked for.
    pub fn has(&self, role: Role) -> bool {
        let accepted = match role {
            Role::Staff => Role::Staff.bit() | Role::Admin.bit(),
            other => other.bit(),
        };
        self.roles & accepted != 0
    }

    /// Whether any of these roles is held.
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }

    /// Whether this caller is bound to their own data: a customer, and nothing more.
    pub fn is_customer_only(&self) -> bool {
        self.roles == Role::Customer.bit()
    }

    /// Whether this caller may see and change what belongs to `user`: staff, services and admins
    /// always, a customer when it is their own. Answer 404, not 403, where this says no.
    pub fn may_act_for(&self, user: Uuid) -> bool {
        self.has_any(&[Role::Staff, Role::Service]) || (self.has(Role::Customer) && self.subject_id == Some(user))
    }

    /// 403 unless one of these roles is held: for lines of a stream, each checked as its endpoint.
    pub fn require(&self, roles: &[Role]) -> Result<(), Problem> {
        if self.has_any(roles) {
            return Ok(());
        }
        Err(Problem::forbidden("None of your roles may do this."))
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Self>().cloned();
        principal.ok_or_else(|| Problem::unauthenticated("Send Authorization: Bearer TOKEN."))
    }
}

#[cfg(test)]
mod tests;
