//! What a register is: its words, a body, and two queries; and a record of it.
use super::ask::ListContext;
use super::limit::{self, By, Facts, Limit};
use super::links::{Links, References};
use super::record::{Row, image, members};
use super::spine::{Common, Spine};
use super::{Condition, Kind, Reader, Writing, names};
use crate::access::{Caller, Limits};
use crate::core::{Id, Invalid, Problem, Result, TenantId, VersionKey, json::canonical};
use crate::db::Conn;
use diesel::QueryResult;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

/// A register: the body of its records (what clients may write), its words and its rules.
pub trait Resource:
    Stored + Serialize + DeserializeOwned + Validate + ToSchema + Clone + Send + Sync + 'static
{
    /// Its words.
    const KIND: Kind;
    /// What the server alone writes on a record.
    type State: Serialize + DeserializeOwned + Default + ToSchema + Clone + Send + Sync + 'static;
    /// A valid body, for the documentation and for the law tests.
    fn example() -> Value;
    /// What validation cannot say member by member.
    fn faults(&self) -> Vec<Invalid> {
        vec![]
    }
    /// The same with what it refers to, before that is looked up.
    fn linked_faults(&self, _references: &References) -> Vec<Invalid> {
        vec![]
    }
    /// What follows from the rest where a client does not say it, when it begins (`before` is none)
    /// and with each change by a client.
    fn settle(
        _record: &mut Record<Self>,
        _before: Option<&Record<Self>>,
        _today: chrono::NaiveDate,
    ) {
    }
    /// What it is first sorted by, when it has such a thing.
    fn rank(_record: &Record<Self>) -> Option<i32> {
        None
    }
    /// May it be written so, on this day? It is asked of what clients create and change, when it is
    /// complete.
    fn checked(
        _record: &Record<Self>,
        _before: Option<&Record<Self>>,
        _today: chrono::NaiveDate,
    ) -> Result<()> {
        Ok(())
    }
    /// May clients change or archive it now?
    fn changeable(_record: &Record<Self>) -> Result<()> {
        Ok(())
    }
    /// May it leave the lists on this day?
    fn archivable(record: &Record<Self>, _today: chrono::NaiveDate) -> Result<()> {
        Self::changeable(record)
    }
    /// May this caller write it so? Asked of each write, whatever the operation; `before` is none
    /// when it begins.
    fn permitted(
        _tx: &mut Writing<'_>,
        _before: Option<&Record<Self>>,
        _after: &Record<Self>,
        _action: &str,
    ) -> Result<()> {
        Ok(())
    }
    /// What follows for other records from a write.
    fn followed(
        _tx: &mut Writing<'_>,
        _before: Option<&Record<Self>>,
        _after: &Record<Self>,
    ) -> Result<()> {
        Ok(())
    }
    /// What else follows from the entry at a position, beside its own rows and links.
    fn entered(
        _tx: &mut Writing<'_>,
        _seq: i64,
        _before: Option<&Record<Self>>,
        _after: &Record<Self>,
    ) -> Result<()> {
        Ok(())
    }
    /// The same from every entry that there has been.
    fn refilled(_conn: &mut Conn, _tenant: TenantId) -> Result<()> {
        Ok(())
    }
    /// The requirements of frameworks that it refers to.
    fn requirements(&self) -> &[String] {
        &[]
    }
    /// The frameworks that it names, each with its place in the body.
    fn frameworks(&self) -> Vec<(String, &str)> {
        vec![]
    }
    /// What the limits of a key compare of it, beside its id and its links.
    fn facts(record: &Record<Self>) -> Facts {
        let named = record
            .own
            .frameworks()
            .into_iter()
            .map(|(_, slug)| slug.to_owned());
        let frameworks = limit::frameworks_of(record.own.requirements())
            .into_iter()
            .chain(named)
            .collect();
        Facts {
            frameworks,
            ..Facts::default()
        }
    }
    /// Members that are computed at reading, for each row in order: the text between the braces of
    /// a JSON object.
    fn computed(_reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        Ok(vec![String::new(); rows.len()])
    }
    /// The schemas of the computed members, and those that they name.
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![]
    }
    /// What `include=counts` says of this kind beside states, owners and what is overdue.
    fn counts(_reader: &mut Reader<'_>, _records: Again<'_>) -> Result<Map<String, Value>> {
        Ok(Map::new())
    }
    /// The schemas of those counts.
    fn counts_schemas() -> Vec<(&'static str, Value)> {
        vec![]
    }
    /// Days until the next review, where the record itself says so; else it is the organization's
    /// setting.
    fn review_days(_reader: &mut Reader<'_>, _record: &Record<Self>) -> Result<Option<i32>> {
        Ok(None)
    }
    /// Schemas that the document needs besides.
    fn more_schemas(_to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {}
}

