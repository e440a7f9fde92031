//! Lets in who knows the password, in HAProxy's way (RFC 7617).

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::config::account::{Account, Digest, digest};

/// Lets in who knows the account.
#[derive(Debug)]
pub struct Guard {
    account: Account,
    /// The digest of what was right last: a page that refreshes must not cost a hash each time.
    known: Mutex<Option<Digest>>,
    /// Hashes take memory, so only one is computed at a time.
    turn: Semaphore,
}

impl Guard {
    /// Guards by an account.
    #[must_use]
    pub const fn new(account: Account) -> Self {
        Self { account, known: Mutex::new(None), turn: Semaphore::const_new(1) }
    }

    /// Whether the header `Authorization` is of somebody who may come in.
    pub async fn lets_in(self: &Arc<Self>, authorization: Option<&[u8]>) -> bool {
        let Some(credentials) = authorization.and_then(credentials) else { return false };
        if self.account.is_plain() {
            return self.account.is(&credentials);
        }
        if self.is_known(&credentials) {
            return true;
        }
        let Ok(_turn) = self.turn.acquire().await else { return false };
        // Somebody may have come in meanwhile.
        if self.is_known(&credentials) {
            return true;
        }
        let guard = self.clone();
        let compared = tokio::task::spawn_blocking(move || {
            let is_right = guard.account.is(&credentials);
            if is_right && let Ok(mut known) = guard.known.lock() {
                *known = Some(digest(&credentials));
            }
            is_right
        });
        compared.await.unwrap_or(false)
    }

    fn is_known(&self, credentials: &[u8]) -> bool {
        let Ok(known) = self.known.lock() else { return false };
        known.as_ref().is_some_and(|known| bool::from(known.ct_eq(&digest(credentials))))
    }
}

/// What `Basic …` says.
fn credentials(header: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::account::hash;

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    async fn lets_in(guard: &Arc<Guard>, text: &str) -> bool {
        guard.lets_in(Some(&basic(text))).await
    }

    #[tokio::test]
    async fn only_the_right_user_with_the_right_password_comes_in() {
        let hashed = hash("a:b c".as_bytes()).expect("a hash");
        for account in ["nathan:a:b c".to_owned(), format!("nathan:{hashed}")] {
            let guard = Arc::new(Guard::new(Account::parse(&account).expect("an account")));
            for wrong in
                ["", ":", "nathan", "nathan:", "nathan:a", "nathan:a:b c ", "other:a:b c", "nathan:A:b c"]
            {
                assert!(!lets_in(&guard, wrong).await, "{wrong}");
            }
            assert!(lets_in(&guard, "nathan:a:b c").await);
            assert!(lets_in(&guard, "nathan:a:b c").await, "again");
            assert!(!lets_in(&guard, "nathan:a:b d").await, "nobody comes in behind somebody else");
            assert!(!guard.lets_in(None).await);
            for header in ["Bearer x", "Basic", "Basic !", "basic"] {
                assert!(!guard.lets_in(Some(header.as_bytes())).await, "{header}");
            }
        }
    }
}
