//! The collector: what is mounted is described, by the same call. JSON throughout, so that nothing
//! is lost on the way through other types, and two schemas of one name are an error instead of a
//! silent overwrite.
use super::Answer;
use crate::core::{Code, Problem};
use actix_web::guard::{self, Guard};
use actix_web::{Scope, dev::HttpServiceFactory, web};
use serde_json::{Map, Value, json};
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::openapi::{RefOr, Schema};

/// An OpenAPI document in the making.
#[derive(Debug, Default)]
pub struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    /// The paths that the latest service described.
    told: Vec<String>,
    /// Names that stand for two different schemas; a test wants none.
    pub clashes: Vec<String>,
}

/// What a service says about itself.
pub trait Described {
    /// Adds its operations and schemas.
    fn describe(&self, to: &mut Document);
}

/// Every `#[utoipa::path]` handler.
impl<T: utoipa::Path + SchemaReferences + for<'t> Tags<'t>> Described for T {
    fn describe(&self, to: &mut Document) {
        for method in T::methods() {
            let method = serde_json::to_value(method).unwrap_or_default();
            let mut operation = T::operation();
            operation
                .tags
                .get_or_insert_default()
                .extend(T::tags().into_iter().map(str::to_owned));
            to.operation(
                &T::path(),
                method.as_str().unwrap_or_default(),
                json!(operation),
            );
        }
        to.named(T::schemas);
    }
}

impl Document {
    /// Adds an operation.
    pub fn operation(&mut self, path: &str, method: &str, operation: Value) {
        self.told.push(path.to_owned());
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        item.as_object_mut()
            .and_then(|item| item.insert(method.to_owned(), operation));
    }
    /// Adds a schema; the same one may come from many sides.
    pub fn schema(&mut self, name: &str, schema: Value) {
        match self.schemas.get(name) {
            Some(known) if *known != schema => self.clashes.push(name.to_owned()),
            _ => drop(self.schemas.insert(name.to_owned(), schema)),
        }
    }
    /// A schema that was added.
    pub fn known(&self, name: &str) -> Option<&Value> {
        self.schemas.get(name)
    }
    /// Changes a schema that was added.
    pub fn amend(&mut self, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        if let Some(members) = self.schemas.get_mut(name).and_then(Value::as_object_mut) {
            change(members);
        }
    }
    /// Adds the schemas that utoipa collects: `document.named(Asset::schemas)`.
    pub fn named(&mut self, collect: impl FnOnce(&mut Vec<(String, RefOr<Schema>)>)) {
        let mut found = Vec::new();
        collect(&mut found);
        found
            .into_iter()
            .for_each(|(name, schema)| self.schema(&name, json!(schema)));
    }
    /// Inside its frame: `info`, `tags`, responses and security come from there.
    pub fn framed(self, mut frame: Value) -> Value {
        if let Some(components) = frame
            .pointer_mut("/components")
            .and_then(Value::as_object_mut)
        {
            components.insert("schemas".into(), Value::Object(self.schemas));
        }
        if let Some(frame) = frame.as_object_mut() {
            frame.insert("paths".into(), Value::Object(self.paths));
        }
        frame
    }
}

/// Where services are mounted and described. Those that begin alike (`/v1/risks`) stand together: a
/// request is compared with the patterns of its own register alone, whatever their number in all.
pub struct Api<'a> {
    /// actix's side.
    app: &'a mut web::ServiceConfig,
    /// The document's side.
    pub document: &'a mut Document,
    wings: Vec<(String, Scope)>,
}
impl<'a> Api<'a> {
    /// Nothing yet; what is mounted stands where `close` was called.
    pub fn new(app: &'a mut web::ServiceConfig, document: &'a mut Document) -> Self {
        Api {
            app,
            document,
            wings: vec![],
        }
    }
    /// Mounts and describes.
    pub fn service(&mut self, service: impl HttpServiceFactory + Described + 'static) {
        self.document.told.clear();
        service.describe(self.document);
        let mut wings: Vec<String> = self
            .document
            .told
            .iter()
            .map(|path| wing(path).to_owned())
            .collect();
        wings.dedup();
        match wings.as_slice() {
            [one] => self.undescribed(one, service),
            _ => {
                self.app.service(service);
            }
        }
    }
    /// Mounts what is described elsewhere, and stands at this path.
    pub fn undescribed(&mut self, path: &str, service: impl HttpServiceFactory + 'static) {
        let name = wing(path);
        let place = self
            .wings
            .iter()
            .position(|(known, _)| known == name)
            .unwrap_or_else(|| {
                self.wings.push((
                    name.to_owned(),
                    web::scope("").guard(begins_with(name.to_owned())),
                ));
                self.wings.len() - 1
            });
        let (name, scope) = self.wings.remove(place);
        self.wings.insert(place, (name, scope.service(service)));
    }
    /// 405 for the other methods of a place that a collection would take for one of its records.
    pub fn alone(&mut self, path: &str, methods: &'static [&'static str]) {
        let other = move || std::future::ready(Err::<Answer, _>(other_methods(methods)));
        self.undescribed(path, web::resource(path).to(other));
    }
    /// Mounts all of it.
    pub fn close(self) {
        for (_, scope) in self.wings {
            self.app.service(scope);
        }
    }
}

