//! A register in OpenAPI: its operations and schemas, made of its words and its body. It is written
//! as the document reads.
pub use super::responses::*;

use super::asked::asked;
use super::handlers::{Comment, NewLink, Reviewed};
use super::paged::{counts, counts_of, page};
use super::{Document, Operations};
use crate::records::history::HistoryPage;
use crate::records::reader::Ref;
use crate::records::spine::Spine;
use crate::records::{Common, Kind, Relation, Resource};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

type Members = Map<String, Value>;

/// `Asset`, `AssetInput`, `AssetPatch`, `AssetPage`, and the schemas that they name.
pub fn schemas<R: Resource>(to: &mut Document, does: Operations) {
    let (name, about, kind) = (R::name(), R::KIND.about, R::KIND);
    let writable = || writable_members::<R>().into_iter();
    let needed: Vec<Value> = required::<Common>()
        .into_iter()
        .chain(required::<R>())
        .chain(
            kind.relations
                .iter()
                .filter(|relation| relation.required)
                .map(|relation| json!(relation.member)),
        )
        .collect();
    let optional = |(member, schema): (String, Value)| {
        if needed.contains(&json!(member)) {
            (member, schema)
        } else {
            (member, nullable(schema))
        }
    };
    let mut record = record_members::<R>();
    record
        .get_mut("code")
        .and_then(Value::as_object_mut)
        .map(|code| code.insert("example".into(), json!(format!("{}-1", kind.code))));
    let all: Vec<_> = record.keys().cloned().collect();
    to.schema(
        &name,
        json!({"type": "object", "description": about, "properties": record, "required": all}),
    );
    if does.create {
        let body = writable().map(optional).collect::<Members>();
        let input = json!({"type": "object", "description": about, "additionalProperties": false,
            "properties": body, "required": needed, "example": R::example()});
        to.schema(&format!("{name}Input"), input);
    }
    if does.update {
        let patch = writable().map(|(member, schema)| {
            if needed.contains(&json!(member)) {
                (member, schema)
            } else {
                (member, nullable(schema))
            }
        });
        let patch = json!({"type": "object", "description": "A JSON merge patch (RFC 7396): \
            absent leaves, null clears.", "additionalProperties": false,
            "properties": patch.collect::<Members>(), "example": {"name": "A better name"}});
        to.schema(&format!("{name}Patch"), patch);
    }
    to.schema(&format!("{name}Page"), page::<R>());
    for collect in [
        R::schemas,
        Common::schemas,
        Spine::schemas,
        R::State::schemas,
        HistoryPage::schemas,
        R::more_schemas,
    ] {
        to.named(collect);
    }
    for (name, schema) in [
        (HistoryPage::name(), json!(HistoryPage::schema())),
        (Ref::name(), json!(Ref::schema())),
        (counts_of::<R>().into(), counts::<R>()),
    ] {
        to.schema(&name, schema);
    }
    for (name, schema) in [
        (Comment::name(), json!(Comment::schema())),
        (NewLink::name(), json!(NewLink::schema())),
        (Reviewed::name(), json!(Reviewed::schema())),
    ] {
        to.schema(&name, schema);
    }
}

/// `NewApiKey`: what is answered when an `ApiKey` was made, with a secret that is shown once and
/// left out of a replay.
pub fn with_secret(to: &mut Document, of: &str, name: &str, about: &str, secret: Value) {
    let mut made = to.known(of).cloned().unwrap_or_default();
    if let Some(members) = made.as_object_mut() {
        members.insert("description".into(), json!(about));
        members
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .map(|all| all.insert("secret".into(), secret));
    }
    to.schema(name, made);
}

