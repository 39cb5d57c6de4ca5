//! One operation, said once: route, permission, parameters, body, answers and prose in one value.
//! It mounts the handler and describes it. What follows from what it is — security, headers,
//! problems, `x-permission` — is not said again.
//!
//! ```ignore
//! api.post("/v1/risks/{id}/close", close)
//!     .id("closeRisk")
//!     .says("Close a risk", "…")
//!     .changes::<Risk>()
//!     .body::<Comment>()
//!     .optional();
//! ```
use super::entry::Needs;
use super::past::HistoryQuery;
use super::places::{named, places, present};
use super::references::{self, parameter, schema};
use crate::records::{Kinds, Resource};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

type Members = Map<String, Value>;

/// An operation in the making.
#[derive(Debug)]
pub struct Operation {
    pub(super) method: &'static str,
    pub(super) path: String,
    needs: Needs,
    id: String,
    tag: String,
    summary: String,
    about: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    problems: BTreeSet<u16>,
    headers: Vec<&'static str>,
    unchanged: bool,
    schemas: Vec<(String, Value)>,
}

/// The problems that every operation behind a credential may answer.
const ANY: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];
/// Those that writes have besides.
const WRITES: [u16; 6] = [408, 409, 412, 413, 415, 422];

impl Operation {
    pub(super) fn new(kinds: Kinds, method: &'static str, path: &str, needs: Needs) -> Self {
        let reads = method == "get";
        let tag = path
            .trim_start_matches("/v1/")
            .split('/')
            .next()
            .unwrap_or_default();
        let problems: BTreeSet<u16> = match needs {
            Needs::Nothing => BTreeSet::from([400, 401, 408, 413, 415, 422, 429, 500, 503]),
            _ if reads => ANY.into(),
            _ => ANY.into_iter().chain(WRITES).collect(),
        };
        Operation {
            method,
            path: path.to_owned(),
            needs,
            id: String::new(),
            tag: tag.to_owned(),
            summary: String::new(),
            about: String::new(),
            parameters: places(kinds, path),
            body: None,
            answers: vec![],
            problems,
            headers: vec![],
            unchanged: reads,
            schemas: vec![],
        }
    }
    /// Its name in the document and in generated clients: `closeRisk`.
    pub fn id(&mut self, id: impl Into<String>) -> &mut Self {
        self.id = id.into();
        self
    }
    /// What it does, in a few words and in full.
    pub fn says(&mut self, summary: impl Into<String>, about: impl Into<String>) -> &mut Self {
        (self.summary, self.about) = (summary.into(), about.into());
        self
    }
    /// Its group in the document, where that is not the first part of its path.
    pub fn tag(&mut self, tag: &str) -> &mut Self {
        self.tag = tag.to_owned();
        self
    }
    /// Problems that it may answer besides.
    pub fn refuses(&mut self, statuses: &[u16]) -> &mut Self {
        self.problems.extend(statuses);
        self
    }
    /// Problems that it never answers.
    pub fn never(&mut self, statuses: &[u16]) -> &mut Self {
        self.problems.retain(|status| !statuses.contains(status));
        self
    }

    /// A parameter that operations share, by its name in the document.
    pub fn shared(&mut self, name: &str) -> &mut Self {
        self.parameters.push(parameter(name));
        self
    }
    /// A parameter of its own.
    pub fn parameter(&mut self, parameter: Value) -> &mut Self {
        self.parameters.push(parameter);
        self
    }
    /// Words and an example for a part of the path.
    pub fn place(&mut self, name: &str, about: &str, example: &str) -> &mut Self {
        let place = self.parameters.iter_mut().find(|one| one["name"] == name);
        if let Some(place) = place.and_then(Value::as_object_mut) {
            place.insert("description".into(), json!(about));
            place.insert("example".into(), json!(example));
        }
        self
    }
    /// What else holds for that part: members of its schema.
    pub fn place_of(&mut self, name: &str, more: Value) -> &mut Self {
        let place = self.parameters.iter_mut().find(|one| one["name"] == name);
        let schema = place.and_then(|place| place.pointer_mut("/schema")?.as_object_mut());
        if let (Some(schema), Value::Object(more)) = (schema, more) {
            schema.extend(more);
        }
        self
    }
    /// What the query may ask.
    pub fn query<Q: IntoParams>(&mut self) -> &mut Self {
        let asked = Q::into_params(|| Some(ParameterIn::Query));
        self.queries(asked.iter().map(|parameter| json!(parameter)).collect())
    }
    /// The same, described already.
    pub fn queries(&mut self, mut asked: Vec<Value>) -> &mut Self {
        asked
            .iter_mut()
            .filter_map(|one| one.get_mut("schema"))
            .for_each(present);
        self.parameters.append(&mut asked);
        self
    }
    /// It can be asked as of a past moment.
    pub fn as_of(&mut self) -> &mut Self {
        self.shared("AsOf")
    }
    /// It can be asked as of a past moment, and of archived records.
    pub fn past(&mut self) -> &mut Self {
        self.shared("AsOf").shared("ArchivedToo")
    }
    /// It answers in pages.
    pub fn paged(&mut self) -> &mut Self {
        self.shared("Limit").shared("Cursor")
    }
    /// It answers the versions of a record.
    pub fn history(&mut self) -> &mut Self {
        let page = crate::records::history::HistoryPage::name();
        self.as_of()
            .shared("Limit")
            .query::<HistoryQuery>()
            .record(&page, "Newest first.")
    }
    /// It may be sent again with the same `Idempotency-Key`.
    pub fn retried(&mut self) -> &mut Self {
        self.shared("IdempotencyKey")
    }

