//! Passwords: argon2id with the parameters that OWASP names (19 MiB, 2 passes). A few are hashed
//! at a time, so that memory and processors stay bounded, and a few more may wait.
use super::guessable;
use crate::core::{Code, Problem, Result};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};

/// How many may wait for their turn; one more is answered 503.
pub const WAITING: usize = 32;

/// A hash that no password has: unknown accounts are checked against it and cost the same time.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ\
                      $AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Hashes and checks passwords, each on a thread of its own.
pub struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let turns = (std::thread::available_parallelism().map_or(1, usize::from) / 2).clamp(1, 4);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Passwords {
            places: semaphore(turns + WAITING),
            turns: semaphore(turns),
        }
    }
}

impl Passwords {
    /// The PHC string of a password.
    pub async fn hash(&self, password: String) -> Result<String> {
        self.turn(move || hash_now(&password)).await?
    }
    /// Does the password fit the hash? It takes as long without one.
    pub async fn fits(&self, password: String, hash: Option<String>) -> Result<bool> {
        let check = move || {
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(NOBODY));
            let verify = |parsed| Argon2::default().verify_password(password.as_bytes(), &parsed);
            parsed.is_ok_and(|parsed| verify(parsed).is_ok()) && hash.is_some()
        };
        self.turn(check).await
    }
    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(Problem::internal)?;
        let (reply, answer) = oneshot::channel();
        // The turn ends with the work, though whoever asked may be gone.
        let run = move || {
            drop(reply.send(work()));
            drop((turn, place));
        };
        let thread = std::thread::Builder::new().name("password".into());
        thread.spawn(run).map_err(Problem::internal)?;
        answer.await.map_err(Problem::internal)
    }
}

fn busy() -> Problem {
    let detail = "Too many logins are waiting; try again in a few seconds.";
    Problem::new(Code::Unavailable, detail).retry_after(2)
}

fn hash_now(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(Problem::internal)
}

/// Is it long enough (NIST SP 800-63B: at least 12 here, at most 128), and not easily guessed?
/// `about` is what others know of the account: its address, its organization.
pub fn acceptable(pointer: &str, password: &str, about: &[&str]) -> Result<()> {
    if !(12..=128).contains(&password.chars().count()) {
        let words = "use 12 to 128 characters";
        return Err(Problem::invalid_one(pointer, "length", words));
    }
    match guessable::why(password, about) {
        Some(words) => Err(Problem::invalid_one(pointer, "guessable", words)),
        None => Ok(()),
    }
}

/// Seconds to wait after that many failures in a row: none for the first five, then doubling up
/// to a minute. Never for good.
pub fn pause(failures: i32) -> i64 {
    match failures {
        ..5 => 0,
        5..11 => 1 << (failures - 5),
        _ => 60,
    }
}

/// 429 with the seconds to wait.
pub fn too_many(seconds: i64) -> Problem {
    let detail = "Too many failed attempts; wait as long as `Retry-After` says.";
    Problem::new(Code::RateLimited, detail).retry_after(seconds.unsigned_abs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_costs_what_everyone_costs() {
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(
            parameters(NOBODY),
            parameters(&hash_now("x").unwrap_or_default())
        );
        assert!(PasswordHash::new(NOBODY).is_ok());
    }
}
