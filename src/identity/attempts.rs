//! Attempts are counted before the password is looked at, and taken back when it was right: what
//! comes at the same time finds the others counted. Nothing here depends on whether an address is
//! known: what is counted is the address, with the organization that was named, and the source.
use crate::access::api_key::digest;
use crate::access::password::{pause, too_many};
use crate::core::{Id, Instant, Problem, Result, TenantId};
use crate::db::{Conn, schema::login_attempts as la};
use crate::http::Source;
use diesel::prelude::*;
use std::collections::BTreeMap;

/// Failures are forgotten a day after the last one.
const DAY: i64 = 24 * 3_600_000;
/// Those of a source after an hour: several people may share it.
const HOUR: i64 = 3_600_000;
/// Failures of a source before it has to wait.
const SOURCE: i32 = 20;
/// The longest that a source has to wait, in seconds.
const LONGEST: i64 = 10;

type Subject = [u8; 32];

/// One attempt: what counts against it, and what it counts for.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What fails with it.
    counted: Vec<Subject>,
    /// Whose failures together say how long to wait.
    weighed: Vec<Subject>,
    /// Where it comes from.
    source: Subject,
    /// The address, for what else a success resets.
    address: Option<String>,
    /// When it was counted, and when the failures before it were.
    taken: Option<(Instant, Vec<(Subject, Instant)>)>,
}

fn of(what: &str, parts: &str) -> Subject {
    digest(&format!("{what}\n{parts}"))
}
fn named(address: &str, organization: Id) -> Subject {
    of("named", &format!("{organization}\n{address}"))
}
fn source(from: Source) -> Subject {
    of("source", &from.network().to_string())
}

impl Attempt {
    /// A login. With an organization it weighs what failed there and where none was named; without
    /// one, all that failed for the address: whether that is one account or none, nobody learns.
    pub fn login(address: &str, organization: Option<Id>, from: Source) -> Self {
        let (unnamed, any) = (of("unnamed", address), of("any", address));
        let (counted, weighed) = match organization {
            Some(organization) => {
                let own = named(address, organization);
                (vec![own, any], vec![own, unnamed])
            }
            None => (vec![unnamed], vec![unnamed, any]),
        };
        let (source, address) = (source(from), Some(address.to_owned()));
        Attempt {
            counted,
            weighed,
            source,
            address,
            taken: None,
        }
    }
    /// A change of the account's own password.
    pub fn password(tenant: TenantId, user: Id, from: Source) -> Self {
        let own = vec![of("password", &format!("{}\n{user}", tenant.0))];
        let (counted, weighed) = (own.clone(), own);
        let source = source(from);
        Attempt {
            counted,
            weighed,
            source,
            address: None,
            taken: None,
        }
    }
    /// A setup token, which has no account before it is found.
    pub fn setup(from: Source) -> Self {
        let source = source(from);
        Attempt {
            counted: vec![],
            weighed: vec![],
            source,
            address: None,
            taken: None,
        }
    }
}

/// Failures, and when the last one was.
type Known = BTreeMap<Subject, (i32, Instant)>;

/// Counts an attempt, or 429 with the seconds to wait. Its rows are locked meanwhile, so that of
/// those that come at once each finds the ones before it.
pub fn take(conn: &mut Conn, attempt: Attempt, now: Instant) -> Result<Attempt> {
    let known = locked(conn, &attempt, now)?;
    let weighed = attempt
        .weighed
        .iter()
        .filter_map(|subject| known.get(subject));
    let (failures, last) = weighed.fold((0, now), |(failures, last), (more, at)| match *more {
        0 => (failures, last),
        more if failures == 0 => (more, *at),
        more => (failures + more, last.max(*at)),
    });
    let (elsewhere, since) = known.get(&attempt.source).copied().unwrap_or((0, now));
    let wait = |seconds: i64, last: Instant| last.millis() + seconds * 1000 - now.millis();
    let longest = pause(elsewhere - SOURCE + 5).min(LONGEST);
    let wait = wait(pause(failures), last).max(wait(longest, since));
    if wait > 0 {
        return Err(too_many((wait + 999) / 1000));
    }
    let mut before = Vec::new();
    for subject in attempt.counted.iter().chain([&attempt.source]) {
        let (failures, last) = known.get(subject).copied().unwrap_or((0, now));
        before.push((*subject, last));
        put(conn, subject, failures.saturating_add(1), now)?;
    }
    Ok(Attempt {
        taken: Some((now, before)),
        ..attempt
    })
}

