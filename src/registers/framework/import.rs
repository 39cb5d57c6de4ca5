//! Frameworks of an organization's own: imported whole, as JSON or CSV. Importing again makes the
//! next revision; what was answered about requirements refers to their ids, and stays.
use crate::core::catalogue::Requirement;
use crate::core::{Invalid, Problem, Result, Schemas, json, packed};
use crate::db::dialect::NOW;
use crate::http::{Answer, Change, Guard, Target, input, query};
use crate::records::frameworks as contents;
use crate::records::{Body, IfMatch, Sound};
use crate::registers::framework::FrameworkShown;
use crate::registers::framework::catalogue_list::seen;
use crate::registers::framework::csv_rows::{MAPPINGS, REQUIREMENTS, Rows, refused};
use crate::registers::framework::enter::enter;
use crate::registers::framework::imported::{ImportedMapping, ImportedRequirement};
use crate::registers::framework::own::{ImportedFramework, read_only};
use actix_web::http::header::HeaderMap;
use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

/// Bytes of an import.
pub const IMPORT_LIMIT: usize = 5 << 20;

/// A framework to import.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FrameworkImport, example = json!({"slug": "house-rules", "title": "House rules",
    "edition": "2026", "requirements": [{"ref": "1", "title": "Access"}, {"ref": "1.1",
        "title": "Every account has an owner", "parent_ref": "1"}],
    "mappings": [{"source": "1.1", "target": "iso-27001-2022:A.5.16", "relationship": "subset"}]}))]
#[expect(
    dead_code,
    reason = "read part by part, so that each row's faults are named"
)]
pub struct FrameworkImport {
    /// Its readable id; none of the built-in ones.
    #[schema(min_length = 2, max_length = 64, pattern = "^[a-z0-9.-]{2,64}$")]
    slug: String,
    /// What it is called.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// Which edition.
    #[schema(max_length = 100)]
    edition: Option<String>,
    /// Who publishes it.
    #[schema(max_length = 100)]
    publisher: Option<String>,
    /// All of them, in their order; those that stand stay when absent.
    #[schema(max_items = 5000)]
    requirements: Option<Vec<ImportedRequirement>>,
    /// All of them; those that stand stay when absent, as far as their requirements do.
    #[schema(max_items = 20000)]
    mappings: Option<Vec<ImportedMapping>>,
}
/// Mappings to import.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mappings": [{"source": "1.1", "target": "iso-27001-2022:A.5.16",
    "relationship": "subset"}]}))]
#[expect(
    dead_code,
    reason = "read part by part, so that each row's faults are named"
)]
pub struct MappingImport {
    /// All of them, in place of those that stand.
    #[schema(max_items = 20000)]
    mappings: Vec<ImportedMapping>,
}

/// An import that was read: what it says of itself, its rows, and what marks a retry.
struct Read {
    head: Option<Sound<ImportedFramework>>,
    requirements: Option<Vec<Requirement>>,
    mappings: Option<Rows<ImportedMapping>>,
}

/// The body of an import, and whether it is CSV.
async fn body(headers: &HeaderMap, payload: web::Payload) -> Result<(bool, Vec<u8>)> {
    let (mut payload, accepted) = (payload.into_inner(), ["application/json", "text/csv"]);
    let bytes = input::bytes(headers, &mut payload, &accepted, IMPORT_LIMIT).await?;
    let csv = input::essence(headers).is_some_and(|essence| essence == "text/csv");
    Ok((csv, bytes))
}

/// Only so many imports are read at a time: each holds its rows in memory.
static READING: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let _turn = READING.acquire().await.map_err(Problem::internal)?;
    web::block(work).await.map_err(Problem::internal)?
}

/// Pure: the framework's own members; `title` is the name that every record has.
fn head(schemas: &Schemas, mut members: Map<String, Value>) -> Result<Sound<ImportedFramework>> {
    let renamed = |faults: &[Invalid], from: &str, to: &str| -> Vec<Invalid> {
        let named = |fault: &Invalid| Invalid {
            pointer: fault.pointer.replacen(from, to, 1),
            ..fault.clone()
        };
        faults.iter().map(named).collect()
    };
    let faults = schemas.sent("FrameworkImport")?.faults(&mut members);
    members.retain(|name, value| {
        !value.is_null() && ["slug", "title", "edition", "publisher"].contains(&name.as_str())
    });
    if let Some(title) = members.remove("title") {
        members.insert("name".into(), title);
    }
    Body::taken(members, renamed(&faults, "/title", "/name"))
        .sound()
        .map_err(|problem| Problem::invalid(renamed(problem.errors(), "/name", "/title")))
}

/// Pure: a whole import; the faults of all its parts.
fn read(schemas: &Schemas, csv: bool, bytes: &[u8], query: Map<String, Value>) -> Result<Read> {
    let (mut members, requirements, mappings) = if csv {
        let schema = schemas.sent("ImportedRequirement")?;
        let named = ["ref", "title", "parent_ref", "kind", "assessable"];
        let rows = Rows::of_csv(schema, "requirements", bytes, REQUIREMENTS, &named, true)?;
        (query, Some(rows), None)
    } else {
        let mut members = json::object(bytes)?;
        let mut part = |name: &str| members.remove(name).filter(|value| !value.is_null());
        let (requirements, mappings) = (part("requirements"), part("mappings"));
        let (requirement, mapping) = (
            schemas.sent("ImportedRequirement")?,
            schemas.sent("ImportedMapping")?,
        );
        let requirements =
            requirements.map(|rows| Rows::of_json(requirement, "requirements", rows, REQUIREMENTS));
        let mappings = mappings.map(|rows| Rows::of_json(mapping, "mappings", rows, MAPPINGS));
        (members, requirements, mappings)
    };
    members.retain(|_, value| !value.is_null());
    let slug = members
        .get("slug")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let (head, mut faults) = match head(schemas, members) {
        Ok(head) => (Some(head), vec![]),
        Err(problem) => (None, problem.errors().to_vec()),
    };
    let (requirements, more) = requirements
        .map(|rows| rows.requirements(&slug))
        .map_or((None, vec![]), |(all, more)| (Some(all), more));
    faults.extend(more);
    match mappings {
        Some(rows) if rows.faulty() || !faults.is_empty() => {
            faults.extend(rows.mappings(&slug, &mut |_| Ok(true), &|_| true)?.1);
            refused(faults)?;
            Err(Problem::internal("an import without its faults"))
        }
        mappings => refused(faults).map(|()| Read {
            head,
            requirements,
            mappings,
        }),
    }
}

