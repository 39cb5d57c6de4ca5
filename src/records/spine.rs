//! The spine: what every record has. Each version keeps its row, valid from one ledger entry to the
//! next.
use super::{Kind, Record, Resource, links::Links, sight};
use crate::access::{Actor, Caller};
use crate::core::{Id, Instant, Invalid, Result, TenantId, text::folded};
use crate::db::dialect::{NOW, OPEN};
use crate::db::{Conn, schema::records as r, schema::versions as v};
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
    #[validate(length(min = 1, max = 200), custom(function = said))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// An importer's own identifier; unique within the register. It is kept in Unicode's composed
    /// form (NFC).
    #[serde(default, deserialize_with = "crate::core::text::composed_name")]
    #[validate(length(min = 1, max = 200), custom(function = crate::core::text::legible))]
    #[schema(min_length = 1, max_length = 200)]
    pub external_ref: Option<String>,
    /// The day by which something has to be done.
    pub due_on: Option<NaiveDate>,
    /// The day on which it has to be looked at again.
    pub review_due_on: Option<NaiveDate>,
    /// Words to find it by.
    #[serde(default)]
    #[validate(length(max = 50), custom(function = tags_are_words))]
    #[schema(max_items = 50, min_length = 1, max_length = 50)]
    pub tags: Vec<String>,
    /// The organization's own members: up to 50 names with a string, a number, a boolean or null.
    #[serde(default)]
    #[validate(custom(function = custom_is_flat))]
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
    let fits = |tag: &String| {
        (1..=50).contains(&tag.chars().count()) && !tag.chars().any(char::is_control)
    };
    if tags.iter().all(fits) {
        Ok(())
    } else {
        Err(fault(
            "tags",
            "a tag has 1 to 50 characters and no control characters",
        ))
    }
}
fn custom_is_flat(custom: &Map<String, Value>) -> Result<(), validator::ValidationError> {
    let plain = |value: &Value| match value {
        Value::String(text) => text.chars().count() <= 1000,
        other => !other.is_object() && !other.is_array(),
    };
    let named = |name: &String| (1..=100).contains(&name.chars().count());
    match custom.len() <= 50
        && custom
            .iter()
            .all(|(name, value)| named(name) && plain(value))
    {
        true => Ok(()),
        false => Err(fault(
            "custom",
            "up to 50 names of up to 100 characters, each a string of up to 1,000, a number, a \
                boolean or null",
        )),
    }
}
/// A validator's error with a sentence.
pub fn fault(code: &'static str, words: &'static str) -> validator::ValidationError {
    validator::ValidationError::new(code).with_message(words.into())
}

/// Text that says something; that it is there at all is for its length to say.
pub fn said(text: &str) -> Result<(), validator::ValidationError> {
    if !text.is_empty() && text.trim().is_empty() {
        Err(fault("required", "is needed"))
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

/// Makes the identity of a new record, which stays for good.
pub fn identify<R: Resource>(
    conn: &mut Conn,
    tenant: TenantId,
    spine: &Spine,
) -> QueryResult<usize> {
    let identity = (
        r::tenant_id.eq(tenant),
        r::id.eq(spine.id),
        r::kind.eq(R::KIND.name),
        r::number.eq(spine.number),
    );
    diesel::insert_into(r::table).values(identity).execute(conn)
}

/// Adds the row of a version whose image was written at `seq` in `schema`, and closes the one
/// before.
pub fn insert<R: Resource>(
    conn: &mut Conn,
    tenant: TenantId,
    record: &Record<R>,
    seq: i64,
    schema: i16,
) -> Result<()> {
    let (spine, common) = (&record.spine, &record.common);
    if spine.version > 1 {
        close(conn, tenant, spine.id, spine.version - 1, seq)?;
    }
    let own = super::record::members(&record.own)?;
    let tags = if common.tags.is_empty() {
        String::new()
    } else {
        format!("\n{}\n", common.tags.join("\n"))
    };
    let row = (
        (
            v::tenant_id.eq(tenant),
            v::id.eq(spine.id),
            v::version.eq(spine.version),
            v::kind.eq(R::KIND.name),
            v::number.eq(spine.number),
        ),
        (
            v::external_ref.eq(&common.external_ref),
            v::name.eq(&common.name),
            v::status.eq(&spine.status),
        ),
        (
            v::owner_id.eq(record.links.one("owner_id")),
            v::due_on.eq(common.due_on),
            v::review_due_on.eq(common.review_due_on),
        ),
        (
            v::rank.eq(R::rank(record)),
            v::tags.eq(tags),
            v::words.eq(words(record, &own)),
        ),
        (
            v::created_at.eq(spine.created_at),
            v::updated_at.eq(spine.updated_at),
            v::archived_at.eq(spine.archived_at),
        ),
        (
            v::from_seq.eq(seq),
            v::to_seq.eq(OPEN),
            v::schema.eq(schema),
        ),
    );
    diesel::insert_into(v::table).values(row).execute(conn)?;
    Ok(())
}

fn close(conn: &mut Conn, tenant: TenantId, id: Id, version: i32, seq: i64) -> Result<()> {
    let before = v::table
        .find((tenant, id, version))
        .filter(v::to_seq.eq(OPEN));
    match diesel::update(before)
        .set(v::to_seq.eq(seq))
        .execute(conn)?
    {
        1 => Ok(()),
        _ => Err(crate::core::Problem::internal(
            "a version was lost behind the lock",
        )),
    }
}

/// Is this external reference free within the register? The record that has it is named where the
/// caller sees it.
pub fn free_reference<R: Resource>(
    conn: &mut Conn,
    caller: &Caller,
    record: &Record<R>,
) -> Result<()> {
    let Some(reference) = &record.common.external_ref else {
        return Ok(());
    };
    let same = || {
        let same = v::table.filter(
            v::tenant_id
                .eq(caller.tenant)
                .and(v::kind.eq(R::KIND.name))
                .and(v::external_ref.eq(reference)),
        );
        same.filter(crate::db::dialect::standing())
            .filter(v::id.ne(record.spine.id))
            .select(v::number)
    };
    let Some(number) = same().get_result::<i64>(conn).optional()? else {
        return Ok(());
    };
    let seen = match sight::limits(caller, R::KIND.name, NOW) {
        None => true,
        Some(limits) => same()
            .filter(limits)
            .get_result::<i64>(conn)
            .optional()?
            .is_some(),
    };
    let code = seen.then(|| format!("{}-{number}", R::KIND.code));
    let taken = code
        .as_ref()
        .map_or_else(|| "taken".to_owned(), |code| format!("taken by {code}"));
    let problem = crate::core::Problem::new(
        crate::core::Code::Conflict,
        format!("external_ref is {taken}."),
    );
    Err(problem
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