/// `/v1/risks/{id}` → `/v1/risks`.
fn wing(path: &str) -> &str {
    let end = path
        .match_indices('/')
        .nth(2)
        .map_or(path.len(), |(end, _)| end);
    path.get(..end).unwrap_or(path)
}
/// Requests at this path or below it, however it is encoded.
fn begins_with(name: String) -> impl Guard {
    let within = move |path: &str| {
        path.strip_prefix(name.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    guard::fn_guard(move |request| {
        let path = request.head().uri.path();
        within(path)
            || (path.contains('%')
                && within(&percent_encoding::percent_decode_str(path).decode_utf8_lossy()))
    })
}

/// 405 with the methods that the path has.
pub fn other_methods(methods: &[&str]) -> Problem {
    Problem::new(Code::MethodNotAllowed, "This path has other methods.")
        .allowing(methods.iter().copied())
}

/// The headers of a transition: the version that was read, and a key for retries.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Conditional {
    /// The ETag that was read, or `"<version>"` of the body, or `*`.
    #[param(
        rename = "If-Match",
        required,
        max_length = 1000,
        pattern = r#"^([*]|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
        example = "\"1\""
    )]
    if_match: String,
    /// 1 to 255 visible ASCII characters: a retry with the same key gets the first answer again,
    /// for 24 hours.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]{1,255}$"
    )]
    idempotency_key: Option<String>,
    /// Why: percent-encoded UTF-8 of up to 2,000 characters; it stands in the history.
    #[param(rename = "Change-Reason", max_length = 24000, pattern = "^[!-~ ]*$")]
    change_reason: Option<String>,
}

/// The headers of a decision: it is about the version that was read, and no other.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Decided {
    /// The ETag that was read, or `"<version>"` of the body. `*` is not accepted: you decide on
    /// what you read.
    #[param(
        rename = "If-Match",
        required,
        max_length = 1000,
        pattern = r#"^(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*$"#,
        example = "\"1\""
    )]
    if_match: String,
    /// 1 to 255 visible ASCII characters: a retry with the same key gets the first answer again,
    /// for 24 hours.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]{1,255}$"
    )]
    idempotency_key: Option<String>,
    /// Why: percent-encoded UTF-8 of up to 2,000 characters; it stands in the history.
    #[param(rename = "Change-Reason", max_length = 24000, pattern = "^[!-~ ]*$")]
    change_reason: Option<String>,
}

/// The headers of a PATCH or PUT: the version that was read, and the reason.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Versioned {
    /// The ETag that was read, or `"<version>"` of the body, or `*`.
    #[param(
        rename = "If-Match",
        required,
        max_length = 1000,
        pattern = r#"^([*]|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
        example = "\"1\""
    )]
    if_match: String,
    /// Why: percent-encoded UTF-8 of up to 2,000 characters; it stands in the history.
    #[param(rename = "Change-Reason", max_length = 24000, pattern = "^[!-~ ]*$")]
    change_reason: Option<String>,
}

/// The headers of a POST that may name the version that was read.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub struct MayMatch {
    /// The ETag that was read, or `"<version>"` of the body, or `*`; when sent, it has to match.
    #[param(
        rename = "If-Match",
        max_length = 1000,
        pattern = r#"^([*]|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
        example = "\"1\""
    )]
    if_match: Option<String>,
    /// 1 to 255 visible ASCII characters: a retry with the same key gets the first answer again,
    /// for 24 hours.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]{1,255}$"
    )]
    idempotency_key: Option<String>,
}

/// The header of a POST that needs no version.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Retried {
    /// 1 to 255 visible ASCII characters: a retry with the same key gets the first answer again,
    /// for 24 hours.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]{1,255}$"
    )]
    idempotency_key: Option<String>,
}

/// What a history may be asked.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Backwards {
    /// How many at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i32>,
    /// Only versions before this position.
    #[param(minimum = 0)]
    before_seq: Option<i64>,
    /// The whole record with each version.
    #[param(inline)]
    include: Option<IncludeBody>,
}

/// The whole record with each version?
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum IncludeBody {
    Body,
}

/// What a read may be asked about the past.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Past {
    /// As it stood then: an RFC 3339 instant (inclusive), a date, or `seq:<n>`.
    #[param(
        max_length = 64,
        pattern = "^(seq:[0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?)$",
        example = "2026-03-31"
    )]
    as_of: Option<String>,
    /// `any`: archived ones too.
    #[param(inline)]
    archived: Option<ArchivedToo>,
}

/// Archived ones too?
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum ArchivedToo {
    False,
    Any,
}

/// The formats of a view that is a table, too.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum TableFormat {
    Json,
    Csv,
}

/// The formats of a view that is a drawing, too.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum DrawingFormat {
    Json,
    Svg,
}

/// A table as text.
pub struct Csv;
impl utoipa::PartialSchema for Csv {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        written(
            "Comma-separated values (RFC 4180), with the names of the columns first.",
            "requirement,title\niso-27001-2022:A.5.1,Policies\n",
        )
    }
}
impl utoipa::ToSchema for Csv {}

/// A drawing as text.
pub struct Svg;
impl utoipa::PartialSchema for Svg {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        written("A drawing.", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")
    }
}
impl utoipa::ToSchema for Svg {}

fn written(about: &str, example: &str) -> utoipa::openapi::RefOr<Schema> {
    let text = utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .max_length(Some(1 << 26));
    text.description(Some(about))
        .examples([json!(example)])
        .into()
}

/// Bytes.
pub struct Binary;
impl utoipa::PartialSchema for Binary {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, schema::Type};
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        bytes
            .max_length(Some(1 << 40))
            .description(Some("The bytes of a file."))
            .into()
    }
}
impl utoipa::ToSchema for Binary {}
