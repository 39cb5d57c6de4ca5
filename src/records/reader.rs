//! One state of one organization, for reading: now, or as of then. Both are the same queries.
use super::model::{Changed, Models};
use super::record::{Shown, assemble, etag};
use super::{Condition, Kind, Record, Resource, Row, Selector, limit, sight};
use crate::access::Caller;
use crate::core::{Id, Problem, Result, TenantId, json::canonical};
use crate::db::dialect::{accounts_of, at, body_of, personal_of, size_of};
use crate::db::schema::{organizations as o, versions as v};
use crate::db::{Conn, dialect::NOW};
use crate::ledger::{AsOf, Head, Moment, read};
use chrono::NaiveDate;
use chrono_tz::Tz;
use diesel::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;

/// What of an organization decides computed values.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Where its days begin and end.
    pub zone: Tz,
    /// Days that evidence without a period is current.
    pub evidence_days: i32,
    /// Days until a record is looked at again, where nothing else says so.
    pub review_days: i32,
}
impl Settings {
    /// Of an organization that has just been founded.
    pub const FIRST: Settings = Settings {
        zone: Tz::UTC,
        evidence_days: 365,
        review_days: 365,
    };
}

/// A read of one organization at one moment.
pub struct Reader<'a> {
    pub(crate) conn: &'a mut Conn,
    caller: &'a Caller,
    /// When it is.
    pub moment: Moment,
    /// The organization's date then.
    pub today: NaiveDate,
    /// The organization's settings then.
    pub settings: Settings,
    /// Is it inside a write, whose changes may still be undone?
    pub(super) writes: bool,
    /// What is kept of organizations for views, where it may be used.
    pub(super) models: Option<Arc<Models>>,
    /// What was written behind a position, once it was asked.
    pub(super) behind: Option<(i64, Arc<[Changed]>)>,
}

/// What a record is, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ref {
    /// Which register.
    #[schema(max_length = 64)]
    pub kind: String,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// Where it is in its life.
    #[schema(max_length = 64)]
    pub status: String,
}

