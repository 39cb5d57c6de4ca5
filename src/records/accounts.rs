//! Which accounts may come in, and who administers an organization: asked by logins, by keys, and
//! by every write that may end an account.
use super::{Kinds, reader, record};
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::dialect::{NOW, OPEN, at};
use crate::db::schema::{
    credentials as cr, ledger_entries as e, links as l, people as p, users as u, versions as v,
};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::de::DeserializeOwned;

/// An account that may come in now.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Until when, where an end is set.
    pub until: Option<Instant>,
}

/// May this user come in now? Not when the account is archived or disabled, nor when its person's
/// last day has passed where the organization is.
pub fn entry(conn: &mut Conn, tenant: TenantId, user: Id, now: Instant) -> Result<Option<Entry>> {
    let own = u::table.inner_join(
        v::table.on(v::tenant_id
            .eq(u::tenant_id)
            .and(v::id.eq(u::id))
            .and(v::version.eq(u::version))),
    );
    let own = own
        .filter(v::tenant_id.eq(tenant).and(v::id.eq(user)))
        .filter(at(NOW))
        .filter(v::archived_at.is_null());
    let Some(disabled) = own
        .select(u::disabled_at)
        .get_result::<Option<Instant>>(conn)
        .optional()?
    else {
        return Ok(None);
    };
    let last = match last_day(conn, tenant, user, NOW)? {
        Some(day) => Instant::end_of(day, reader::settings(conn, tenant, NOW)?.zone)
            .map(|end| end.plus_millis(1)),
        None => None,
    };
    let until = [disabled, last].into_iter().flatten().min();
    Ok(until
        .is_none_or(|until| now < until)
        .then_some(Entry { until }))
}

/// The standing image of an account that is not archived.
pub fn image<T: DeserializeOwned>(
    conn: &mut Conn,
    kinds: Kinds,
    tenant: TenantId,
    id: Id,
) -> Result<Option<T>> {
    let row =
        v::table.inner_join(e::table.on(e::tenant_id.eq(v::tenant_id).and(e::seq.eq(v::from_seq))));
    let row = row.filter(
        v::tenant_id
            .eq(tenant)
            .and(v::id.eq(id))
            .and(v::archived_at.is_null())
            .and(v::to_seq.eq(OPEN)),
    );
    let found: Option<(String, i16, String, Option<String>)> = row
        .select((v::kind, e::schema, e::body, e::personal))
        .get_result(conn)
        .optional()?;
    let Some((kind, schema, body, personal)) = found else {
        return Ok(None);
    };
    let kind = kinds
        .named(&kind)
        .ok_or_else(|| Problem::internal(format!("an account of kind {kind}")))?;
    let image =
        record::image(kind, schema, &body, personal.as_deref()).map_err(Problem::internal)?;
    serde_json::from_value(image.into())
        .map(Some)
        .map_err(Problem::internal)
}

/// The last day of a user's person, at a position.
fn last_day(conn: &mut Conn, tenant: TenantId, user: Id, seq: i64) -> Result<Option<NaiveDate>> {
    let person = l::table.filter(
        l::tenant_id
            .eq(tenant)
            .and(l::from_id.eq(user))
            .and(l::relation.eq("person_id")),
    );
    let person = person
        .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
        .select(l::to_id);
    let Some(person) = person.get_result::<Id>(conn).optional()? else {
        return Ok(None);
    };
    Ok(ends(conn, tenant, &[person], seq)?
        .pop()
        .and_then(|(.., ends)| ends))
}

/// These people's numbers and last days, at a position.
fn ends(
    conn: &mut Conn,
    tenant: TenantId,
    people: &[Id],
    seq: i64,
) -> Result<Vec<(Id, i64, Option<NaiveDate>)>> {
    let own = p::table.inner_join(
        v::table.on(v::tenant_id
            .eq(p::tenant_id)
            .and(v::id.eq(p::id))
            .and(v::version.eq(p::version))),
    );
    let own = own
        .filter(v::tenant_id.eq(tenant).and(v::id.eq_any(people)))
        .filter(at(seq));
    Ok(own.select((v::id, v::number, p::ends_on)).load(conn)?)
}

/// Those of these people whose last day has passed, by their codes' numbers.
pub fn left(
    conn: &mut Conn,
    tenant: TenantId,
    people: &[Id],
    today: NaiveDate,
) -> Result<Vec<(Id, i64)>> {
    let all = ends(conn, tenant, people, NOW)?.into_iter();
    Ok(all
        .filter(|(.., ends)| ends.is_some_and(|ends| ends < today))
        .map(|(id, number, _)| (id, number))
        .collect())
}