/// What can be asked of `importFramework`.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FrameworkQuery {
    /// With CSV: its readable id.
    #[param(max_length = 64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    slug: Option<String>,
    /// With CSV: what it is called.
    #[param(max_length = 200)]
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// With CSV: which edition.
    #[param(max_length = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    edition: Option<String>,
    /// With CSV: who publishes it.
    #[param(max_length = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
}

async fn import(
    guard: Guard<Change<ImportedFramework>>,
    known: IfMatch,
    target: Target,
    payload: web::Payload,
) -> Result<Answer> {
    let (csv, bytes) = body(guard.headers(), payload).await?;
    // With JSON, the body says it.
    let query = match csv {
        true => target.only()?,
        false => query::unknown(&target.query, |_| false).map(|()| FrameworkQuery::default())?,
    };
    let Value::Object(query) = json!(query) else {
        return Err(Problem::internal("a query without members"));
    };
    let mark = mark(&bytes, &json!(query));
    let schemas = guard.house().schemas().clone();
    let read = apart(move || read(&schemas, csv, &bytes, query)).await?;
    let head = read
        .head
        .ok_or_else(|| Problem::internal("an import without a head"))?;
    guard
        .write_raw(&mark, move |tx| {
            enter(tx, head, read.requirements, read.mappings, &known)
        })
        .await
}

async fn import_mappings(
    guard: Guard<Change<ImportedFramework>>,
    slug: web::Path<String>,
    known: IfMatch,
    payload: web::Payload,
) -> Result<Answer> {
    let (csv, bytes) = body(guard.headers(), payload).await?;
    if !seen(guard.caller(), &slug) {
        return Err(Problem::not_found());
    }
    read_only(&slug)?;
    let mark = mark(&bytes, &Value::Null);
    let schemas = guard.house().schemas().clone();
    let read = move || {
        let schema = schemas.sent("ImportedMapping")?;
        if csv {
            let members = ["source", "target", "relationship", "kind", "provenance"];
            return Rows::of_csv(schema, "mappings", &bytes, MAPPINGS, &members, false);
        }
        // The rows are read one by one.
        let mut members = json::object(&bytes)?;
        let rows = members.get_mut("mappings");
        let rows = rows.map(|rows| std::mem::replace(rows, json!([])));
        let faults = schemas.sent("MappingImport")?.faults(&mut members);
        let rows = rows.unwrap_or_default();
        match faults.is_empty() {
            true => Ok(Rows::<ImportedMapping>::of_json(
                schema, "mappings", rows, MAPPINGS,
            )),
            false => Err(Problem::invalid(faults)),
        }
    };
    let rows = apart(read).await?;
    guard
        .write_raw(&mark, move |tx| {
            let tenant = tx.caller().tenant;
            let own =
                contents::find(tx.conn(), tenant, NOW, &slug)?.ok_or_else(Problem::not_found)?;
            let stood = own.head.clone();
            let members = [
                ("slug", stood.slug),
                ("title", stood.title),
                ("edition", stood.edition),
                ("publisher", stood.publisher),
            ];
            let members = members.map(|(name, text)| (name.to_owned(), json!(text)));
            let members = Map::from_iter(members);
            let head = head(tx.schemas(), members)?;
            enter(tx, head, None, Some(rows), &known)
        })
        .await
}
/// What a retry is known by.
fn mark(bytes: &[u8], query: &Value) -> Vec<u8> {
    let content = packed::digest(bytes);
    format!("{content} {query}").into_bytes()
}
/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/frameworks", import)
        .id("importFramework")
        .says(
            "Import a framework",
            "Makes a framework of the organization's own; the same slug \
            again makes its next revision. As CSV the rows are requirements (columns `ref`, \
            `title`, `parent_ref`, `kind`, `assessable`; others are attributes), and slug and \
            title stand in the query. A fault in a row refuses the whole.",
        )
        .query::<FrameworkQuery>()
        .shared("IfMatchMaybe")
        .retried()
        .body::<FrameworkImport>()
        .body_csv()
        .answers::<FrameworkShown>("Nothing is new: the framework as it stands.")
        .makes::<FrameworkShown>("The framework, imported.");
    api.post("/v1/frameworks/{slug}/mappings", import_mappings)
        .id("importMappings")
        .says(
            "Import the mappings of a framework",
            "In place of those that it has: its next \
            revision. As CSV the columns are `source`, `target`, `relationship`, `kind` and \
            `provenance`.",
        )
        .place("slug", "A framework of the organization's own.", "")
        .shared("IfMatchMaybe")
        .retried()
        .body::<MappingImport>()
        .body_csv()
        .answers::<FrameworkShown>("Nothing is new: the framework as it stands.")
        .makes::<FrameworkShown>("The framework, imported.");
}