impl<'a> Reader<'a> {
    /// At the moment that `as_of` means, with the organization's present settings.
    pub fn open(
        conn: &'a mut Conn,
        caller: &'a Caller,
        as_of: Option<AsOf>,
        now: crate::core::Instant,
        current: Settings,
    ) -> Result<Self> {
        let moment = read::moment(conn, caller.tenant, as_of, now, current.zone)?;
        let settings = if moment.past() {
            settings(conn, caller.tenant, moment.seq).unwrap_or(current)
        } else {
            current
        };
        Ok(Reader::again(conn, caller, moment, settings))
    }
    /// At a moment that was read before: the further parts of one answer.
    pub fn again(
        conn: &'a mut Conn,
        caller: &'a Caller,
        moment: Moment,
        settings: Settings,
    ) -> Self {
        Reader {
            conn,
            caller,
            moment,
            today: moment.at.day(settings.zone),
            settings,
            writes: false,
            models: None,
            behind: None,
        }
    }
    /// With the models that this process keeps.
    pub fn keeping(self, models: Arc<Models>) -> Self {
        Reader {
            models: Some(models),
            ..self
        }
    }
    /// Now, for one record: the position comes with its row.
    pub fn present(
        conn: &'a mut Conn,
        caller: &'a Caller,
        now: crate::core::Instant,
        settings: Settings,
    ) -> Self {
        Reader::again(
            conn,
            caller,
            Moment {
                seq: NOW,
                at: now,
                last: -1,
                accounts: None,
            },
            settings,
        )
    }
    /// Inside a write: what stands, this transaction's changes included.
    pub(super) fn within(
        conn: &'a mut Conn,
        caller: &'a Caller,
        at: crate::core::Instant,
        head: &Head,
        settings: Settings,
    ) -> Self {
        let moment = Moment {
            seq: NOW,
            at,
            last: head.next() - 1,
            accounts: Some(head.accounts()),
        };
        Reader {
            writes: true,
            ..Reader::again(conn, caller, moment, settings)
        }
    }
    /// The organization.
    pub fn tenant(&self) -> TenantId {
        self.caller.tenant
    }
    /// Who reads.
    pub fn caller(&self) -> &Caller {
        self.caller
    }
    /// The person who reads.
    pub fn person(&self) -> Option<Id> {
        self.caller.actor.person_id
    }
    /// 404 unless this caller reads records of the kind at all, as far as its limits go.
    pub fn knows(&self, kind: &super::Kind) -> Result<()> {
        kind.read_with(&self.caller.limits)
            .then_some(())
            .ok_or_else(Problem::not_found)
    }
    /// The frameworks that this caller can refer to at this moment.
    pub fn library(&mut self) -> super::frameworks::Library<'_> {
        super::frameworks::Library::new(self.conn, self.caller, self.moment.seq)
    }
    /// An image as this caller sees it: without what it says of frameworks that are hidden.
    pub fn cut(&self, image: &mut Map<String, Value>) {
        limit::cut(self.caller, image);
    }
    /// The same for a row.
    pub(super) fn cut_row(&self, mut row: Row) -> Result<Row> {
        if limit::cuts(self.caller) {
            let mut image: Map<String, Value> =
                serde_json::from_str(&row.body).map_err(Problem::internal)?;
            self.cut(&mut image);
            row.body = canonical(&image)?;
        }
        Ok(row)
    }
    /// For the queries of views.
    pub fn conn(&mut self) -> &mut Conn {
        self.conn
    }
    /// The versions of a kind that this caller sees at this moment, archived or not.
    pub fn seen(&self, kind: &'static str) -> Condition {
        let mine: Condition = Box::new(v::tenant_id.eq(self.tenant()).and(v::kind.eq(kind)));
        let standing = sight::both(mine, at(self.moment.seq));
        match sight::limits(self.caller, kind, self.moment.seq) {
            Some(limits) => sight::both(standing, limits),
            None => standing,
        }
    }
    /// Does this caller see less than all of a kind?
    pub fn limited(&self, kind: &str) -> bool {
        sight::limits(self.caller, kind, self.moment.seq).is_some()
    }
    /// One version with its image; 404 when this caller sees none.
    pub fn row<R: Resource>(&mut self, selector: &Selector, archived_too: bool) -> Result<Row> {
        let mut query = v::table.into_boxed().filter(self.seen(R::KIND.name));
        query = match selector {
            Selector::Id(id) => query.filter(v::id.eq(*id)),
            Selector::Number(_, number) => query.filter(v::number.eq(*number)),
        };
        type Found = (Id, i32, String, bool, i16, String, Option<String>, i64, i64);
        let version = (
            v::id,
            v::version,
            v::status,
            v::archived_at.is_not_null(),
            v::schema,
        );
        let columns = (
            version.0,
            version.1,
            version.2,
            version.3,
            version.4,
            body_of(),
            personal_of(),
            size_of(),
            accounts_of(),
        );
        let found: Option<Found> = query.select(columns).get_result(self.conn).optional()?;
        let (id, version, status, archived, schema, body, personal, size, accounts) = found
            .filter(|row| archived_too || !row.3)
            .ok_or_else(Problem::not_found)?;
        (self.moment.last, self.moment.accounts) = (size - 1, Some(accounts));
        let mut row = Row {
            id,
            version,
            status,
            archived,
            body,
            personal,
            schema,
            names: 0,
        };
        self.name(std::slice::from_mut(&mut row))?;
        Ok(row)
    }
    /// Those of these records that this caller sees, with the numbers in their codes.
    pub(super) fn rows<R: Resource>(&mut self, condition: Condition) -> Result<Vec<(i64, Row)>> {
        let query = v::table.filter(self.seen(R::KIND.name)).filter(condition);
        type Found = (Id, i64, i32, String, bool, i16, String, Option<String>);
        let columns = (
            v::id,
            v::number,
            v::version,
            v::status,
            v::archived_at.is_not_null(),
            v::schema,
            body_of(),
            personal_of(),
        );
        let found: Vec<Found> = query.select(columns).load(self.conn)?;
        let (numbers, mut rows): (Vec<i64>, Vec<Row>) = found
            .into_iter()
            .map(
                |(id, number, version, status, archived, schema, body, personal)| {
                    let row = Row {
                        id,
                        version,
                        status,
                        archived,
                        body,
                        personal,
                        schema,
                        names: 0,
                    };
                    (number, row)
                },
            )
            .unzip();
        self.name(&mut rows)?;
        Ok(numbers.into_iter().zip(rows).collect())
    }
    /// One record as it is answered.
    pub fn shown<R: Resource>(&mut self, selector: &Selector, archived_too: bool) -> Result<Shown> {
        let row = self.row::<R>(selector, archived_too)?;
        self.show::<R>(row)
    }
    /// Puts the names of accounts into the images of these rows.
    pub fn name(&mut self, rows: &mut [Row]) -> Result<()> {
        let mut texts: Vec<&mut String> = rows
            .iter_mut()
            .filter(|row| row.names == 0)
            .map(|row| &mut row.body)
            .collect();
        let digests = self.name_actors(&mut texts)?;
        rows.iter_mut()
            .filter(|row| row.names == 0)
            .zip(digests)
            .for_each(|(row, digest)| row.names = digest);
        Ok(())
    }
    /// A row as it is answered.
    pub fn show<R: Resource>(&mut self, mut row: Row) -> Result<Shown> {
        self.name(std::slice::from_mut(&mut row))?;
        self.veil(&R::KIND, std::slice::from_mut(&mut row))?;
        let computed = R::computed(self, std::slice::from_ref(&row))?
            .pop()
            .unwrap_or_default();
        let row = self.cut_row(row)?;
        let json = assemble(&R::KIND, &row, &computed)?;
        Ok(Shown {
            id: row.id,
            version: row.version,
            etag: etag(row.version, row.names, &computed),
            json,
            position: self.moment.last,
        })
    }
    /// One record, to work with.
    pub fn load<R: Resource>(
        &mut self,
        selector: &Selector,
        archived_too: bool,
    ) -> Result<Record<R>> {
        let row = self.row::<R>(selector, archived_too)?;
        record_of::<R>(&row)
    }
    /// What stands of a record, whoever may see it: for rules that decide themselves who may.
    pub fn standing<R: Resource>(&mut self, id: Id) -> Result<Row> {
        let query = v::table
            .filter(
                v::tenant_id
                    .eq(self.tenant())
                    .and(v::kind.eq(R::KIND.name))
                    .and(v::id.eq(id)),
            )
            .filter(at(self.moment.seq));
        type Found = (i32, String, bool, i16, String, Option<String>);
        let columns = (
            v::version,
            v::status,
            v::archived_at.is_not_null(),
            v::schema,
            body_of(),
            personal_of(),
        );
        let (version, status, archived, schema, body, personal) =
            query.select(columns).get_result::<Found>(self.conn)?;
        let mut row = Row {
            id,
            version,
            status,
            archived,
            body,
            personal,
            schema,
            names: 0,
        };
        self.name(std::slice::from_mut(&mut row))?;
        Ok(row)
    }
    /// What these records are, as far as this caller sees them.
    pub fn refs(&mut self, ids: &[Id]) -> Result<Vec<(Id, Ref)>> {
        // A machine that pushes learns what it may name within its limits is called.
        let named = |kind: &&Kind| {
            self.caller.follows(kind.name) || (kind.addressed && self.caller.collects())
        };
        let readable = super::kind::all()
            .iter()
            .filter(|kind| kind.read_with(&self.caller.limits));
        let found: Vec<&'static str> = readable.filter(named).map(|kind| kind.name).collect();
        let limited = found
            .iter()
            .any(|kind| sight::limits(self.caller, kind, self.moment.seq).is_some());
        let mut all = Vec::new();
        for some in ids.chunks(500) {
            let conditions: Vec<Condition> = match limited {
                false => {
                    vec![sight::both(
                        Box::new(
                            v::tenant_id
                                .eq(self.tenant())
                                .and(v::kind.eq_any(found.clone())),
                        ),
                        at(self.moment.seq),
                    )]
                }
                true => found.iter().map(|kind| self.seen(kind)).collect(),
            };
            let condition = conditions.into_iter().reduce(|a, b| Box::new(a.or(b)));
            let Some(condition) = condition else { continue };
            let rows = v::table
                .filter(v::id.eq_any(some))
                .filter(condition)
                .select((v::id, v::kind, v::number, v::name, v::status));
            all.extend(rows.load::<(Id, String, i64, String, String)>(self.conn)?);
        }
        let named = |(id, kind, number, name, status): (Id, String, i64, String, String)| {
            let code = format!("{}-{number}", super::kind::prefix_of(&kind));
            (
                id,
                Ref {
                    kind,
                    code,
                    name,
                    status,
                },
            )
        };
        Ok(all.into_iter().map(named).collect())
    }
}

/// A record from its row.
pub fn record_of<R: Resource>(row: &Row) -> Result<Record<R>> {
    Record::of_image(row.schema, &row.body, row.personal.as_deref())
}

/// The organization's settings at a position.
pub fn settings(conn: &mut Conn, tenant: TenantId, seq: i64) -> Result<Settings> {
    let standing = o::table.inner_join(
        v::table.on(v::tenant_id
            .eq(o::tenant_id)
            .and(v::id.eq(o::id))
            .and(v::version.eq(o::version))),
    );
    let row = standing
        .filter(v::tenant_id.eq(tenant).and(v::id.eq(tenant.record())))
        .filter(at(seq));
    let columns = (
        o::time_zone,
        o::evidence_default_valid_days,
        o::review_every_days,
    );
    let (zone, evidence_days, review_days): (String, i32, i32) =
        row.select(columns).get_result(conn)?;
    Ok(Settings {
        zone: zone.parse().map_err(Problem::internal)?,
        evidence_days,
        review_days,
    })
}
