//! What logins need besides records: sessions, the hashing of passwords, and a bucket of their own
//! for requests, so that a flood of them delays nobody else.
use super::limit::{Limiter, Standing};
use super::source::Source;
use crate::access::password::Passwords;
use crate::core::{Code, Problem, Result};
use crate::db::opening::Opening;
use crate::db::{Database, Sessions};
use std::path::Path;

/// Requests without a credential that one source may send to `/v1/auth/` at once, and the seconds
/// after which it may again.
const SOURCE: (u32, u32) = (30, 30);
/// The same for all sources.
const TOGETHER: (u32, u32) = (60, 3);

/// Sessions, passwords, buckets.
pub struct Logins {
    sessions: Sessions,
    passwords: Passwords,
    buckets: Option<[Limiter; 2]>,
}

impl Logins {
    /// Opens the store of sessions; `limited` says whether requests are counted.
    pub(super) fn open(database: &Database, folder: &Path, limited: bool) -> Opening<Self> {
        let buckets = || [SOURCE, TOGETHER].map(|(most, seconds)| Limiter::new(most, seconds));
        let sessions = Sessions::open(database, folder)?;
        Ok(Logins {
            sessions,
            passwords: Passwords::default(),
            buckets: limited.then(buckets),
        })
    }
    /// Refresh tokens and counted attempts.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
    /// Hashes and checks passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }
    /// Counts one request to `/v1/auth/`: 429 when its source, or all together, sent too many.
    pub fn count(&self, source: Source) -> Result<()> {
        let Some([each, all]) = &self.buckets else {
            return Ok(());
        };
        let fits =
            |standing: Option<Standing>| match standing.and_then(|standing| standing.retry_after) {
                Some(seconds) => {
                    let detail = "Too many logins; wait as long as `Retry-After` says.";
                    Err(Problem::new(Code::RateLimited, detail).retry_after(seconds))
                }
                None => Ok(()),
            };
        fits(each.take_from(source.0))?;
        fits(all.take_together())
    }
}
