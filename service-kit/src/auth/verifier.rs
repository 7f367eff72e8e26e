//! Checks tokens, quickly, and mints them for development and for services' own calls.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::{Principal, Role, hs256};
use crate::config::Secret;

/// Seconds for which an expired token is still taken, for clocks that differ a little.
const LEEWAY: u64 = 5;

/// How many verified tokens are remembered, at some 400 bytes each.
const REMEMBERED_TOKENS: usize = 4_096;

/// Longer tokens are refused unread; ours have 200 bytes.
const MAX_TOKEN_LENGTH: usize = 4_096;

/// Why a token was not accepted. The text is sent to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Its `exp` has passed.
    #[error("The token has expired.")]
    Expired,
    /// `nbf` is still to come.
    #[error("The token is not valid yet.")]
    NotYetValid,
    /// A signature by another key, or another algorithm.
    #[error("The token's signature is not valid.")]
    BadSignature,
    /// Not a JWT, or without `sub` or `exp`.
    #[error("The token is malformed.")]
    Malformed,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot mint a token: {0}")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    exp: u64,
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a str,
    roles: &'a [Role],
    iat: u64,
    exp: u64,
}

#[derive(Clone)]
struct Verified {
    principal: Principal,
    expires: u64,
}

/// Checks bearer tokens. Share one: it remembers tokens that it has verified.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
    /// Keyed by the whole token, and holding nothing that was not verified; a caller cannot find
    /// another's entry without having that token.
    verified: Cache<Box<str>, Verified>,
}

impl Verifier {
    /// A verifier for tokens signed with this secret.
    pub fn new(secret: &Secret) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.required_spec_claims = HashSet::from(["exp".to_owned(), "sub".to_owned()]);
        Self { key: DecodingKey::from_secret(secret.expose().as_bytes()), validation, verified: Cache::new(REMEMBERED_TOKENS) }
    }

    /// The caller that this token stands for.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(AuthError::Malformed);
        }
        if let Some(known) = self.verified.get(token) {
            if known.expires + LEEWAY >= jsonwebtoken::get_current_timestamp() {
                return Ok(known.principal);
            }
            self.verified.remove(token);
            return Err(AuthError::Expired);
        }
        let fresh = self.verify_in_full(token)?;
        self.verified.insert(token.into(), fresh.clone());
        Ok(fresh.principal)
    }

    /// Makes the next verification of each token a full one.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.verified.clear();
    }

    fn verify_in_full(&self, token: &str) -> Result<Verified, AuthError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => AuthError::Expired,
                ErrorKind::ImmatureSignature => AuthError::NotYetValid,
                ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => AuthError::BadSignature,
                _ => AuthError::Malformed,
            })?
            .claims;
        // A role that is not known here grants nothing; an identity provider may send more than ours.
        let roles = claims.roles.iter().filter_map(|role| Role::from_claim(role));
        // The first second that `verify` does not take any more.
        let refused = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp.saturating_add(LEEWAY + 1)));
        Ok(Verified { principal: Principal::new(&claims.sub, roles).refused_from(refused), expires: claims.exp })
    }
}

/// A token for `subject` with these roles, valid for `ttl` from now.
pub fn mint(secret: &Secret, subject: &str, roles: &[Role], ttl: Duration) -> Result<String, MintError> {
    hs256::install();
    let iat = jsonwebtoken::get_current_timestamp();
    let claims = NewClaims { sub: subject, roles, iat, exp: iat.saturating_add(ttl.as_secs()) };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}
