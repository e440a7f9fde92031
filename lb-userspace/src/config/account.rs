//! Who may see the statistics: a user and a password.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// What a password's hash begins with in the file.
const HASHED: &str = "$argon2";

/// Who may see it, as the configuration says: `user:password`, or `user:` and a password's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    user: String,
    secret: Secret,
}

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Plain(String),
    Hashed(String),
}

impl Account {
    /// Reads `user:password`; none if it is neither that nor a hash that can be compared with.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (user, password) = text.split_once(':')?;
        if user.is_empty() || password.is_empty() {
            return None;
        }
        let secret = if password.starts_with(HASHED) {
            PasswordHash::new(password).ok()?.hash?;
            Secret::Hashed(password.to_owned())
        } else {
            Secret::Plain(password.to_owned())
        };
        Some(Self { user: user.to_owned(), secret })
    }

    /// Whether the file has the password itself.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        matches!(self.secret, Secret::Plain(_))
    }

    /// Whether `user:password` is this account. Takes as long for a wrong one as for the right one; a hash takes
    /// tens of milliseconds by design.
    #[must_use]
    pub fn is(&self, credentials: &[u8]) -> bool {
        match &self.secret {
            Secret::Plain(password) => {
                let wanted = digest(format!("{}:{password}", self.user).as_bytes());
                bool::from(wanted.ct_eq(&digest(credentials)))
            }
            Secret::Hashed(hash) => {
                let colon = credentials.iter().position(|byte| *byte == b':');
                let (user, password) = credentials.split_at(colon.unwrap_or(credentials.len()));
                let password = password.strip_prefix(b":").unwrap_or_default();
                let verified = PasswordHash::new(hash)
                    .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
                bool::from(digest(self.user.as_bytes()).ct_eq(&digest(user))) & verified
            }
        }
    }
}

impl fmt::Debug for Account {
    /// The password stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What stands for a text where two are compared: of one length, so that not even that is told.
pub type Digest = [u8; 32];

/// The digest of a text (SHA-256).
#[must_use]
pub fn digest(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// A password's hash as the configuration takes it.
pub fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
    Ok(Argon2::default().hash_password(password, &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_account_is_refused() {
        for text in ["", "nathan", ":secret", "nathan:", "nathan:$argon2id$v=19$broken"] {
            assert!(Account::parse(text).is_none(), "{text}");
        }
        assert!(Account::parse("nathan:secret").expect("one").is_plain());
    }

    #[test]
    fn a_password_is_not_shown() {
        let account = Account::parse("nathan:secret").expect("one");
        assert!(!format!("{account:?}").contains("secret"));
    }
}
