//! What a register is: its words, a body, and two queries.
use super::ask::Moments;
use super::limit::{self, Facts};
use super::{Common, Draft, Kind, Reader, Writing, links::Links, links::References, spine::Spine};
use crate::core::{Id, Problem, Result, TenantId, VersionKey, json::canonical};
use crate::db::{Backend, Conn, schema::versions};
use diesel::{BoxableExpression, QueryResult, sql_types::Bool};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::borrow::Cow;
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
    fn faults(&self) -> Vec<crate::core::Invalid> {
        vec![]
    }
    /// The same with what it refers to, before that is looked up.
    fn linked_faults(&self, _references: &References) -> Vec<crate::core::Invalid> {
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
    fn counts(
        _reader: &mut Reader<'_>,
        _records: super::list::Again<'_>,
    ) -> Result<Map<String, Value>> {
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

/// A predicate on the spine.
pub type Condition = Box<dyn BoxableExpression<versions::table, Backend, SqlType = Bool>>;

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
    fn matching(_: &Self::Filter, _: &Moments) -> Vec<Condition> {
        vec![]
    }
}

/// The state of a register that the server writes nothing on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Stateless {}

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

impl<R: Resource> Record<R> {
    /// The part that clients may write, as a body.
    pub fn body(&self) -> Result<Map<String, Value>> {
        let mut body = members(&self.common)?;
        body.extend(members(&self.own)?);
        body.extend(self.links.shown(&R::KIND));
        Ok(body)
    }
    /// The whole, as its ledger entry keeps it: the body, and its personal half.
    pub fn image(&self) -> Result<(String, Option<String>)> {
        let mut whole = self.body()?;
        whole.extend(members(&self.spine)?);
        whole.extend(members(&self.state)?);
        whole.values_mut().for_each(super::names::anonymize);
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
    /// The same record with another writable part.
    pub fn with(mut self, draft: Draft<R>) -> Self {
        (self.common, self.own, self.links) = (draft.common, draft.own, draft.links);
        self
    }
}

/// The members of an image in the present schema of its kind, those of its personal half among them
/// unless they were erased.
pub fn image(
    kind: &Kind,
    schema: i16,
    body: &str,
    personal: Option<&str>,
) -> serde_json::Result<Map<String, Value>> {
    let mut whole: Map<String, Value> = serde_json::from_str(body)?;
    if let Some(personal) = personal {
        whole.extend(serde_json::from_str::<Map<String, Value>>(personal)?);
    }
    if schema < kind.schema {
        (kind.upcast)(schema, &mut whole);
    }
    Ok(whole)
}

/// The members of a part.
pub fn members(part: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(part).map_err(Problem::internal)? {
        Value::Object(members) => Ok(members),
        other => Err(Problem::internal(format!("not an object: {other}"))),
    }
}

/// A version on its way out: what lists need to know of it, and its image.
#[derive(Debug, Clone)]
pub struct Row {
    /// The record.
    pub id: Id,
    /// Which version.
    pub version: i32,
    /// Its state then.
    pub status: String,
    /// Is it archived?
    pub archived: bool,
    /// The canonical body.
    pub body: String,
    /// Its personal half.
    pub personal: Option<String>,
    /// The shape of the two.
    pub schema: i16,
    /// Stands for the names that were put into the body, in its entity tag.
    pub names: u32,
}

impl Row {
    /// The same in the present schema of its kind: what was written before that is rewritten, the
    /// rest left as it is.
    fn present(&self, kind: &Kind) -> Result<Cow<'_, Row>> {
        if self.schema >= kind.schema {
            return Ok(Cow::Borrowed(self));
        }
        let mut whole = image(kind, self.schema, &self.body, self.personal.as_deref())
            .map_err(Problem::internal)?;
        let personal: Map<String, Value> = kind
            .personal
            .iter()
            .filter_map(|name| whole.remove_entry(*name))
            .collect();
        let personal = self
            .personal
            .as_ref()
            .map(|_| canonical(&personal))
            .transpose()?;
        Ok(Cow::Owned(Row {
            body: canonical(&whole)?,
            personal,
            schema: kind.schema,
            ..self.clone()
        }))
    }
}

/// One record as it is answered.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The record.
    pub id: Id,
    /// Its version.
    pub version: i32,
    /// Its entity tag: `"7.1f3a…"`, the version and a digest of what is computed and of the names
    /// that are put in.
    pub etag: String,
    /// The JSON.
    pub json: String,
    /// The position that was read, or written.
    pub position: i64,
}

/// Puts a row's image and its computed members together.
pub fn assemble(kind: &Kind, row: &Row, computed: &str) -> Result<String> {
    let row = &*row.present(kind)?;
    let inner = |text: &str| {
        text.len()
            .checked_sub(1)
            .and_then(|end| text.get(1..end))
            .unwrap_or_default()
            .to_owned()
    };
    let mut json = String::with_capacity(row.body.len() + computed.len() + 200);
    json.push('{');
    if !computed.is_empty() {
        json.push_str(computed);
        json.push(',');
    }
    if !kind.transitions.is_empty() {
        json.push_str("\"allowed_transitions\":[");
        if !row.archived {
            for (n, verb) in kind.allowed(&row.status).enumerate() {
                json.push_str(if n == 0 { "\"" } else { ",\"" });
                json.push_str(verb);
                json.push('"');
            }
        }
        json.push_str("],");
    }
    if !kind.personal.is_empty() {
        match &row.personal {
            Some(personal) => json.push_str(&inner(personal)),
            None => json.push_str(
                &kind
                    .personal
                    .iter()
                    .map(|name| format!("\"{name}\":null"))
                    .collect::<Vec<_>>()
                    .join(","),
            ),
        }
        json.push(',');
    }
    json.push_str(row.body.get(1..).unwrap_or("}"));
    Ok(json)
}

/// The entity tag of a version with computed members and the names of accounts.
pub fn etag(version: i32, names: u32, computed: &str) -> String {
    let mut digest = crc32fast::Hasher::new_with_initial(names);
    digest.update(computed.as_bytes());
    format!("\"{version}.{:08x}\"", digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENAMED: Kind = Kind {
        name: "thing",
        personal: &["name"],
        schema: 3,
        upcast: |from, image| {
            if from < 2 {
                let old = image.remove("colour").unwrap_or_default();
                image.insert("color".into(), old);
            }
            if from < 3 {
                image.entry("size").or_insert(Value::from(1));
            }
        },
        ..Kind::PLAIN
    };
    fn row(schema: i16, body: &str) -> Row {
        let (id, personal) = (
            crate::core::Id::new(),
            Some("{\"name\":\"Ann\"}".to_owned()),
        );
        Row {
            id,
            version: 1,
            status: "active".into(),
            archived: false,
            body: body.into(),
            personal,
            schema,
            names: 0,
        }
    }

    #[test]
    fn an_old_image_is_answered_in_the_present_schema() {
        for (schema, body) in [
            (1, r#"{"colour":"red"}"#),
            (2, r#"{"color":"red"}"#),
            (3, r#"{"color":"red","size":1}"#),
        ] {
            let answered = assemble(&RENAMED, &row(schema, body), "").unwrap_or_default();
            assert_eq!(
                answered, r#"{"name":"Ann","color":"red","size":1}"#,
                "schema {schema}"
            );
        }
        let erased = Row {
            personal: None,
            ..row(1, r#"{"colour":"red"}"#)
        };
        assert_eq!(
            assemble(&RENAMED, &erased, "").unwrap_or_default(),
            r#"{"name":null,"color":"red","size":1}"#
        );
    }
}