    /// It changes a record of this register at the version that the caller names, and answers it.
    pub fn changes<R: Resource>(&mut self) -> &mut Self {
        self.versioned("IfMatch")
            .record(&R::name(), "The record after the change.")
    }
    /// The same for a decision, which is about the version that was read and no other: no `*`.
    pub fn decides<R: Resource>(&mut self) -> &mut Self {
        self.versioned("DecidedOn")
            .record(&R::name(), "The record after the change.")
    }
    /// It is about the version that the caller names.
    pub fn versioned(&mut self, condition: &str) -> &mut Self {
        self.shared(condition)
            .shared("ChangeReason")
            .refuses(&[428]);
        match self.method {
            "post" => self.retried(),
            _ => self,
        }
    }

    /// A body of this type.
    pub fn body<T: ToSchema>(&mut self) -> &mut Self {
        let schema = self.named::<T>();
        self.content("application/json", schema)
    }
    /// A body whose schema has this name.
    pub fn body_named(&mut self, name: &str) -> &mut Self {
        self.content("application/json", schema(name))
    }
    /// A merge patch whose schema has this name; it may come as plain JSON.
    pub fn patch_named(&mut self, name: &str) -> &mut Self {
        let schema = schema(name);
        self.content("application/merge-patch+json", schema.clone())
            .content("application/json", schema)
    }
    /// A body of this media type.
    pub fn content(&mut self, media: &str, schema: Value) -> &mut Self {
        self.content_with(media, json!({"schema": schema}))
    }
    /// The same with what else is said of it, such as an example.
    pub fn content_with(&mut self, media: &str, content: Value) -> &mut Self {
        let body = self
            .body
            .get_or_insert_with(|| json!({"required": true, "content": {}}));
        put(body, "content", media, content);
        self
    }
    /// The body may be a table.
    pub fn body_csv(&mut self) -> &mut Self {
        let (name, table) = references::csv();
        self.schemas.push((name.to_owned(), table));
        self.content("text/csv", schema(name))
    }
    /// The body may be left out.
    pub fn optional(&mut self) -> &mut Self {
        if let Some(body) = self.body.as_mut().and_then(Value::as_object_mut) {
            body.insert("required".into(), json!(false));
        }
        self
    }

    /// The body is required, though each of its members may be left out.
    pub fn required(&mut self) -> &mut Self {
        if let Some(body) = self.body.as_mut().and_then(Value::as_object_mut) {
            body.insert("required".into(), json!(true));
        }
        self
    }