/// The records of a list, asked again for each count.
pub type Again<'a> = &'a dyn Fn(&Reader<'_>) -> Result<Condition>;

/// What a kind has in a table of its own; `columns!` writes it. A kind that is neither filtered nor
/// joined by its own members needs none.
pub trait Stored: Sized {
    /// Its own filters: members of its body, any of whose values may match; `…_since` and
    /// `…_before` for dates.
    type Filter: Default + Serialize + DeserializeOwned + IntoParams + Send + 'static;
    /// Its table.
    const TABLE: Option<&'static str> = None;
    /// Adds the rows that its filters and the views ask, beside those of these versions.
    fn insert(_: &[(VersionKey, Record<Self>)], _: &mut Conn) -> QueryResult<()>
    where
        Self: Resource,
    {
        Ok(())
    }
    /// What its own filters say of the versions; all of it holds.
    fn matching(_: &Self::Filter, _: &ListContext) -> Vec<Condition> {
        vec![]
    }
}

/// The state of a register that the server writes nothing on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct NoState {}

/// A whole record.
#[derive(Debug, Clone)]
pub struct Record<R: Resource> {
    /// What every record has and the server writes.
    pub spine: Spine,
    /// What every record has and clients write.
    pub common: Common,
    /// What this kind has.
    pub own: R,
    /// What the server writes on this kind.
    pub state: R::State,
    /// What it refers to.
    pub links: Links,
}

/// The writable part of a record, with all that it refers to: ready to be stored. Only a write
/// transaction makes one.
#[derive(Debug, Clone)]
pub struct Draft<R> {
    /// What every record has.
    pub common: Common,
    /// What this kind has.
    pub own: R,
    /// What it refers to.
    pub(super) links: Links,
}

impl<R: Resource> Record<R> {
    /// The part that clients may write, as a body.
    pub fn body(&self) -> Result<Map<String, Value>> {
        let mut body = members(&self.common)?;
        body.extend(members(&self.own)?);
        body.extend(self.links.shown(&R::KIND));
        Ok(body)
    }
    /// As a row on its way out, with its image and the personal half of that.
    pub fn row(&self, body: String, personal: Option<String>) -> Row {
        let (spine, schema) = (&self.spine, R::KIND.schema);
        let archived = spine.archived_at.is_some();
        let found = (
            spine.id,
            spine.version,
            spine.status.clone(),
            archived,
            schema,
            body,
        );
        Row::of(found, personal)
    }
    /// The whole, as its ledger entry keeps it: the body, and its personal half.
    pub fn image(&self) -> Result<(String, Option<String>)> {
        let mut whole = self.body()?;
        whole.extend(members(&self.spine)?);
        whole.extend(members(&self.state)?);
        whole.values_mut().for_each(names::anonymize);
        let personal: Map<String, Value> = R::KIND
            .personal
            .iter()
            .filter_map(|name| whole.remove_entry(*name))
            .collect();
        let personal = (!personal.is_empty())
            .then(|| canonical(&personal))
            .transpose()?;
        Ok((canonical(&whole)?, personal))
    }
    /// From its ledger entry, whatever schema that was written in. What was erased has a
    /// replacement.
    pub fn of_image(schema: i16, body: &str, personal: Option<&str>) -> Result<Self> {
        let damaged = |what: serde_json::Error| {
            Problem::internal(format!("the image of a {}: {what}", R::KIND.name))
        };
        let mut whole = image(&R::KIND, schema, body, personal).map_err(damaged)?;
        if personal.is_none() && !R::KIND.personal.is_empty() {
            let code = whole
                .get("code")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            (R::KIND.erased)(&code, &mut whole);
        }
        let mut part = |names: &mut dyn Iterator<Item = &str>| {
            Value::Object(names.filter_map(|name| whole.remove_entry(name)).collect())
        };
        let mut spine: Spine =
            serde_json::from_value(part(&mut Spine::MEMBERS.iter().copied())).map_err(damaged)?;
        let number = spine
            .code
            .rsplit_once('-')
            .and_then(|(_, number)| number.parse().ok());
        spine.number = number
            .ok_or_else(|| Problem::internal(format!("a {} without a code", R::KIND.name)))?;
        let common =
            serde_json::from_value(part(&mut Common::MEMBERS.iter().copied())).map_err(damaged)?;
        let state_names = members(&R::State::default())?;
        let state = serde_json::from_value(part(&mut state_names.keys().map(String::as_str)))
            .map_err(damaged)?;
        let links = Links::of_image(
            part(&mut R::KIND.all_relations().map(|relation| relation.member)),
            &R::KIND,
        );
        let own = serde_json::from_value(Value::Object(whole)).map_err(damaged)?;
        Ok(Record {
            spine,
            common,
            own,
            state,
            links,
        })
    }
    /// From its row.
    pub fn of(row: &Row) -> Result<Self> {
        Record::of_image(row.schema, &row.body, row.personal.as_deref())
    }
    /// The same record with another writable part.
    pub fn with(mut self, draft: Draft<R>) -> Self {
        (self.common, self.own, self.links) = (draft.common, draft.own, draft.links);
        self
    }
    /// 403 unless it lies wholly within the caller's limits: everything that a limit compares is in
    /// it, and there is something to compare.
    pub fn within(&self, caller: &Caller) -> Result<()> {
        let limits = &caller.limits;
        R::KIND.open_to(limits)?;
        let mut set = R::KIND
            .limited_by
            .iter()
            .filter(|(limit, _)| limit.set(limits));
        match set.find(|(limit, by)| !self.lies(*limit, *by, limits)) {
            Some((limit, _)) => Err(limit.refused()),
            None => Ok(()),
        }
    }
    fn lies(&self, limit: Limit, by: By, limits: &Limits) -> bool {
        let all =
            |ids: &[Id]| !ids.is_empty() && ids.iter().all(|id| limit.ids(limits).contains(id));
        match (by, limit) {
            (By::Itself, _) => all(&[self.spine.id]),
            (By::Scopes, _) => all(self.links.many("scope_ids")),
            (By::Controls, _) => all(self.links.many("control_ids")),
            (By::ReadOnly(_), _) => false,
            (By::Rule(_), _) => true,
            (_, Limit::Frameworks) => {
                let of = R::facts(self).frameworks;
                !of.is_empty() && of.iter().all(|slug| limits.framework_slugs.contains(slug))
            }
            (_, Limit::Sources) => R::facts(self)
                .source
                .is_some_and(|source| limits.sources.contains(&source)),
            (_, Limit::Period) => R::facts(self).collected_on.is_some_and(|day| {
                limits.period_start_on.is_none_or(|start| day >= start)
                    && limits.period_end_on.is_none_or(|end| day <= end)
            }),
            (By::Citations | By::Fact(..), _) => false,
        }
    }
}
