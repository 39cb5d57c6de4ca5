//! One state of one organization, for reading: now, or as of then. Both are the same queries.
use super::frameworks::Library;
use super::models::{Changed, Models};
use super::{Kind, Kinds, Row, limit};
use crate::access::Caller;
use crate::core::{Id, Instant, Problem, Result, TenantId, json::canonical};
use crate::db::Conn;
use crate::db::dialect::{NOW, at};
use crate::db::schema::{organizations as o, versions as v};
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
    pub(super) caller: &'a Caller,
    pub(super) kinds: Kinds,
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
        kinds: Kinds,
        as_of: Option<AsOf>,
        now: Instant,
        current: Settings,
    ) -> Result<Self> {
        let moment = read::moment(conn, caller.tenant, as_of, now, current.zone)?;
        let settings = if moment.past() {
            settings(conn, caller.tenant, moment.seq).unwrap_or(current)
        } else {
            current
        };
        Ok(Reader::read_at(conn, caller, kinds, moment, settings))
    }
    /// At a moment that was read before: the further parts of one answer.
    pub fn read_at(
        conn: &'a mut Conn,
        caller: &'a Caller,
        kinds: Kinds,
        moment: Moment,
        settings: Settings,
    ) -> Self {
        Reader {
            conn,
            caller,
            kinds,
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
        kinds: Kinds,
        now: Instant,
        settings: Settings,
    ) -> Self {
        Reader::read_at(
            conn,
            caller,
            kinds,
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
        kinds: Kinds,
        at: Instant,
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
            ..Reader::read_at(conn, caller, kinds, moment, settings)
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
    /// The table of kinds.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }
    /// The person who reads.
    pub fn person(&self) -> Option<Id> {
        self.caller.actor.person_id
    }
    /// 404 unless this caller reads records of the kind at all, as far as its limits go.
    pub fn knows(&self, kind: &Kind) -> Result<()> {
        kind.read_with(&self.caller.limits)
            .then_some(())
            .ok_or_else(Problem::not_found)
    }
    /// The frameworks that this caller can refer to at this moment.
    pub fn library(&mut self) -> Library<'_> {
        Library::new(self.conn, self.caller, self.moment.seq)
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
