//! The spine: what every record has.
use super::Kind;
use crate::access::Actor;
use crate::core::{Id, Instant, Result, TenantId};
use crate::db::{Conn, schema::records as r};
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
    /// `018f…` or `RSK-12`, of this kind; `None` when it can be neither.
    pub fn parse(text: &str, kind: &Kind) -> Option<Self> {
        Selector::among(text, std::slice::from_ref(kind))
    }
    /// The same of any of these kinds.
    pub fn among(text: &str, kinds: &[Kind]) -> Option<Self> {
        let coded = || {
            let (prefix, number) = coded(text)?;
            let of = kinds.iter().find(|kind| kind.code == prefix)?;
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

/// The parts of a code: what stands for its kind, and the number.
pub(super) fn coded(text: &str) -> Option<(&str, i64)> {
    let (prefix, digits) = text.split_once('-')?;
    let number = digits.parse().ok();
    let number = number.filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()));
    Some((prefix, number?))
}

/// Spine and links of a new record.
pub fn begin(kind: &Kind, id: Id, number: i64, status: &str, actor: &Actor, at: Instant) -> Spine {
    Spine {
        id,
        code: kind.numbered(number),
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
