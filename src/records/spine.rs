//! The spine: what every record has. Each version keeps its row, valid from one ledger entry to the
//! next.
use super::{Kind, Record, Resource, links::Links, sight};
use crate::access::{Actor, Caller};
use crate::core::{Id, Instant, Invalid, Result, TenantId, text::folded};
use crate::db::dialect::{NOW, OPEN};
use crate::db::{Conn, schema::records as r, schema::versions as v};
use crate::ledger::TOGETHER;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use validator::Validate;

/// What clients may write on every record, but its links.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// What people call it.
    #[validate(custom(function = said))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// An importer's own identifier; unique within the register. It is kept in Unicode's composed
    /// form (NFC).
    #[serde(default, deserialize_with = "crate::core::text::composed_name")]
    #[validate(custom(function = crate::core::text::legible))]
    #[schema(min_length = 1, max_length = 200)]
    pub external_ref: Option<String>,
    /// The day by which something has to be done.
    pub due_on: Option<NaiveDate>,
    /// The day on which it has to be looked at again.
    pub review_due_on: Option<NaiveDate>,
    /// Words to find it by.
    #[serde(default)]
    #[validate(custom(function = tags_are_words))]
    #[schema(max_items = 50, min_length = 1, max_length = 50)]
    pub tags: Vec<String>,
    /// The organization's own members: up to 50 names with a string, a number, a boolean or null.
    #[serde(default)]
    #[schema(value_type = CustomFields)]
    pub custom: Map<String, Value>,
}

impl Common {
    /// Its members: how a body is taken apart.
    pub const MEMBERS: &[&str] = &[
        "name",
        "external_ref",
        "due_on",
        "review_due_on",
        "tags",
        "custom",
    ];
}

/// The organization's own members.
pub struct CustomFields;
impl utoipa::PartialSchema for CustomFields {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
        let plain = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean, Type::Null]);
        let value = ObjectBuilder::new()
            .schema_type(plain)
            .max_length(Some(1000))
            .description(Some("Text, a number, a boolean or null."));
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(100));
        let all = ObjectBuilder::new()
            .property_names(Some(name))
            .additional_properties(Some(value))
            .max_properties(Some(50));
        all.description(Some("The organization's own members."))
            .into()
    }
}
impl ToSchema for CustomFields {}

fn tags_are_words(tags: &[String]) -> Result<(), validator::ValidationError> {
    match tags.iter().any(|tag| tag.chars().any(char::is_control)) {
        false => Ok(()),
        true => Err(fault("tags", "remove the control characters")),
    }
}
/// A validator's error with a sentence.
pub fn fault(code: &'static str, words: &'static str) -> validator::ValidationError {
    validator::ValidationError::new(code).with_message(words.into())
}

/// Text that says something; that it is there at all is for its length to say.
pub fn said(text: &str) -> Result<(), validator::ValidationError> {
    if !text.is_empty() && text.trim().is_empty() {
        Err(fault("required", "is required"))
    } else {
        Ok(())
    }
}

/// What every record has and the server writes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Spine {
    /// The record.
    pub id: Id,
    /// The readable identifier within the organization; never used again.
    #[schema(max_length = 32, pattern = "^[A-Z]{3}-[0-9]{1,19}$")]
    pub code: String,
    /// The number in the code.
    #[serde(skip)]
    pub number: i64,
    /// Where it is in its life.
    #[schema(max_length = 64)]
    pub status: String,
    /// Grows by one with each change; the entity tag begins with it.
    #[schema(minimum = 1)]
    pub version: i32,
    /// When it was made.
    pub created_at: Instant,
    /// By whom.
    pub created_by: Actor,
    /// When it last changed.
    pub updated_at: Instant,
    /// By whom.
    pub updated_by: Actor,
    /// When it left the lists.
    #[schema(required)]
    pub archived_at: Option<Instant>,
}

impl Spine {
    /// Its members: how an image is taken apart.
    pub const MEMBERS: &[&str] = &[
        "id",
        "code",
        "status",
        "version",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "archived_at",
    ];
}

/// How a caller names a record: by id or by code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Its id.
    Id(Id),
    /// Its kind, and the number in its code.
    Number(&'static str, i64),
}

