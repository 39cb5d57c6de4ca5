//! A version on its way out: its image, and the text and the entity tag that it is answered with.
use super::Kind;
use crate::core::{Id, Problem, Result, json::canonical};
use crate::db::dialect::{Words, body_of};
use crate::db::schema::versions as v;
use diesel::{ExpressionMethods, helper_types::IsNotNull, sql_types::Text};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a statement says of a version for its row: all but the personal half of its image.
pub type Columns = (
    v::id,
    v::version,
    v::status,
    IsNotNull<v::archived_at>,
    v::schema,
    Words<Text>,
);
/// They, as they are read.
pub type Found = (Id, i32, String, bool, i16, String);

/// The columns of a row.
pub fn columns() -> Columns {
    let archived = v::archived_at.is_not_null();
    (v::id, v::version, v::status, archived, v::schema, body_of())
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
    /// Of what was read.
    pub fn of(found: Found, personal: Option<String>) -> Self {
        let (id, version, status, archived, schema, body) = found;
        Row {
            id,
            version,
            status,
            archived,
            body,
            personal,
            schema,
            names: 0,
        }
    }
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
pub struct RenderedRecord {
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
