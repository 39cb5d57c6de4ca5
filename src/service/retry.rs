//! Retries that have their effect once: the answer of a POST is stored with its effect, under the
//! caller's `Idempotency-Key`, for 24 hours.
use super::answer::{Answer, Keep};
use crate::access::Caller;
use crate::access::token::Tokens;
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use crate::db::{Conn, schema::idempotency_keys as i};
use crate::records::Reader;
use actix_web::http::StatusCode;
use diesel::prelude::*;

const KEPT_MILLIS: i64 = 24 * 3600 * 1000;
/// Old answers that one request drops, more or less.
const SWEPT: i64 = 20;

/// One attempt at an effect.
#[derive(Debug, Clone)]
pub struct Attempt {
    key: String,
    operation: String,
    fingerprint: [u8; 32],
}

/// Fingerprint, status, entity tag, location, body; what its caller saw, and the entries that it
/// wrote.
type Stored = (
    (Vec<u8>, i32, Option<String>, Option<String>, String),
    (i64, i64, i64),
);

/// A stored answer.
#[derive(Debug)]
pub struct Replay {
    /// The answer.
    pub answer: Answer,
    sight: i64,
    entries: (i64, i64),
}

impl Replay {
    /// May its caller still have it? 403 where the limits of the key, or the record, have changed
    /// so that it is not seen any more; what wrote nothing is answered again to the same roles and
    /// limits alone.
    pub fn allowed(&self, reader: &mut Reader<'_>) -> Result<()> {
        let (first, last) = self.entries;
        let allowed = match first <= last {
            true => reader.still_sees(self.entries)?,
            false => self.sight == i64::from(reader.caller().digest),
        };
        let detail = "This was done before, but the result is outside the current limits of your \
            key.";
        if allowed {
            Ok(())
        } else {
            Err(Problem::new(Code::OutsideLimits, detail))
        }
    }
}

impl Attempt {
    /// Of an operation and what it was asked; the content stands for the body, whatever its form
    /// on the wire. A body may hold a secret, so its fingerprint is made with the key of the
    /// tokens: from the database alone it cannot be guessed.
    pub fn of(
        key: &str,
        operation: String,
        asked: &[u8],
        content: &[u8],
        tokens: &Tokens,
    ) -> Result<Self> {
        Ok(Attempt {
            key: key.to_owned(),
            operation,
            fingerprint: tokens.fingerprint(&[asked, &[0], content])?,
        })
    }
    /// The stored answer, if this was done before; 422 when the key belongs to another request.
    pub fn replay(
        &self,
        conn: &mut Conn,
        tenant: TenantId,
        caller: Id,
        now: Instant,
    ) -> Result<Option<Replay>> {
        let row = i::table
            .find((tenant, caller, &self.operation, &self.key))
            .filter(i::created_at.gt(now.plus_millis(-KEPT_MILLIS)));
        let columns = (
            (i::fingerprint, i::status, i::etag, i::location, i::body),
            (i::sight, i::first_seq, i::last_seq),
        );
        let found: Option<Stored> = row.select(columns).get_result(conn).optional()?;
        let Some(((fingerprint, status, etag, location, body), (sight, first, last))) = found
        else {
            return Ok(None);
        };
        if fingerprint != self.fingerprint {
            return Err(Problem::new(
                Code::IdempotencyKeyReused,
                "Send a different request with a new `Idempotency-Key`.",
            ));
        }
        let status = u16::try_from(status)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::OK);
        let answer = Answer {
            status,
            etag,
            location,
            replayed: true,
            keep: Keep::No,
            ..Answer::json(body)
        };
        Ok(Some(Replay {
            answer,
            sight,
            entries: (first, last),
        }))
    }
    /// Stores an answer, and drops some of the organization's that are older than a day.
    pub fn store(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        now: Instant,
        answer: &Answer,
        entries: (i64, i64),
    ) -> Result<()> {
        let (tenant, old) = (caller.tenant, now.plus_millis(-KEPT_MILLIS));
        let expired = i::table.filter(i::tenant_id.eq(tenant).and(i::created_at.le(old)));
        let ages = expired
            .order(i::created_at)
            .select(i::created_at)
            .limit(SWEPT);
        if let Some(youngest) = ages.load::<Instant>(conn)?.last() {
            diesel::delete(
                i::table.filter(i::tenant_id.eq(tenant).and(i::created_at.le(youngest))),
            )
            .execute(conn)?;
        }
        // The key itself may have been used before that day.
        diesel::delete(i::table.find((tenant, caller.actor.id, &self.operation, &self.key)))
            .execute(conn)?;
        let row = (
            (
                i::tenant_id.eq(caller.tenant),
                i::caller_id.eq(caller.actor.id),
                i::operation.eq(&self.operation),
                i::idempotency_key.eq(&self.key),
            ),
            (
                i::fingerprint.eq(self.fingerprint.as_slice()),
                i::status.eq(i32::from(answer.status.as_u16())),
                i::etag.eq(&answer.etag),
            ),
            (
                i::location.eq(&answer.location),
                i::body.eq(&answer.body),
                i::created_at.eq(now),
            ),
            (
                i::sight.eq(i64::from(caller.digest)),
                i::first_seq.eq(entries.0),
                i::last_seq.eq(entries.1),
            ),
        );
        diesel::insert_into(i::table).values(row).execute(conn)?;
        Ok(())
    }
}