impl Selector {
    /// `018f…` or `RSK-12`, of a kind (of any when that is empty); `None` when it can be neither.
    pub fn parse(text: &str, kind: &str) -> Option<Self> {
        let coded = || {
            let (prefix, digits) = text.split_once('-')?;
            let of = super::kind::all()
                .iter()
                .find(|known| known.code == prefix && (kind.is_empty() || known.name == kind))?;
            let number = digits
                .parse()
                .ok()
                .filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
            Some(Selector::Number(of.name, number))
        };
        Id::parse(text).map(Selector::Id).or_else(coded)
    }
    /// The record's id, whoever may see it.
    pub fn resolve(&self, conn: &mut Conn, tenant: TenantId) -> QueryResult<Option<Id>> {
        match self {
            Selector::Id(id) => Ok(Some(*id)),
            Selector::Number(kind, number) => {
                let named = r::table.filter(
                    r::tenant_id
                        .eq(tenant)
                        .and(r::kind.eq(*kind))
                        .and(r::number.eq(*number)),
                );
                named.select(r::id).get_result(conn).optional()
            }
        }
    }
}

/// What `q` searches in an image: code, name and what the kind names.
fn words<R: Resource>(record: &Record<R>, own: &Map<String, Value>) -> String {
    let described = R::KIND
        .searched
        .iter()
        .filter_map(|name| own.get(*name)?.as_str());
    let texts = [record.spine.code.as_str(), record.common.name.as_str()]
        .into_iter()
        .chain(described);
    texts.map(|text| format!(" {}", folded(text))).collect()
}

/// The row of a version.
#[derive(Debug)]
pub struct VersionRow {
    pub(super) id: Id,
    pub(super) kind: &'static str,
    number: i64,
    version: i32,
    external_ref: Option<String>,
    name: String,
    status: String,
    owner_id: Option<Id>,
    due_on: Option<NaiveDate>,
    review_due_on: Option<NaiveDate>,
    rank: Option<i32>,
    tags: String,
    words: String,
    at: (Instant, Instant, Option<Instant>),
    seq: i64,
    schema: i16,
}

impl VersionRow {
    /// Is it the first version of its record?
    pub fn begins(&self) -> bool {
        self.version == 1
    }
    /// Of the version whose image is written at `seq` in `schema`.
    pub fn of<R: Resource>(record: &Record<R>, seq: i64, schema: i16) -> Result<Self> {
        let (spine, common) = (&record.spine, &record.common);
        let own = super::record::members(&record.own)?;
        let tags = if common.tags.is_empty() {
            String::new()
        } else {
            format!("\n{}\n", common.tags.join("\n"))
        };
        Ok(VersionRow {
            id: spine.id,
            kind: R::KIND.name,
            number: spine.number,
            version: spine.version,
            external_ref: common.external_ref.clone(),
            name: common.name.clone(),
            status: spine.status.clone(),
            owner_id: record.links.one("owner_id"),
            due_on: common.due_on,
            review_due_on: common.review_due_on,
            rank: R::rank(record),
            tags,
            words: words(record, &own),
            at: (spine.created_at, spine.updated_at, spine.archived_at),
            seq,
            schema,
        })
    }
}

/// Makes the identities of the records that begin with these versions; they stay for good.
pub fn identify<'r>(
    conn: &mut Conn,
    tenant: TenantId,
    rows: impl Iterator<Item = &'r VersionRow>,
) -> QueryResult<()> {
    let identity = |row: &VersionRow| {
        (
            r::tenant_id.eq(tenant),
            r::id.eq(row.id),
            r::kind.eq(row.kind),
            r::number.eq(row.number),
        )
    };
    let rows: Vec<_> = rows.map(identity).collect();
    for some in rows.chunks(TOGETHER) {
        // One alone stays prepared.
        match some {
            [one] => diesel::insert_into(r::table).values(*one).execute(conn)?,
            some => crate::each!(conn, |c| diesel::insert_into(r::table)
                .values(some)
                .execute(c))?,
        };
    }
    Ok(())
}