/// Its operations.
pub fn operations<R: Resource>(to: &mut Document, does: Operations) {
    let (one, kind) = (R::name(), R::KIND);
    let all = format!("/v1/{}", kind.path);
    let (many, words) = (
        pascal(kind.path),
        (kind.name.replace('_', " "), kind.path.replace('-', " ")),
    );
    let each = |rest: &str| format!("{all}/{{id}}{rest}");
    let (a, some) = (format!("{} {}", article(&words.0), words.0), words.1);
    let record = |status: &str, text: &str| {
        good(
            status,
            json!({"description": text, "headers": headers(&["ETag", "Ledger-Position"]),
                "content": json_of(schema(&one))}),
        )
    };
    let created = good(
        "201",
        json!({"description": "Created.", "headers": headers(&["ETag", "Location",
            "Ledger-Position", "Idempotency-Replayed"]), "content": json_of(schema(&one))}),
    );
    let listed = good(
        "200",
        json!({"description": "A page.", "headers": headers(&["ETag", "Link", "Ledger-Position"]),
            "content": json_of(schema(&format!("{one}Page")))}),
    );
    let versions = good(
        "200",
        json!({"description": "Newest first.", "headers": headers(&["Ledger-Position"]),
            "content": json_of(schema(&HistoryPage::name()))}),
    );
    let unchanged = || {
        good(
            "304",
            json!({"description": "Unchanged since the tag that was sent.",
                "headers": headers(&["ETag", "Ledger-Position"])}),
        )
    };
    let body = |name: &str, media: &[&str], needed: bool| {
        let content: Members = media
            .iter()
            .map(|media| ((*media).to_owned(), json!({"schema": schema(name)})))
            .collect();
        Some(json!({"required": needed, "content": content}))
    };
    let mut add = |path: String,
                   method: &str,
                   id: String,
                   summary: String,
                   about: &str,
                   parameters: Vec<Value>,
                   body: Option<Value>,
                   good: Members,
                   bad: &[u16]| {
        let responses: Members = good.into_iter().chain(bad.iter().map(problem)).collect();
        let mut operation = json!({"operationId": id, "tags": [kind.path], "summary": summary,
            "description": about,
            "security": [{"bearer": []}], "parameters": parameters, "responses": responses});
        if let (Some(operation), Some(body)) = (operation.as_object_mut(), body) {
            operation.insert("requestBody".into(), body);
        }
        to.operation(&path, method, operation);
    };
    let merged = || {
        body(
            &format!("{one}Patch"),
            &["application/merge-patch+json", "application/json"],
            true,
        )
    };
    let common = |more: &[u16]| [&[400, 401, 403, 404, 429, 500, 503], more].concat();
    let changing = common(&[408, 409, 412, 413, 415, 422, 428]);
    add(
        all.clone(),
        "get",
        format!("list{many}"),
        format!("List {some}"),
        kind.about,
        asked::<R>(),
        None,
        listed.into_iter().chain(unchanged()).collect(),
        &[400, 401, 403, 406, 429, 500, 503],
    );
    add(
        each(""),
        "get",
        format!("get{one}"),
        format!("Get {a}"),
        kind.about,
        vec![id(&kind), as_of(), archived_one(), if_none_match()],
        None,
        record("200", "The record.")
            .into_iter()
            .chain(unchanged())
            .collect(),
        &common(&[]),
    );
    add(
        each("/history"),
        "get",
        format!("list{one}History"),
        format!("List the versions of {a}"),
        "Who changed what, when and why, newest first; archived records too.",
        vec![id(&kind), as_of(), limit(), before_seq(), include_body()],
        None,
        versions.into_iter().chain(unchanged()).collect(),
        &common(&[]),
    );
    if does.create {
        add(
            all.clone(),
            "post",
            format!("create{one}"),
            format!("Create {a}"),
            kind.about,
            vec![idempotency_key()],
            body(&format!("{one}Input"), &["application/json"], true),
            created,
            &[400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503],
        );
    }
    if does.update {
        add(
            each(""),
            "patch",
            format!("update{one}"),
            format!("Change {a}"),
            "A JSON merge patch (RFC 7396). One that changes nothing leaves the version as it is.",
            vec![id(&kind), archived_one(), if_match(), change_reason()],
            merged(),
            record("200", "The record after the change."),
            &changing,
        );
        add(
            each("/links"),
            "post",
            format!("link{one}"),
            format!("Add a link to {a}"),
            "Adds one link to a member with several.",
            vec![id(&kind), if_match(), change_reason(), idempotency_key()],
            body("NewLink", &["application/json"], true),
            record("200", "The record with the link."),
            &changing,
        );
        let relation = json!({"name": "relation", "in": "path", "required": true,
            "description": "The member that holds the link.", "schema": {"type": "string",
                "maxLength": 64, "enum": many_relations(&kind)}, "example": "scope_ids"});
        let target = json!({"name": "to", "in": "path", "required": true,
            "description": "The linked record: its id or its code.", "schema": {"type": "string",
                "maxLength": 64}, "example": "SCO-1"});
        add(
            each("/links/{relation}/{to}"),
            "delete",
            format!("unlink{one}"),
            format!("Remove a link from {a}"),
            "Removes one link from a member with several.",
            vec![id(&kind), relation, target, if_match(), change_reason()],
            None,
            record("200", "The record without the link."),
            &common(&[409, 412, 422, 428]),
        );
    }
    if does.archive {
        let gone = good(
            "204",
            json!({"description": "Archived: it has left the lists, its history stays.",
                "headers": headers(&["ETag", "Ledger-Position"])}),
        );
        add(
            each(""),
            "delete",
            format!("delete{one}"),
            format!("Archive {a}"),
            "Takes the record out of the lists. A record that others need stays (409 names them).",
            vec![id(&kind), if_match(), change_reason()],
            None,
            gone,
            &common(&[409, 412, 428]),
        );
        add(
            each("/restore"),
            "post",
            format!("restore{one}"),
            format!("Restore {a}"),
            "Brings an archived record back into the lists.",
            vec![id(&kind), if_match(), idempotency_key()],
            body(&Comment::name(), &["application/json"], false),
            record("200", "The record."),
            &changing,
        );
    }
    super::bulk::describe::operations::<R>(&mut add, does);
    if does.review {
        add(
            each("/review"),
            "post",
            format!("review{one}"),
            format!("Review {a}"),
            "Records that it was looked at, and sets the day of the next review.",
            vec![id(&kind), if_match(), idempotency_key()],
            body("Reviewed", &["application/json"], false),
            record("200", "The record."),
            &changing,
        );
    }
}