/// Takes an attempt back that was none after all.
pub fn undo(conn: &mut Conn, attempt: &Attempt, now: Instant) -> Result<()> {
    let Some((taken, before)) = &attempt.taken else {
        return Ok(());
    };
    let known = locked(conn, attempt, now)?;
    for (subject, earlier) in before {
        let (failures, last) = known.get(subject).copied().unwrap_or((0, now));
        // Where another one failed meanwhile, its time stays.
        let last = if last == *taken { *earlier } else { last };
        put(conn, subject, (failures - 1).max(0), last)?;
    }
    Ok(())
}

/// Takes an attempt back, and forgets what failed for this account before. What failed for the
/// same address in another organization stays.
pub fn succeeded(conn: &mut Conn, attempt: &Attempt, tenant: TenantId, now: Instant) -> Result<()> {
    undo(conn, attempt, now)?;
    let Some(address) = &attempt.address else {
        let own = la::table.filter(la::subject.eq_any(slices(&attempt.counted)));
        diesel::delete(own).execute(conn)?;
        return Ok(());
    };
    let (own, any) = (named(address, tenant.record()), of("any", address));
    let failed = la::table.find(own.as_slice()).select(la::failures);
    let failed: i32 = failed.get_result(conn).optional()?.unwrap_or_default();
    let rest = diesel::update(
        la::table
            .find(any.as_slice())
            .filter(la::failures.ge(failed)),
    );
    rest.set(la::failures.eq(la::failures - failed))
        .execute(conn)?;
    let mut forgotten = vec![own];
    // Where none was named and one was found, there is no other account that failed.
    forgotten.extend((attempt.counted == [of("unnamed", address)]).then(|| of("unnamed", address)));
    diesel::delete(la::table.filter(la::subject.eq_any(slices(&forgotten)))).execute(conn)?;
    Ok(())
}

/// Drops what is forgotten.
pub fn sweep(conn: &mut Conn, now: Instant) -> Result<()> {
    let old = la::table.filter(la::last_at.lt(now.plus_millis(-DAY)));
    diesel::delete(old).execute(conn)?;
    Ok(())
}

fn slices(subjects: &[Subject]) -> Vec<&[u8]> {
    subjects.iter().map(<[u8; 32]>::as_slice).collect()
}

/// The rows of an attempt, made where there are none, locked in one order everywhere.
fn locked(conn: &mut Conn, attempt: &Attempt, now: Instant) -> Result<Known> {
    let all = attempt
        .counted
        .iter()
        .chain(&attempt.weighed)
        .chain([&attempt.source]);
    let mut all: Vec<Subject> = all.copied().collect();
    all.sort_unstable();
    all.dedup();
    for subject in &all {
        let row = (
            la::subject.eq(subject.as_slice()),
            la::failures.eq(0),
            la::last_at.eq(now),
        );
        let fresh = diesel::insert_into(la::table).values(row);
        crate::each!(conn, |c| fresh.on_conflict_do_nothing().execute(c))?;
    }
    let rows = la::table
        .filter(la::subject.eq_any(slices(&all)))
        .order(la::subject);
    let rows: Vec<(Vec<u8>, i32, Instant)> = match conn {
        Conn::Pg(c) => rows.for_update().load(c)?,
        Conn::Sqlite(c) => rows.load(c)?,
    };
    let read = |(subject, failures, last): (Vec<u8>, i32, Instant)| {
        let subject: Subject = subject
            .try_into()
            .map_err(|_| Problem::internal("no digest"))?;
        let kept = if subject == attempt.source { HOUR } else { DAY };
        let stale = last.plus_millis(kept) < now;
        Ok((subject, (if stale { 0 } else { failures }, last)))
    };
    rows.into_iter().map(read).collect()
}

fn put(conn: &mut Conn, subject: &Subject, failures: i32, last: Instant) -> QueryResult<usize> {
    let row = diesel::update(la::table.find(subject.as_slice()));
    row.set((la::failures.eq(failures), la::last_at.eq(last)))
        .execute(conn)
}
