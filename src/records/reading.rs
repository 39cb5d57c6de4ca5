//! Records as a reader finds them: one, several, and what they are called.
use super::reader::Ref;
use super::record::{Found, assemble, columns, etag};
use super::{Condition, Kind, Reader, Record, RenderedRecord, Resource, Row, Selector, sight};
use crate::core::{Id, Problem, Result};
use crate::db::dialect::{accounts_of, at, personal_of, size_of};
use crate::db::schema::versions as v;
use diesel::prelude::*;

impl Reader<'_> {
    /// One version with its image; 404 when this caller sees none.
    pub fn row<R: Resource>(&mut self, selector: &Selector, archived_too: bool) -> Result<Row> {
        let mut query = v::table.into_boxed().filter(self.seen(R::KIND.name));
        query = match selector {
            Selector::Id(id) => query.filter(v::id.eq(*id)),
            Selector::Number(_, number) => query.filter(v::number.eq(*number)),
        };
        let found = query
            .select((columns(), personal_of(), size_of(), accounts_of()))
            .get_result::<(Found, Option<String>, i64, i64)>(self.conn)
            .optional()?;
        let (found, personal, size, accounts) = found
            .filter(|(found, ..)| archived_too || !found.3)
            .ok_or_else(Problem::not_found)?;
        (self.moment.last, self.moment.accounts) = (size - 1, Some(accounts));
        self.named(Row::of(found, personal))
    }
    /// Those of these records that this caller sees, with the numbers in their codes.
    pub(super) fn rows<R: Resource>(&mut self, condition: Condition) -> Result<Vec<(i64, Row)>> {
        let query = v::table.filter(self.seen(R::KIND.name)).filter(condition);
        let found = query
            .select((v::number, columns(), personal_of()))
            .load::<(i64, Found, Option<String>)>(self.conn)?;
        let (numbers, mut rows): (Vec<i64>, Vec<Row>) = found
            .into_iter()
            .map(|(number, found, personal)| (number, Row::of(found, personal)))
            .unzip();
        self.name(&mut rows)?;
        Ok(numbers.into_iter().zip(rows).collect())
    }
    /// One record as it is answered.
    pub fn shown<R: Resource>(
        &mut self,
        selector: &Selector,
        archived_too: bool,
    ) -> Result<RenderedRecord> {
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
    fn named(&mut self, mut row: Row) -> Result<Row> {
        self.name(std::slice::from_mut(&mut row))?;
        Ok(row)
    }
    /// A row as it is answered.
    pub fn show<R: Resource>(&mut self, mut row: Row) -> Result<RenderedRecord> {
        self.name(std::slice::from_mut(&mut row))?;
        self.veil(&R::KIND, std::slice::from_mut(&mut row))?;
        let computed = R::computed(self, std::slice::from_ref(&row))?
            .pop()
            .unwrap_or_default();
        let row = self.cut_row(row)?;
        let json = assemble(&R::KIND, &row, &computed)?;
        Ok(RenderedRecord {
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
        Record::of(&row)
    }
    /// What stands of a record, whoever may see it: for rules that decide themselves who may.
    pub fn standing<R: Resource>(&mut self, id: Id) -> Result<Row> {
        let of_it = v::tenant_id
            .eq(self.tenant())
            .and(v::kind.eq(R::KIND.name))
            .and(v::id.eq(id));
        let query = v::table.filter(of_it).filter(at(self.moment.seq));
        let (found, personal) = query
            .select((columns(), personal_of()))
            .get_result::<(Found, Option<String>)>(self.conn)?;
        self.named(Row::of(found, personal))
    }
    /// What these records are, as far as this caller sees them.
    pub fn refs(&mut self, ids: &[Id]) -> Result<Vec<(Id, Ref)>> {
        // A machine that pushes learns what it may name within its limits is called.
        let named = |kind: &&Kind| {
            self.caller.follows(kind.name) || (kind.addressed && self.caller.collects())
        };
        let all = self.kinds.all().iter();
        let readable = all.filter(|kind| kind.read_with(&self.caller.limits));
        let found: Vec<&Kind> = readable.filter(named).collect();
        let limited = found
            .iter()
            .any(|kind| sight::limits(self.caller, kind, self.moment.seq).is_some());
        let mut all = Vec::new();
        for some in ids.chunks(500) {
            let conditions: Vec<Condition> = match limited {
                false => {
                    let names: Vec<&str> = found.iter().map(|kind| kind.name).collect();
                    vec![sight::both(
                        Box::new(v::tenant_id.eq(self.tenant()).and(v::kind.eq_any(names))),
                        at(self.moment.seq),
                    )]
                }
                true => found.iter().map(|kind| self.seen(kind.name)).collect(),
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
            let code = self.kinds.code(&kind, number);
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