    /// 200 with this type.
    pub fn answers<T: ToSchema>(&mut self, about: &str) -> &mut Self {
        let schema = self.named::<T>();
        self.answer(200, about, "application/json", schema)
    }
    /// 201 with this type.
    pub fn makes<T: ToSchema>(&mut self, about: &str) -> &mut Self {
        let schema = self.named::<T>();
        self.answer(201, about, "application/json", schema)
    }
    /// 200 with a record of the register whose schema has this name.
    pub fn record(&mut self, name: &str, about: &str) -> &mut Self {
        self.answer(200, about, "application/json", schema(name))
    }
    /// 204.
    pub fn ends(&mut self, about: &str) -> &mut Self {
        self.answers.push((204, json!({"description": about})));
        self
    }
    /// One of its answers; another media type for the same status joins it.
    pub fn answer(&mut self, status: u16, about: &str, media: &str, schema: Value) -> &mut Self {
        self.answer_with(status, about, media, json!({"schema": schema}))
    }
    /// The same with what else is said of the content, such as an example.
    pub fn answer_with(
        &mut self,
        status: u16,
        about: &str,
        media: &str,
        content: Value,
    ) -> &mut Self {
        match self.answers.iter_mut().find(|(known, _)| *known == status) {
            Some((_, answer)) => put(answer, "content", media, content),
            None => {
                let answer = json!({"description": about, "content": {media: content}});
                self.answers.push((status, answer));
            }
        }
        self
    }
    /// A header of its answers, by its name in the document.
    pub fn header(&mut self, name: &'static str) -> &mut Self {
        self.headers.push(name);
        self
    }
    /// It answers a table, too: `format=csv`, or `Accept: text/csv`.
    pub fn or_csv(&mut self) -> &mut Self {
        self.or("csv", "text/csv", references::csv())
    }
    /// It answers a drawing, too: `format=svg`, or `Accept: image/svg+xml`.
    pub fn or_svg(&mut self) -> &mut Self {
        self.or("svg", "image/svg+xml", references::svg())
    }
    fn or(&mut self, format: &str, media: &str, (name, form): (&str, Value)) -> &mut Self {
        let about = format!("`json` or `{format}`.");
        self.parameter(json!({"name": "format", "in": "query", "required": false,
            "description": about, "schema": {"type": "string", "enum": ["json", format]}}));
        self.schemas.push((name.to_owned(), form));
        self.refuses(&[406]).answer(200, "", media, schema(name))
    }
    /// It has no entity tag: it is answered in full each time.
    pub fn untagged(&mut self) -> &mut Self {
        self.unchanged = false;
        self
    }

    fn named<T: ToSchema>(&mut self) -> Value {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        self.keep(found);
        schema(&T::name())
    }
    fn keep(&mut self, found: Vec<(String, RefOr<Schema>)>) {
        self.schemas.extend(
            found
                .into_iter()
                .map(|(name, schema)| (name, json!(schema))),
        );
    }

    /// The operation as the document has it, and the schemas that it names.
    pub(super) fn described(mut self) -> (Value, Vec<(String, Value)>) {
        let open = self.needs == Needs::Nothing;
        let takes = |name: &str| self.parameters.iter().any(|one| named(one) == name);
        let matching = takes("IfMatch") || takes("IfMatchMaybe") || takes("DecidedOn");
        let retried = takes("IdempotencyKey");
        let paged = takes("Cursor") || takes("cursor");
        if self.unchanged {
            self.answers.push((
                304,
                json!({"description": "Unchanged since the tag that you \
                sent."}),
            ));
            self.parameters.push(parameter("IfNoneMatch"));
        }
        if self.body.is_none() {
            self.problems
                .retain(|status| ![408, 413, 415].contains(status));
        }
        let mut responses = Members::new();
        for (status, mut answer) in self.answers {
            let tagged =
                self.unchanged || status == 201 || matching && [200, 204].contains(&status);
            let has = [
                ("Ledger-Position", !open),
                ("ETag", tagged),
                ("Location", status == 201),
                ("Idempotency-Replayed", retried),
                ("Link", paged && status == 200),
            ];
            let own = self.headers.iter().map(|name| (*name, true));
            for (name, _) in has.into_iter().chain(own).filter(|(_, has)| *has) {
                let header = json!({"$ref": format!("#/components/headers/{name}")});
                put(&mut answer, "headers", name, header);
            }
            responses.insert(status.to_string(), answer);
        }
        for status in self.problems {
            let problem = json!({"$ref": format!("#/components/responses/Problem{status}")});
            responses.insert(status.to_string(), problem);
        }
        let security = if open {
            json!([{}])
        } else {
            json!([{"bearer": []}])
        };
        let mut operation = json!({"operationId": self.id, "tags": [self.tag],
            "summary": self.summary, "description": self.about, "security": security,
            "parameters": self.parameters, "responses": responses});
        if let Some(members) = operation.as_object_mut() {
            members.extend(self.body.map(|body| ("requestBody".to_owned(), body)));
            let permission = match self.needs {
                Needs::Nothing => None,
                Needs::Credential => Some(Value::Null),
                Needs::Permission { kind, action } => Some(json!({"kind": kind, "action": action})),
            };
            members.extend(permission.map(|needs| ("x-permission".to_owned(), needs)));
        }
        (operation, self.schemas)
    }
}

fn put(value: &mut Value, part: &str, name: &str, inner: Value) {
    let part = value
        .as_object_mut()
        .map(|all| all.entry(part).or_insert_with(|| json!({})));
    if let Some(members) = part.and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), inner);
    }
}