/// Everyone whose last day has passed, at a position.
pub fn all_left(conn: &mut Conn, tenant: TenantId, seq: i64, today: NaiveDate) -> Result<Vec<Id>> {
    let own = p::table.inner_join(
        v::table.on(v::tenant_id
            .eq(p::tenant_id)
            .and(v::id.eq(p::id))
            .and(v::version.eq(p::version))),
    );
    let own = own.filter(v::tenant_id.eq(tenant)).filter(at(seq)).filter(
        p::ends_on
            .assume_not_null()
            .lt(today)
            .and(p::ends_on.is_not_null()),
    );
    Ok(own.select(v::id).load(conn)?)
}

/// The admins at a position: users with that role who can log in, or are to set their first
/// password, and for whom no end is set, be it of the account or of the person.
pub fn admins(conn: &mut Conn, tenant: TenantId, seq: i64, now: Instant) -> Result<Vec<Id>> {
    let own = u::table.inner_join(
        v::table.on(v::tenant_id
            .eq(u::tenant_id)
            .and(v::id.eq(u::id))
            .and(v::version.eq(u::version))),
    );
    let own =
        own.inner_join(cr::table.on(cr::tenant_id.eq(u::tenant_id).and(cr::user_id.eq(u::id))));
    let own = own
        .filter(v::tenant_id.eq(tenant))
        .filter(at(seq))
        .filter(v::archived_at.is_null())
        .filter(u::disabled_at.is_null());
    let own = own.filter(
        cr::password_hash.is_not_null().or(cr::setup_expires_at
            .is_not_null()
            .and(cr::setup_expires_at.assume_not_null().gt(now))),
    );
    let found: Vec<(Id, String)> = own
        .filter(u::roles.like("%admin%"))
        .select((v::id, u::roles))
        .load(conn)?;
    let mut admins = Vec::new();
    for (id, _) in found
        .iter()
        .filter(|(_, roles)| roles.split(',').any(|role| role == "admin"))
    {
        if last_day(conn, tenant, *id, seq)?.is_none() {
            admins.push(*id);
        }
    }
    Ok(admins)
}

/// A change that has just been written.
pub struct Written<'a> {
    /// Where.
    pub conn: &'a mut Conn,
    /// Whose.
    pub tenant: TenantId,
    /// When.
    pub at: Instant,
    /// The position that it has.
    pub seq: i64,
}

impl Written<'_> {
    /// 409 when it took away the last admin.
    pub fn administered(&mut self) -> Result<()> {
        let (tenant, seq, now) = (self.tenant, self.seq, self.at);
        let nobody = |admins: Vec<Id>| admins.is_empty();
        match nobody(admins(self.conn, tenant, NOW, now)?)
            && !nobody(admins(self.conn, tenant, seq - 1, now)?)
        {
            true => Err(Problem::new(
                Code::LastAdmin,
                "Nobody else could administer the organization after this. First give the role \
                    `admin` to another account that can log in and has no end date.",
            )),
            false => Ok(()),
        }
    }
    /// The last day of a person was another before: it is one for their accounts, too, and whoever
    /// comes back logs in anew.
    pub fn last_day_moved(
        &mut self,
        person: Id,
        (before, after): (Option<NaiveDate>, Option<NaiveDate>),
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        if before.is_some() {
            self.end_sessions_of(person)?;
        }
        self.administered()
    }
    /// Ends every session of a user: tokens of an earlier epoch are good for nothing.
    pub fn end_sessions(&mut self, user: Id) -> Result<()> {
        let own = cr::table.find((self.tenant, user));
        diesel::update(own)
            .set(cr::epoch.eq(cr::epoch + 1))
            .execute(self.conn)?;
        Ok(())
    }
    /// The same for the users of a person.
    pub fn end_sessions_of(&mut self, person: Id) -> Result<()> {
        let users = l::table.filter(
            l::tenant_id
                .eq(self.tenant)
                .and(l::to_id.eq(person))
                .and(l::relation.eq("person_id")),
        );
        let users = users.filter(l::to_seq.eq(OPEN)).select(l::from_id);
        for user in users.load::<Id>(self.conn)? {
            self.end_sessions(user)?;
        }
        Ok(())
    }
}
