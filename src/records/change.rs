//! How a record is made and changed: read at the version that is meant, checked, entered into the
//! ledger, stored.
use super::known::IfMatch;
use super::record::{RenderedRecord, Row};
use super::rows::Rows;
use super::{CommentRule, Draft, Patch, Record, Resource, Selector, Writing, checks, spine};
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::db::schema::versions as v;
use crate::ledger::{self, Change, Recorded};
use diesel::prelude::*;

impl Writing<'_> {
    /// The live record, at the version the caller knows: 404, then 428 or 412, then 403 where it
    /// lies outside of the key's limits or is not theirs.
    pub(super) fn load<R: Resource>(
        &mut self,
        selector: &Selector,
        known: &IfMatch,
    ) -> Result<Record<R>> {
        self.load_any(selector, known, false)
    }
    /// The same, archived or not.
    pub(super) fn load_any<R: Resource>(
        &mut self,
        selector: &Selector,
        known: &IfMatch,
        archived_too: bool,
    ) -> Result<Record<R>> {
        ledger::in_time()?;
        let record = match self.memory.row(&R::KIND, selector) {
            Some(row) if row.archived && !archived_too => return Err(Problem::not_found()),
            Some(row) => Record::of(row)?,
            None => self.reader().load::<R>(selector, archived_too)?,
        };
        known.check(record.spine.version)?;
        self.within(&record)?;
        self.assigned(&record)?;
        Ok(record)
    }
    fn assigned<R: Resource>(&self, record: &Record<R>) -> Result<()> {
        let owned = record
            .links
            .one("owner_id")
            .is_some_and(|owner| Some(owner) == self.caller.actor.person_id);
        // Their own account and keys are theirs, too.
        let account =
            [Some(record.spine.id), record.links.one("user_id")].contains(&self.caller.user_id);
        let mine = owned
            || record.spine.id == self.caller.actor.id
            || self.caller.user_id.is_some() && account;
        match self.caller.contributes() && !mine {
            true => Err(Problem::new(
                Code::NotAssigned,
                "Contributors may change only records they own.",
            )),
            false => Ok(()),
        }
    }
    /// A new record.
    pub(super) fn create<R: Resource>(&mut self, draft: Draft<R>) -> Result<Recorded<Record<R>>> {
        self.create_as(Id::new(), draft, R::State::default(), R::KIND.initial)
    }
    /// A new record with an id, a state and a status of its own.
    pub(super) fn create_as<R: Resource>(
        &mut self,
        id: Id,
        draft: Draft<R>,
        state: R::State,
        status: &str,
    ) -> Result<Recorded<Record<R>>> {
        let mut links = draft.links;
        if self.caller.contributes() && links.one("owner_id").is_none() {
            links.set(
                "owner_id",
                self.caller.actor.person_id.into_iter().collect(),
            );
        }
        let number = self.head.number(R::KIND.name);
        let spine = spine::begin(
            &R::KIND,
            id,
            number,
            status,
            &self.stamp.actor,
            self.stamp.at,
        );
        let mut record = Record {
            spine,
            common: draft.common,
            own: draft.own,
            state,
            links,
        };
        if R::KIND.reviewed && record.common.review_due_on.is_none() {
            record.common.review_due_on = self.review_in(None);
        }
        R::settle(&mut record, None, self.today());
        R::checked(&record, None, self.today())?;
        self.assigned(&record)?;
        R::permitted(self, None, &record, "create")?;
        let made = self.enter(record, None, "create")?;
        R::followed(self, None, made.get())?;
        Ok(made)
    }
    /// A patch or a transition: the record as it is to be, under the word for what happened.
    pub(super) fn save<R: Resource>(
        &mut self,
        before: &Record<R>,
        mut record: Record<R>,
        action: &str,
    ) -> Result<Recorded<Record<R>>> {
        self.stamped(before, &mut record);
        R::permitted(self, Some(before), &record, action)?;
        let saved = self.enter(record, Some(before), action)?;
        R::followed(self, Some(before), saved.get())?;
        Ok(saved)
    }
    /// What follows for a record from the change of another kind: it asks for no permission of its
    /// own, and for no limits.
    pub(crate) fn follow<R: Resource>(
        &mut self,
        before: &Record<R>,
        mut record: Record<R>,
        action: &str,
    ) -> Result<()> {
        self.stamped(before, &mut record);
        self.write(record, Some(before), action).map(drop)
    }
    fn stamped<R: Resource>(&mut self, before: &Record<R>, record: &mut Record<R>) {
        let at = self.stamp.at.max(before.spine.updated_at.plus_millis(1));
        self.stamp.at = at;
        record.spine.version = before.spine.version + 1;
        (record.spine.updated_at, record.spine.updated_by) = (at, self.stamp.actor.clone());
    }
    /// A patch of the writable part (RFC 7396). One that changes nothing leaves the record and the
    /// ledger alone.
    pub(super) fn patch<R: Resource>(
        &mut self,
        before: Record<R>,
        patch: Patch<R>,
    ) -> Result<Recorded<Record<R>>> {
        R::changeable(&before)?;
        let was = before.body()?;
        let body = patch.over(self.schemas(), was.clone())?;
        let draft = self.draft_over(body, Some(&before))?;
        let mut record = before.clone().with(draft);
        R::settle(&mut record, Some(&before), self.today());
        R::checked(&record, Some(&before), self.today())?;
        match record.body()? == was {
            true => ledger::unchanged(self.head, self.began, before),
            false => self.save(&before, record, "update"),
        }
    }
    /// A record that a write of several leaves as it is.
    pub fn kept<R: Resource>(&mut self, record: Record<R>) -> Result<Recorded<Record<R>>> {
        let standing = self
            .reader()
            .row::<R>(&Selector::Id(record.spine.id), true)?;
        match standing.version == record.spine.version {
            true => Ok(ledger::kept(record)),
            false => Err(Problem::internal("a record that changed was called kept")),
        }
    }
    /// A transition: checks that the state allows it and that a required comment is there, and sets
    /// the state.
    pub fn step<R: Resource>(
        &mut self,
        record: &mut Record<R>,
        verb: &'static str,
        comment: Option<&str>,
    ) -> Result<()> {
        let transition = R::KIND.transition(verb, &record.spine.status)?;
        if transition.comment == CommentRule::Required
            && comment.is_none_or(|text| text.trim().is_empty())
        {
            return Err(Problem::invalid(vec![Invalid::body(
                "/comment",
                "required",
                "is required",
            )]));
        }
        self.because(comment.map(str::to_owned));
        record.spine.status = transition.to.to_owned();
        Ok(())
    }
    /// Out of the lists; the history stays. 409 when others need it.
    pub(super) fn archive<R: Resource>(
        &mut self,
        before: Record<R>,
    ) -> Result<Recorded<Record<R>>> {
        R::archivable(&before, self.today())?;
        let (caller, kinds) = (self.caller, self.kinds);
        checks::free(self.look(), caller, kinds, before.spine.id)?;
        let mut record = before.clone();
        record.spine.archived_at = Some(self.stamp.at.max(before.spine.updated_at.plus_millis(1)));
        self.save(&before, record, "archive")
    }
    /// Back into the lists.
    pub(super) fn restore<R: Resource>(
        &mut self,
        before: Record<R>,
    ) -> Result<Recorded<Record<R>>> {
        if before.spine.archived_at.is_none() {
            return Err(Problem::new(
                Code::IllegalTransition,
                "The record is not archived.",
            ));
        }
        let mut record = before.clone();
        record.spine.archived_at = None;
        self.save(&before, record, "restore")
    }
    /// The way into the ledger for what a caller asks for: the record has to lie within the key's
    /// limits, before and after.
    fn enter<R: Resource>(
        &mut self,
        record: Record<R>,
        before: Option<&Record<R>>,
        action: &str,
    ) -> Result<Recorded<Record<R>>> {
        before.map_or(Ok(()), |before| self.within(before))?;
        self.within(&record)?;
        self.write(record, before, action)
    }
    fn write<R: Resource>(
        &mut self,
        record: Record<R>,
        before: Option<&Record<R>>,
        action: &str,
    ) -> Result<Recorded<Record<R>>> {
        let (tenant, id, seq) = (self.stamp.tenant, record.spine.id, self.head.next());
        self.referred_alone(&record, before)?;
        ledger::in_time()?;
        for relation in R::KIND.relations.iter().filter(|relation| relation.acyclic) {
            let before = before.map_or(&[][..], |before| before.links.many(relation.member));
            let new: Vec<Id> = record
                .links
                .many(relation.member)
                .iter()
                .filter(|to| !before.contains(to))
                .copied()
                .collect();
            if !new.is_empty() {
                checks::acyclic(self.look(), tenant, id, relation, &new)?;
            }
        }
        if self.held.rows(id) {
            self.settle(true); // The version that this one ends is to be stored before.
        }
        let (kind, version, schema) = (R::KIND.name, record.spine.version, R::KIND.schema);
        let (body, personal) = record.image()?;
        let row = record.row(body.clone(), personal.clone());
        let change = Change {
            action,
            kind,
            record: id,
            version,
            body,
            personal,
            schema,
            account: R::KIND.account,
        };
        let mut rows = Rows::default();
        rows.version(&record, before, seq, schema)?;
        rows.own((tenant, id, version), record.clone());
        let recorded = ledger::append(&mut rows.entries, self.head, &self.stamp, change, record)?;
        if self.held.on {
            self.held.item.append(rows);
        } else {
            rows.store(self.conn, tenant, self.head)?;
        }
        R::entered(self, seq, before, recorded.get())?;
        self.remember(before, recorded.get());
        self.written = Some(row);
        Ok(recorded)
    }
    /// 409 where another record has this external reference.
    fn referred_alone<R: Resource>(
        &mut self,
        record: &Record<R>,
        before: Option<&Record<R>>,
    ) -> Result<()> {
        let Some(reference) = &record.common.external_ref else {
            return Ok(());
        };
        if before.is_some_and(|before| before.common.external_ref.as_ref() == Some(reference)) {
            return Ok(());
        }
        let (caller, kind) = (self.caller, &R::KIND);
        let other = match self.memory.referred(kind, reference) {
            Some(known) => known,
            None => checks::referred(self.look(), caller.tenant, kind.name, reference)?,
        };
        match other.filter(|(id, _)| *id != record.spine.id) {
            None => Ok(()),
            Some(other) => Err(checks::taken(self.look(), caller, kind, other)?),
        }
    }
    /// What a write changes in what is known.
    fn remember<R: Resource>(&mut self, before: Option<&Record<R>>, record: &Record<R>) {
        if !self.memory.keeps() {
            return;
        }
        let (id, number) = (record.spine.id, record.spine.number);
        self.memory.forget(id);
        let reference = |record: &Record<R>| record.common.external_ref.clone();
        for (reference, other) in [
            (before.and_then(reference), None),
            (reference(record), Some((id, number))),
        ] {
            if let Some(reference) = reference {
                self.memory.external_refs.insert(reference.clone(), other);
                self.held.named.push(reference);
            }
        }
    }
    /// 403 unless the record lies wholly within the limits of the caller's key.
    pub fn within<R: Resource>(&self, record: &Record<R>) -> Result<()> {
        record.within(self.caller)
    }
    /// Does the caller see this record, archived or not?
    pub fn sees<R: Resource>(&mut self, id: Id) -> Result<bool> {
        let reader = self.reader();
        let seen = v::table
            .filter(reader.seen(R::KIND.name))
            .filter(v::id.eq(id))
            .select(v::version);
        Ok(seen.get_result::<i32>(reader.conn).optional()?.is_some())
    }
    /// The record as it is answered.
    pub fn shown<R: Resource>(
        &mut self,
        recorded: Recorded<Record<R>>,
    ) -> Result<Recorded<RenderedRecord>> {
        let row = self.row(recorded.get())?;
        let shown = self.reader().show::<R>(row)?;
        Ok(recorded.map(|_| shown))
    }
    /// The row of a record as it was just written, or stands.
    pub fn row<R: Resource>(&mut self, record: &Record<R>) -> Result<Row> {
        let (id, version) = (record.spine.id, record.spine.version);
        match self
            .written
            .take()
            .filter(|row| row.id == id && row.version == version)
        {
            Some(row) => Ok(row),
            None => match self.memory.row(&R::KIND, &Selector::Id(id)) {
                Some(row) if row.version == version => Ok(row.clone()),
                _ => self.reader().row::<R>(&Selector::Id(id), true),
            },
        }
    }
}
