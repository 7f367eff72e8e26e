//! Personal data in events: encrypted under a key of that person's own, so that erasing a person is destroying a key.
//!
//! AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D; one key encrypts a few texts in its life, far below the
//! 2^32 bound), and the key's id as associated data, so that a ciphertext can't be moved to another person.

use std::{fmt, marker::PhantomData};

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, Generate, Key, KeyInit, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

const NONCE_BYTES: usize = 12;

/// The key under which one person's data is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// A new random key from the operating system.
    #[must_use]
    pub fn generate() -> Self {
        Self(Key::<Aes256Gcm>::generate().into())
    }

    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for wrapping.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key from its base64 form of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, PersonalError> {
        let bytes = BASE64.decode(text.trim()).map_err(|_| PersonalError::Malformed)?;
        bytes.try_into().map(Self).map_err(|_| PersonalError::Malformed)
    }

    /// The base64 form.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.0)
    }

    /// Encrypts bytes: nonce, then ciphertext and tag.
    pub fn seal_bytes(&self, key_id: Uuid, plain: &[u8]) -> Result<Vec<u8>, PersonalError> {
        let nonce = Nonce::generate();
        let mut sealed = nonce.to_vec();
        let payload = Payload { msg: plain, aad: key_id.as_bytes() };
        sealed.extend(self.cipher().encrypt(&nonce, payload).map_err(|_| PersonalError::Encrypt)?);
        Ok(sealed)
    }

    /// Decrypts what [`Self::seal_bytes`] made.
    pub fn open_bytes(&self, key_id: Uuid, sealed: &[u8]) -> Result<Vec<u8>, PersonalError> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or(PersonalError::Malformed)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| PersonalError::Malformed)?;
        let payload = Payload { msg: ciphertext, aad: key_id.as_bytes() };
        self.cipher().decrypt(&nonce, payload).map_err(|_| PersonalError::WrongKey)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.0.into())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// Why personal data could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PersonalError {
    /// Not base64, or too short.
    #[error("the sealed personal data is malformed")]
    Malformed,
    /// Another key, another person, or changed bytes.
    #[error("the key does not open this personal data")]
    WrongKey,
    /// The value can't be encrypted.
    #[error("the personal data can't be encrypted")]
    Encrypt,
    /// What was inside is no valid value.
    #[error("the opened personal data is no valid value")]
    Invalid,
}

/// A value that only the holder of a person's key can read. On the wire: the key's id and base64 of nonce, ciphertext and tag.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "")]
#[schemars(inline)]
pub struct Personal<T> {
    /// The id of the key: today the user's id.
    pub kid: Uuid,
    /// Base64 of nonce, ciphertext and tag.
    pub ct: String,
    #[serde(skip)]
    #[schemars(skip)]
    value: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Personal<T> {
    /// Encrypts `value` (its JSON).
    pub fn seal(key_id: Uuid, key: &DataKey, value: &T) -> Result<Self, PersonalError> {
        let plain = serde_json::to_vec(value).map_err(|_| PersonalError::Encrypt)?;
        let ct = BASE64.encode(key.seal_bytes(key_id, &plain)?);
        Ok(Self { kid: key_id, ct, value: PhantomData })
    }

    /// Decrypts the value.
    pub fn open(&self, key: &DataKey) -> Result<T, PersonalError> {
        let sealed = BASE64.decode(&self.ct).map_err(|_| PersonalError::Malformed)?;
        let plain = key.open_bytes(self.kid, &sealed)?;
        serde_json::from_slice(&plain).map_err(|_| PersonalError::Invalid)
    }
}

impl<T> Clone for Personal<T> {
    fn clone(&self) -> Self {
        Self { kid: self.kid, ct: self.ct.clone(), value: PhantomData }
    }
}

impl<T> PartialEq for Personal<T> {
    fn eq(&self, other: &Self) -> bool {
        self.kid == other.kid && self.ct == other.ct
    }
}

impl<T> Eq for Personal<T> {}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Personal({})", self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::PersonName;

    #[test]
    fn opens_with_its_own_key_only() {
        let (person, key) = (Uuid::from_u128(1), DataKey::generate());
        let name = PersonName::parse("Ann").unwrap();
        let sealed = Personal::seal(person, &key, &name).unwrap();
        assert_eq!(sealed.open(&key), Ok(name));
        assert_eq!(sealed.open(&DataKey::generate()), Err(PersonalError::WrongKey));
        let moved = Personal::<PersonName> { kid: Uuid::from_u128(2), ..sealed };
        assert_eq!(moved.open(&key), Err(PersonalError::WrongKey));
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let (person, key) = (Uuid::from_u128(1), DataKey::generate());
        let name = PersonName::parse("Ann").unwrap();
        let seal = || Personal::seal(person, &key, &name).unwrap();
        assert_ne!(seal().ct, seal().ct);
        assert!(!serde_json::to_string(&seal()).unwrap().contains("Ann"));
    }
}