/// Adds the rows of versions.
pub fn insert(conn: &mut Conn, tenant: TenantId, rows: &[VersionRow]) -> QueryResult<()> {
    let version = |row: &VersionRow| {
        let (created_at, updated_at, archived_at) = row.at;
        (
            (
                v::tenant_id.eq(tenant),
                v::id.eq(row.id),
                v::version.eq(row.version),
                v::kind.eq(row.kind),
                v::number.eq(row.number),
            ),
            (
                v::external_ref.eq(row.external_ref.clone()),
                v::name.eq(row.name.clone()),
                v::status.eq(row.status.clone()),
            ),
            (
                v::owner_id.eq(row.owner_id),
                v::due_on.eq(row.due_on),
                v::review_due_on.eq(row.review_due_on),
            ),
            (
                v::rank.eq(row.rank),
                v::tags.eq(row.tags.clone()),
                v::words.eq(row.words.clone()),
            ),
            (
                v::created_at.eq(created_at),
                v::updated_at.eq(updated_at),
                v::archived_at.eq(archived_at),
            ),
            (
                v::from_seq.eq(row.seq),
                v::to_seq.eq(OPEN),
                v::schema.eq(row.schema),
            ),
        )
    };
    for some in rows.chunks(TOGETHER) {
        if let [one] = some {
            diesel::insert_into(v::table)
                .values(version(one))
                .execute(conn)?;
            continue;
        }
        let rows: Vec<_> = some.iter().map(version).collect();
        crate::each!(conn, |c| diesel::insert_into(v::table)
            .values(rows)
            .execute(c))?;
    }
    Ok(())
}

/// The record of a kind that has this external reference now: its id, and the number in its code.
pub fn referred(
    conn: &mut Conn,
    tenant: TenantId,
    kind: &str,
    reference: &str,
) -> QueryResult<Option<(Id, i64)>> {
    let same = v::table
        .filter(v::tenant_id.eq(tenant).and(v::kind.eq(kind)))
        .filter(v::external_ref.eq(reference))
        .filter(crate::db::dialect::standing());
    same.select((v::id, v::number)).get_result(conn).optional()
}

/// That an external reference is taken; the record that has it is named where the caller sees it.
pub fn taken(
    conn: &mut Conn,
    caller: &Caller,
    kind: &'static Kind,
    (id, number): (Id, i64),
) -> Result<crate::core::Problem> {
    let seen = match sight::limits(caller, kind.name, NOW) {
        None => true,
        Some(limits) => v::table
            .filter(v::tenant_id.eq(caller.tenant).and(v::id.eq(id)))
            .filter(crate::db::dialect::standing())
            .filter(limits)
            .select(v::number)
            .get_result::<i64>(conn)
            .optional()?
            .is_some(),
    };
    let code = seen.then(|| format!("{}-{number}", kind.code));
    let taken = code.as_ref().map_or_else(
        || "taken".to_owned(),
        |code| format!("already used by {code}"),
    );
    let problem = crate::core::Problem::new(
        crate::core::Code::Conflict,
        format!("external_ref is {taken}."),
    );
    Ok(problem
        .listing(vec![Invalid::body("/external_ref", "taken", taken)])
        .needed_by(code))
}

/// Spine and links of a new record.
pub fn begin(kind: &Kind, id: Id, number: i64, status: &str, actor: &Actor, at: Instant) -> Spine {
    Spine {
        id,
        code: format!("{}-{number}", kind.code),
        number,
        status: status.to_owned(),
        version: 1,
        created_at: at,
        created_by: actor.clone(),
        updated_at: at,
        updated_by: actor.clone(),
        archived_at: None,
    }
}

/// The sort keys of one version: where the next page begins.
pub type Keys = (
    String,
    i64,
    String,
    Option<NaiveDate>,
    Option<NaiveDate>,
    Option<i32>,
    Instant,
    Instant,
);

/// Reads them.
pub fn keys(conn: &mut Conn, tenant: TenantId, id: Id, version: i32) -> QueryResult<Keys> {
    let columns = (
        v::name,
        v::number,
        v::status,
        v::due_on,
        v::review_due_on,
        v::rank,
        v::created_at,
        v::updated_at,
    );
    v::table
        .find((tenant, id, version))
        .select(columns)
        .get_result(conn)
}

/// Links of a record that has none.
pub fn no_links() -> Links {
    Links::default()
}
