//! A write of one organization. Whatever it changes, it gives back the proof of the ledger entry.
use super::accounts::Written;
use super::frameworks::Library;
use super::memory::Memory;
use super::rows::Rows;
use super::{Kinds, Reader, Relation, Row, Settings};
use crate::access::Caller;
use crate::core::{Id, Instant, Problem, Result, Schemas};
use crate::db::{Conn, dialect::NOW};
use crate::ledger::{self, Head, Recorded, Stamp};
use chrono::NaiveDate;
use diesel::connection::{Connection, TransactionManager};

/// A write transaction behind the organization's lock. Rooms get it as a [`Tx`](super::Tx), which
/// knows what the caller may write; what is here for all rooms asks for no permission. It has no
/// type parameter, so that its code exists once.
pub struct Writing<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) head: &'a mut Head,
    pub(super) caller: &'a Caller,
    pub(super) stamp: Stamp,
    settings: Settings,
    schemas: &'a Schemas,
    pub(super) kinds: Kinds,
    pub(super) began: i64,
    pub(super) written: Option<Row>,
    /// Rows that are stored together with others.
    pub(super) held: Held,
    /// What is known of the database meanwhile.
    pub(super) memory: Memory,
}

pub(super) type Manager = <Conn as Connection>::TransactionManager;

/// What a write was before a part of it was set apart.
pub(super) struct Before {
    pub head: Head,
    pub stamp: Stamp,
    pub began: i64,
}

/// Rows that wait to be stored with others.
#[derive(Default)]
pub(super) struct Held {
    /// Do they wait?
    pub on: bool,
    /// Of the changes that were made.
    pub made: Rows,
    /// Of the change that is being made.
    pub item: Rows,
    /// What was before that change.
    pub before: Option<Before>,
    /// Does it have a savepoint?
    pub apart: bool,
    /// The external references that it gave or took.
    pub named: Vec<String>,
    /// Why rows could not be stored: then nothing is.
    pub failed: Option<Problem>,
}

impl Held {
    /// Does a version of this record wait?
    pub fn rows(&self, id: Id) -> bool {
        self.made.of(id) || self.item.of(id)
    }
}

impl<'a> Writing<'a> {
    /// Only the guard and the house open one.
    pub fn open(
        conn: &'a mut Conn,
        head: &'a mut Head,
        caller: &'a Caller,
        stamp: Stamp,
        (settings, schemas, kinds): (Settings, &'a Schemas, Kinds),
    ) -> Self {
        let began = head.next();
        Writing {
            conn,
            head,
            caller,
            stamp,
            settings,
            schemas,
            kinds,
            began,
            written: None,
            held: Held::default(),
            memory: Memory::default(),
        }
    }
    /// When this write happens.
    pub fn now(&self) -> Instant {
        self.stamp.at
    }
    /// The organization's date.
    pub fn today(&self) -> NaiveDate {
        self.stamp.at.day(self.settings.zone)
    }
    /// The day of the next review: so many days from today, or as the organization's setting says.
    pub fn review_in(&self, days: Option<i32>) -> Option<NaiveDate> {
        let days = u64::try_from(days.unwrap_or(self.settings.review_days)).ok()?;
        self.today().checked_add_days(chrono::Days::new(days))
    }
    /// The position of the last entry, this transaction's included.
    pub fn position(&self) -> i64 {
        self.head.next() - 1
    }
    /// The organization's settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }
    /// The schemas of bodies, for what a room puts together.
    pub fn schemas(&self) -> &'a Schemas {
        self.schemas
    }
    /// The table of kinds.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }
    /// Who writes.
    pub fn caller(&self) -> &'a Caller {
        self.caller
    }
    /// The connection, for the store functions of a room.
    pub fn conn(&mut self) -> &mut Conn {
        self.settle(true);
        self.conn
    }
    /// The connection for a question, once what was written is there.
    pub(super) fn look(&mut self) -> &mut Conn {
        self.settle(false);
        self.conn
    }
    /// What stands, this transaction's changes included.
    pub fn reader(&mut self) -> Reader<'_> {
        self.settle(false);
        Reader::within(
            self.conn,
            self.caller,
            self.kinds,
            self.stamp.at,
            self.head,
            self.settings,
        )
    }
    /// Why, as the request says it.
    pub fn reason(&self) -> Option<&str> {
        self.stamp.reason.as_deref()
    }
    /// The reason of the entries to come.
    pub fn because(&mut self, reason: Option<String>) {
        if reason.is_some() {
            self.stamp.reason = reason;
        }
    }
    /// Stores what waits, so that it can be seen; with a savepoint where the change that is being
    /// made has written or is about to.
    pub(super) fn settle(&mut self, writes: bool) {
        if self.held.failed.is_none()
            && let Err(problem) = self.stored(writes)
        {
            self.held.failed = Some(problem);
        }
    }
    fn stored(&mut self, writes: bool) -> Result<()> {
        let tenant = self.stamp.tenant;
        if !self.held.made.is_empty() {
            std::mem::take(&mut self.held.made).store(self.conn, tenant, self.head)?;
            if let Some(before) = &mut self.held.before {
                before.head.all_stored();
            }
        }
        let begun = self.held.before.is_some() && !self.held.apart;
        if begun && (writes || !self.held.item.is_empty()) {
            Manager::begin_transaction(self.conn)?;
            self.held.apart = true;
        }
        if !self.held.item.is_empty() {
            std::mem::take(&mut self.held.item).store(self.conn, tenant, self.head)?;
        }
        Ok(())
    }
    /// Looks these references up.
    pub(super) fn find(&mut self, references: &[(&'static Relation, String)]) -> Result<()> {
        let (by, today) = ((self.caller, self.kinds), self.today());
        self.settle(false);
        self.memory.found.look(self.conn, by, references, today)
    }
    /// What the answer is when there is nothing to write; refused after a write.
    pub fn unchanged<T>(&mut self, value: T) -> Result<Recorded<T>> {
        ledger::unchanged(self.head, self.began, value)
    }
    /// The frameworks that the caller can refer to now.
    pub fn library(&mut self) -> Library<'_> {
        self.settle(false);
        Library::new(self.conn, self.caller, NOW)
    }
}

impl<'a> Written<'a> {
    /// What this transaction wrote last.
    pub fn of(tx: &'a mut Writing<'_>) -> Self {
        let (tenant, at, seq) = (tx.caller.tenant, tx.now(), tx.position());
        Written {
            conn: tx.conn(),
            tenant,
            at,
            seq,
        }
    }
}
