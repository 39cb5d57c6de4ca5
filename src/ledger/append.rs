//! Append: the one place where an entry is made, and so the one place where a [`Recorded`] is made.
use super::merkle::{self, Peaks};
use crate::access::Actor;
use crate::core::{Id, Instant, Problem, Result, TenantId};
use crate::db::{Conn, schema::ledger_entries as e, schema::ledger_heads as h};
use diesel::prelude::*;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;

/// Rows of one statement.
pub const TOGETHER: usize = 200;

/// Proof that a change is in the ledger (or that there was none to make); holds what the change
/// made.
#[must_use = "a write without its ledger entry is not a write"]
#[derive(Debug)]
pub struct Recorded<T> {
    value: T,
}
impl<T> Recorded<T> {
    /// The answer made of it; the proof stays with it.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Recorded<U> {
        Recorded {
            value: f(self.value),
        }
    }
    /// The same where making the answer can fail.
    pub fn try_map<U>(self, f: impl FnOnce(T) -> Result<U>) -> Result<Recorded<U>> {
        f(self.value).map(|value| Recorded { value })
    }
    /// What was recorded.
    pub fn get(&self) -> &T {
        &self.value
    }
    /// Only the writer opens it, after the commit.
    pub(super) fn open(self) -> T {
        self.value
    }
}

/// Who, when, why, by which request.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The organization.
    pub tenant: TenantId,
    /// Who.
    pub actor: Actor,
    /// The request that caused it.
    pub request: Id,
    /// When; never before the entry before it.
    pub at: Instant,
    /// Why, in the actor's words.
    pub reason: Option<String>,
}

/// What happened to which record.
#[derive(Debug)]
pub struct Change<'a> {
    /// `create`, `update`, `archive`, `restore`, or the word of a workflow.
    pub action: &'a str,
    /// The register.
    pub kind: &'static str,
    /// The record.
    pub record: Id,
    /// Its version after the change.
    pub version: i32,
    /// The whole record after the change but its personal members, canonical JSON (RFC 8785).
    pub body: String,
    /// Its personal members, canonical JSON: the half that can be erased.
    pub personal: Option<String>,
    /// The shape of the two: [`crate::records::Kind::schema`].
    pub schema: i16,
    /// Is the record an account, whose name answers put in?
    pub account: bool,
}

/// The end of an organization's log, and the last number given to a record of each kind.
#[derive(Debug, Clone)]
pub struct Head {
    tenant: TenantId,
    peaks: Peaks,
    last_at: Instant,
    numbers: BTreeMap<String, i64>,
    accounts: i64,
    changed: bool,
    /// The position before which all entries are stored.
    stored: i64,
}

/// An entry that is made but not stored yet.
#[derive(Debug)]
pub struct Entry {
    by: Stamp,
    seq: i64,
    action: String,
    kind: &'static str,
    record: Id,
    version: i32,
    schema: i16,
    body: String,
    body_salt: Salt,
    personal: Option<String>,
    personal_salt: Option<Salt>,
    reason_salt: Option<Salt>,
    leaf: String,
    leaf_hash: [u8; 32],
}
type Salt = [u8; 32];

impl Head {
    /// Locks the organization's log: the first statement of every write. (SQLite's transaction is
    /// the lock.)
    pub fn lock(conn: &mut Conn, tenant: TenantId) -> Result<Head> {
        let row = h::table.find(tenant).select((
            h::size,
            h::peaks,
            h::last_at,
            h::numbers,
            h::accounts_seq,
        ));
        let (size, peaks, last_at, numbers, accounts): (i64, Vec<u8>, Instant, String, i64) =
            match conn {
                Conn::Pg(c) => row.for_update().get_result(c)?,
                Conn::Sqlite(c) => row.get_result(c)?,
            };
        let peaks = Peaks::from_bytes(size.unsigned_abs(), &peaks)
            .ok_or_else(|| Problem::internal("peaks do not fit the size"))?;
        let numbers = serde_json::from_str(&numbers).map_err(Problem::internal)?;
        Ok(Head {
            tenant,
            peaks,
            last_at,
            numbers,
            accounts,
            changed: false,
            stored: size,
        })
    }
    /// Writes it back, once for a batch; nothing where nothing was appended. An entry that was
    /// made and not stored stops the commit.
    pub fn save(&self, conn: &mut Conn) -> Result<()> {
        if self.stored != self.next() {
            return Err(Problem::internal("an entry was not stored"));
        }
        if !self.changed {
            return Ok(());
        }
        let numbers = serde_json::to_string(&self.numbers).map_err(Problem::internal)?;
        let end = (
            h::size.eq(self.next()),
            h::peaks.eq(self.peaks.to_bytes()),
            h::last_at.eq(self.last_at),
        );
        let set = (
            end,
            h::numbers.eq(numbers),
            h::accounts_seq.eq(self.accounts),
        );
        diesel::update(h::table.find(self.tenant))
            .set(set)
            .execute(conn)?;
        Ok(())
    }
    /// What was made so far is stored, whatever is undone from here on.
    pub(crate) fn all_stored(&mut self) {
        self.stored = self.next();
    }
    /// The position that the next entry gets.
    pub fn next(&self) -> i64 {
        self.peaks.size as i64
    }
    /// The time of the last entry.
    pub fn last_at(&self) -> Instant {
        self.last_at
    }
    /// The position of the last entry about an account; `-1` before the first.
    pub fn accounts(&self) -> i64 {
        self.accounts
    }
    /// The next number of a kind; never given twice.
    pub fn number(&mut self, kind: &str) -> i64 {
        self.changed = true;
        let last = self.numbers.entry(kind.to_owned()).or_insert(0);
        *last += 1;
        *last
    }
}

