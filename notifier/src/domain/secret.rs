//! Signing keys of endpoints, and signatures by the Standard Webhooks specification (version 1, symmetric).
//!
//! There is a crate of that name. It brings older versions of four crates that are here already, and its `verify` takes a
//! signature that is cut short for a good one; signing is the line at the end of [`SigningKey::sign`].

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// What a written secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a key, by the specification.
const MIN: usize = 24;
const MAX: usize = 64;

/// The key that an endpoint's deliveries are signed with. `Debug` shows no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

/// The text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and the base64 of {MIN} to {MAX} bytes")]
pub struct SecretError;

impl SigningKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SecretError> {
        if (MIN..=MAX).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(SecretError) }
    }

    /// The key of a written secret; the prefix may be missing.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes = BASE64.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| SecretError)?;
        Self::from_bytes(bytes)
    }

    /// The secret as it is written: for its owner, once.
    #[must_use]
    pub fn written(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.0))
    }

    /// The bytes, for sealing.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of `webhook-signature` for this message, sent at this time (seconds since 1970).
    #[must_use]
    pub fn sign(&self, message_id: Uuid, timestamp: i64, body: &[u8]) -> String {
        self.sign_named(&message_id.to_string(), timestamp, body)
    }

    fn sign_named(&self, message_id: &str, timestamp: i64, body: &[u8]) -> String {
        // HMAC takes keys of any length.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        let mac = mac.chain_update(format!("{message_id}.{timestamp}.")).chain_update(body);
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the specification's own libraries are tested with.
    #[test]
    fn signs_as_the_specification_says() {
        let key = SigningKey::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let signature = key.sign_named("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn every_part_counts() {
        let key = SigningKey::from_bytes(vec![1; 32]).unwrap();
        let signed = key.sign(Uuid::from_u128(1), 2, b"{}");
        assert_ne!(key.sign(Uuid::from_u128(2), 2, b"{}"), signed);
        assert_ne!(key.sign(Uuid::from_u128(1), 3, b"{}"), signed);
        assert_ne!(key.sign(Uuid::from_u128(1), 2, b"{ }"), signed);
        assert_ne!(SigningKey::from_bytes(vec![2; 32]).unwrap().sign(Uuid::from_u128(1), 2, b"{}"), signed);
    }

    #[test]
    fn secrets_are_written_and_read() {
        let key = SigningKey::from_bytes((0..32).collect()).unwrap();
        assert_eq!(SigningKey::parse(&key.written()), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%", &format!("whsec_{}", BASE64.encode([0; 65]))] {
            assert_eq!(SigningKey::parse(bad), Err(SecretError), "{bad}");
        }
    }
}
