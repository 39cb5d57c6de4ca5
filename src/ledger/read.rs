//! The past: which position a moment is, and what stood there.
use crate::core::{Code, Instant, Invalid, Problem, Result, TenantId, clock};
use crate::db::dialect::NOW;
use crate::db::{Conn, schema::ledger_entries as e, schema::ledger_heads as h};
use chrono::NaiveDate;
use chrono_tz::Tz;
use diesel::prelude::*;
use std::str::FromStr;

/// What `as_of` says: `seq:<n>`, an RFC 3339 instant, or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// After the entry with this number.
    Seq(i64),
    /// After all entries up to this instant.
    RecordId(Instant),
    /// At the end of this day, where the organization is.
    Day(NaiveDate),
}
impl FromStr for AsOf {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let seq = || {
            text.strip_prefix("seq:")?
                .parse()
                .ok()
                .filter(|n| *n >= 0)
                .map(AsOf::Seq)
        };
        let day = || clock::day(text).map(AsOf::Day);
        let at = || text.parse().ok().map(AsOf::RecordId);
        seq().or_else(day).or_else(at).ok_or_else(|| {
            Invalid::query(
                "as_of",
                "as_of",
                "must be an RFC 3339 instant, a date or seq:<n>",
            )
        })
    }
}

/// How many entries all ledgers have.
pub fn entries(conn: &mut Conn) -> Result<i64> {
    Ok(h::table.select(h::size).load::<i64>(conn)?.iter().sum())
}

/// A moment of an organization: which entries are seen, and what the clock of computed values says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The last entry that is seen; [`NOW`] for the present.
    pub seq: i64,
    /// The time then.
    pub at: Instant,
    /// The last entry of all.
    pub last: i64,
    /// The last entry about an account, where it was read: what it says decides how accounts are
    /// called.
    pub accounts: Option<i64>,
}
impl Moment {
    /// The same state, whatever is written from now on.
    pub fn pinned(self) -> Self {
        Moment {
            seq: if self.past() { self.seq } else { self.last },
            ..self
        }
    }
    /// Is it the past?
    pub fn past(&self) -> bool {
        self.seq != NOW
    }
}

/// Where an organization's ledger ends.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The last position; `-1` before the first entry.
    pub last: i64,
    /// The time of the last entry.
    pub at: Instant,
    /// The position of the last entry about an account; `-1` before the first.
    pub accounts: i64,
}

/// Where the ledger ends now.
pub fn end(conn: &mut Conn, tenant: TenantId) -> QueryResult<End> {
    let row = h::table
        .find(tenant)
        .select((h::size, h::last_at, h::accounts_seq));
    row.get_result::<(i64, Instant, i64)>(conn)
        .map(|(size, at, accounts)| End {
            last: size - 1,
            at,
            accounts,
        })
}

/// The first entry that was written then or later. Times never fall along the ledger.
pub fn first_since(conn: &mut Conn, tenant: TenantId, at: Instant) -> QueryResult<Option<i64>> {
    let later = e::table.filter(e::tenant_id.eq(tenant).and(e::at.ge(at)));
    later
        .order((e::at, e::seq))
        .select(e::seq)
        .first(conn)
        .optional()
}

/// The moment that `as_of` means. Later than now is 400.
pub fn moment(
    conn: &mut Conn,
    tenant: TenantId,
    as_of: Option<AsOf>,
    now: Instant,
    zone: Tz,
) -> Result<Moment> {
    let End {
        last,
        at: last_at,
        accounts,
    } = end(conn, tenant)?;
    let accounts = Some(accounts);
    let later = || {
        let fault = Invalid::query("as_of", "later_than_now", "is in the future");
        Problem::new(Code::InvalidParameter, "`as_of` is in the future.").listing(vec![fault])
    };
    let at = match as_of {
        None => {
            return Ok(Moment {
                seq: NOW,
                at: now,
                last,
                accounts,
            });
        }
        Some(AsOf::Seq(seq)) if seq > last => return Err(later()),
        Some(AsOf::Seq(seq)) => {
            let at = e::table
                .find((tenant, seq))
                .select(e::at)
                .get_result(conn)?;
            return Ok(Moment {
                seq,
                at,
                last,
                accounts,
            });
        }
        Some(AsOf::RecordId(at)) => at,
        Some(AsOf::Day(day)) if day == now.day(zone) => now.max(last_at),
        Some(AsOf::Day(day)) => Instant::end_of(day, zone).ok_or_else(later)?,
    };
    if at > now.max(last_at) {
        return Err(later());
    }
    let until = e::table.filter(e::tenant_id.eq(tenant).and(e::at.le(at)));
    let seq: Option<i64> = until
        .order((e::at.desc(), e::seq.desc()))
        .select(e::seq)
        .first(conn)
        .optional()?;
    Ok(Moment {
        seq: seq.unwrap_or(-1),
        at,
        last,
        accounts,
    })
}