/// Begins the log of a new organization.
pub fn found(conn: &mut Conn, tenant: TenantId, at: Instant) -> QueryResult<usize> {
    let end = (
        h::size.eq(0_i64),
        h::peaks.eq(Vec::new()),
        h::last_at.eq(at),
        h::epoch.eq(0),
    );
    let row = (
        h::tenant_id.eq(tenant),
        end,
        h::numbers.eq("{}"),
        h::accounts_seq.eq(-1_i64),
    );
    diesel::insert_into(h::table).values(row).execute(conn)
}

/// Proof for a request that changes nothing: only while its transaction has appended nothing.
pub fn unchanged<T>(head: &Head, began: i64, value: T) -> Result<Recorded<T>> {
    match head.next() == began {
        true => Ok(Recorded { value }),
        false => Err(Problem::internal("a change was called unchanged")),
    }
}

/// Proof for a record that a write of several leaves as it stands; only
/// [`crate::records::Tx::kept`] calls it.
pub(crate) fn kept<T>(value: T) -> Recorded<T> {
    Recorded { value }
}

/// Appends one entry and gives the proof of it. The entry is [stored](store) before the
/// transaction ends: without it the head cannot be saved.
pub fn append<T>(
    entries: &mut Vec<Entry>,
    head: &mut Head,
    by: &Stamp,
    change: Change<'_>,
    value: T,
) -> Result<Recorded<T>> {
    if by.tenant != head.tenant {
        return Err(Problem::internal("the stamp is of another organization"));
    }
    let seq = head.next();
    let body_salt = salt()?;
    let erasable = |text: Option<&str>| {
        text.map(|text| salt().and_then(|salt| Ok((salt, commitment(&salt, text)?))))
            .transpose()
    };
    let (reason, personal) = (
        erasable(by.reason.as_deref())?,
        erasable(change.personal.as_deref())?,
    );
    let leaf = json!({
        "action": change.action,
        "actor": {"id": by.actor.id, "kind": by.actor.kind, "person_id": by.actor.person_id},
        "body": commitment(&body_salt, &change.body)?,
        "format": "isms.leaf.1",
        "kind": change.kind,
        "personal": personal.as_ref().map(|(_, commitment)| commitment),
        "reason": reason.as_ref().map(|(_, commitment)| commitment),
        "record": change.record,
        "request": by.request,
        "schema": change.schema.to_string(),
        "seq": seq.to_string(),
        "tenant": by.tenant.0,
        "time": by.at,
        "version": change.version.to_string(),
    });
    let leaf = crate::core::json::canonical(&leaf)?;
    let leaf_hash = merkle::leaf(leaf.as_bytes());
    entries.push(Entry {
        by: by.clone(),
        seq,
        action: change.action.to_owned(),
        kind: change.kind,
        record: change.record,
        version: change.version,
        schema: change.schema,
        body: change.body,
        body_salt,
        personal: change.personal,
        personal_salt: personal.map(|(salt, _)| salt),
        reason_salt: reason.map(|(salt, _)| salt),
        leaf,
        leaf_hash,
    });
    head.peaks.push(leaf_hash);
    head.last_at = by.at.max(head.last_at);
    if change.account {
        head.accounts = seq;
    }
    head.changed = true;
    Ok(Recorded { value })
}

/// Stores entries, in the order in which they were made.
pub fn store(conn: &mut Conn, head: &mut Head, entries: &[Entry]) -> Result<()> {
    let row = |entry: &'_ Entry| {
        let Entry { by, .. } = entry;
        (
            (
                e::tenant_id.eq(by.tenant),
                e::seq.eq(entry.seq),
                e::at.eq(by.at),
                e::request_id.eq(by.request),
            ),
            (
                e::actor_kind.eq(by.actor.kind),
                e::actor_id.eq(by.actor.id),
                e::person_id.eq(by.actor.person_id),
            ),
            (
                e::reason.eq(by.reason.clone()),
                e::reason_salt.eq(entry.reason_salt.map(Vec::from)),
            ),
            (
                e::action.eq(entry.action.clone()),
                e::kind.eq(entry.kind),
                e::record_id.eq(entry.record),
                e::record_version.eq(entry.version),
            ),
            (
                e::body.eq(entry.body.clone()),
                e::body_salt.eq(Vec::from(entry.body_salt)),
            ),
            (
                e::personal.eq(entry.personal.clone()),
                e::personal_salt.eq(entry.personal_salt.map(Vec::from)),
            ),
            (
                e::leaf.eq(entry.leaf.clone()),
                e::leaf_hash.eq(Vec::from(entry.leaf_hash)),
                e::schema.eq(entry.schema),
            ),
        )
    };
    for some in entries.chunks(TOGETHER) {
        match some {
            [one] => diesel::insert_into(e::table)
                .values(row(one))
                .execute(conn)?,
            some => {
                let rows: Vec<_> = some.iter().map(row).collect();
                crate::each!(conn, |c| diesel::insert_into(e::table)
                    .values(rows)
                    .execute(c))?
            }
        };
    }
    head.stored += entries.len() as i64;
    Ok(())
}

fn salt() -> Result<Salt> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(Problem::internal)?;
    Ok(salt)
}

/// HMAC-SHA256 under a salt: the leaf commits to the text without containing it.
pub fn commitment(salt: &[u8], text: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).map_err(Problem::internal)?;
    mac.update(text.as_bytes());
    Ok(crate::core::text::hex(&mac.finalize().into_bytes()))
}