/// The form of readable requirement ids.
pub const REQUIREMENT: &str = "^[a-z0-9.-]+:[A-Za-z0-9().,-]{1,40}$";

/// The members that clients write.
pub fn writable_members<R: Resource>() -> Members {
    members::<Common>()
        .into_iter()
        .chain(members::<R>())
        .chain(R::KIND.all_relations().map(|relation| link(relation, true)))
        .collect()
}
/// The members of a record as it is answered.
pub fn record_members<R: Resource>() -> Members {
    let kind = R::KIND;
    let states = (!kind.transitions.is_empty())
        .then(|| ("allowed_transitions".to_owned(), transitions(&kind)));
    let status = (
        "status".to_owned(),
        json!({"type": "string", "enum": kind.statuses(), "description": "Where it is in its \
            life."}),
    );
    let erasable =
        |(member, schema): (String, Value)| match kind.personal.contains(&member.as_str()) {
            true => (member, nullable(schema)),
            false => (member, schema),
        };
    let shown = members::<Common>()
        .into_iter()
        .chain(members::<R>())
        .chain(kind.all_relations().map(|relation| link(relation, false)));
    let shown = shown.map(erasable);
    let computed = R::computed_schemas()
        .into_iter()
        .map(|(member, schema)| (member.to_owned(), schema));
    members::<Spine>()
        .into_iter()
        .chain([status])
        .chain(shown)
        .chain(members::<R::State>())
        .chain(computed)
        .chain(states)
        .collect()
}
fn transitions(kind: &Kind) -> Value {
    let mut verbs: Vec<_> = kind
        .transitions
        .iter()
        .map(|transition| transition.verb)
        .collect();
    verbs.sort_unstable();
    verbs.dedup();
    json!({"type": "array", "maxItems": 20, "description": "What can be done with it in this \
        state.", "items": {"type": "string", "enum": verbs}})
}
/// The members of a type's schema.
pub fn members<T: PartialSchema>() -> Members {
    json!(T::schema())
        .get_mut("properties")
        .map(Value::take)
        .and_then(|p| serde_json::from_value(p).ok())
        .unwrap_or_default()
}
fn required<T: PartialSchema>() -> Vec<Value> {
    json!(T::schema())
        .get_mut("required")
        .map(Value::take)
        .and_then(|list| serde_json::from_value(list).ok())
        .unwrap_or_default()
}
/// The schema of a member that refers to records.
pub fn link(relation: &Relation, input: bool) -> (String, Value) {
    let what = if relation.to.is_empty() {
        "records of any kind".into()
    } else {
        format!("records of the kind {}", relation.to)
    };
    let about = format!(
        "Refers to {what}{}.",
        if input { ": ids or codes" } else { "" }
    );
    let id = if input {
        json!({"type": "string", "maxLength": 64})
    } else {
        json!({"type": "string", "format": "uuid"})
    };
    let schema = match (relation.many(), relation.required) {
        (true, _) => json!({"type": "array", "items": id, "maxItems": 1000, "description": about}),
        (false, needed) => {
            let mut schema = id;
            if let Some(members) = schema.as_object_mut() {
                members.insert("description".into(), json!(about));
                if !needed {
                    members.insert("type".into(), json!(["string", "null"]));
                }
            }
            schema
        }
    };
    (relation.member.to_owned(), schema)
}
fn many_relations(kind: &Kind) -> Vec<&'static str> {
    kind.all_relations()
        .filter(|relation| relation.many())
        .map(|relation| relation.member)
        .collect()
}
/// The schema that accepts null besides.
pub fn nullable(mut schema: Value) -> Value {
    match schema.get("type").cloned() {
        Some(Value::Array(_)) => schema,
        Some(kind) => {
            schema
                .as_object_mut()
                .map(|members| members.insert("type".into(), json!([kind, "null"])));
            schema
        }
        None if schema.get("oneOf").is_some() => schema,
        None => json!({"oneOf": [{"type": "null"}, schema]}),
    }
}
/// `RiskMethodologies` of `risk-methodologies`.
pub fn pascal(path: &str) -> String {
    path.split(['-', '_'])
        .flat_map(|word| {
            word.chars()
                .take(1)
                .flat_map(char::to_uppercase)
                .chain(word.chars().skip(1))
        })
        .collect()
}
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    }
}
/// A reference to a schema.
pub fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
fn problem(status: &u16) -> (String, Value) {
    (
        status.to_string(),
        json!({"$ref": format!("#/components/responses/Problem{status}")}),
    )
}
fn good(status: &str, response: Value) -> Members {
    Members::from_iter([(status.to_owned(), response)])
}
/// Content that is JSON.
pub fn json_of(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}
/// Headers, by reference.
pub fn headers(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({"$ref": format!("#/components/headers/{name}")}),
            )
        })
        .collect::<Members>()
        .into()
}
fn id(kind: &Kind) -> Value {
    json!({"name": "id", "in": "path", "required": true, "description": "The record: its id or \
        its code.", "schema": {"type": "string", "maxLength": 64}, "example": format!("{}-1",
            kind.code)})
}
fn if_match() -> Value {
    parameter("IfMatch")
}
fn if_none_match() -> Value {
    parameter("IfNoneMatch")
}
fn idempotency_key() -> Value {
    parameter("IdempotencyKey")
}
fn change_reason() -> Value {
    parameter("ChangeReason")
}
fn as_of() -> Value {
    parameter("AsOf")
}
fn archived_one() -> Value {
    parameter("ArchivedToo")
}
fn limit() -> Value {
    parameter("Limit")
}
fn before_seq() -> Value {
    json!({"name": "before_seq", "in": "query", "required": false, "description": "Only versions \
        before this position.", "schema": {"type": "integer", "format": "int64", "minimum": 0,
            "maximum": i64::MAX}})
}
fn include_body() -> Value {
    json!({"name": "include", "in": "query", "required": false, "description": "The whole record \
        with each version.", "schema": {"type": "string", "enum": ["body"]}})
}
