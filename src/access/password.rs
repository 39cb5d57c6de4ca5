//! Passwords: argon2id with the parameters that OWASP names (19 MiB, 2 passes), at most two at a time so that memory stays bounded.
use crate::core::{Code, Problem, Result};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A hash that no password has: what unknown accounts are checked against, so that they cost the same time.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("not a password of anyone").unwrap_or_default());

/// Its PHC string.
pub fn hash_now(password: &str) -> Result<String> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(Problem::internal)
}

/// Its PHC string, off the worker threads.
pub async fn hash(password: String) -> Result<String> {
    let _turn = AT_ONCE.acquire().await.map_err(Problem::internal)?;
    actix_web::web::block(move || hash_now(&password)).await.map_err(Problem::internal)?
}

/// Which of these hashes the password fits. Takes as long when there is none to compare.
pub async fn matching(password: String, hashes: Vec<String>) -> Result<Vec<usize>> {
    let _turn = AT_ONCE.acquire().await.map_err(Problem::internal)?;
    let check = move || {
        let fits = |text: &str| {
            PasswordHash::new(text).is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
        };
        if hashes.is_empty() {
            fits(&NOBODY);
        }
        hashes.iter().enumerate().filter(|(_, hash)| fits(hash)).map(|(n, _)| n).collect()
    };
    actix_web::web::block(check).await.map_err(Problem::internal)
}

/// Is it long enough (NIST SP 800-63B: at least 12 here, at most 128)?
pub fn acceptable(password: &str) -> Result<()> {
    match password.chars().count() {
        12..=128 => Ok(()),
        _ => Err(Problem::invalid_one("/password", "length", "a password has 12 to 128 characters")),
    }
}

/// Seconds to wait after that many failures in a row: none for the first five, then doubling up to a minute. Never for good.
pub fn pause(failures: i32) -> i64 {
    match failures {
        ..5 => 0,
        5..11 => 1 << (failures - 5),
        _ => 60,
    }
}

/// 429 with the seconds to wait.
pub fn too_many(seconds: i64) -> Problem {
    Problem::new(Code::RateLimited, "Too many failed attempts; wait a little.").retry_after(seconds.unsigned_abs().max(1))
}
