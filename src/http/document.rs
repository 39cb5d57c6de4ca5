//! The collector: what is mounted is described, by the same call. JSON throughout, so that nothing
//! is lost on the way through other types, and two schemas of one name are an error instead of a
//! silent overwrite.
use super::Answer;
use super::entry::{Entry, Handler, Needs};
use super::operation::Operation;
use crate::core::{Code, Problem};
use crate::records::Kinds;
use actix_web::guard::{self, Guard};
use actix_web::{FromRequest, HttpRequest, Resource, Route, Scope, web};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::openapi::{RefOr, Schema};

/// An OpenAPI document in the making.
#[derive(Debug, Default)]
pub struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    /// Names that stand for two different schemas; a test wants none.
    pub clashes: Vec<String>,
}

impl Document {
    /// Adds an operation.
    pub fn operation(&mut self, path: &str, method: &str, operation: Value) {
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

/// Where operations are mounted and described. Those that begin alike (`/v1/risks`) stand together:
/// a request is compared with the patterns of its own register alone, whatever their number in all.
pub struct Api<'a> {
    /// actix's side.
    app: &'a mut web::ServiceConfig,
    /// The document's side.
    pub document: &'a mut Document,
    pub(super) kinds: Kinds,
    operations: Vec<Operation>,
    places: Vec<Place>,
}

/// A path with what is mounted at it.
struct Place {
    path: String,
    resource: Resource,
    methods: Vec<&'static str>,
}

impl<'a> Api<'a> {
    /// Nothing yet; what is mounted stands where `close` was called.
    pub fn new(app: &'a mut web::ServiceConfig, document: &'a mut Document, kinds: Kinds) -> Self {
        Api {
            app,
            document,
            kinds,
            operations: vec![],
            places: vec![],
        }
    }
    /// A read; HEAD goes with it.
    pub fn get<A: Entry + FromRequest + 'static>(
        &mut self,
        path: &str,
        handler: impl Handler<A>,
    ) -> &mut Operation {
        self.mount("get", path, web::route().to(handler), A::NEEDS)
    }
    /// A POST.
    pub fn post<A: Entry + FromRequest + 'static>(
        &mut self,
        path: &str,
        handler: impl Handler<A>,
    ) -> &mut Operation {
        self.mount("post", path, web::route().to(handler), A::NEEDS)
    }
    /// A PUT.
    pub fn put<A: Entry + FromRequest + 'static>(
        &mut self,
        path: &str,
        handler: impl Handler<A>,
    ) -> &mut Operation {
        self.mount("put", path, web::route().to(handler), A::NEEDS)
    }
    /// A PATCH.
    pub fn patch<A: Entry + FromRequest + 'static>(
        &mut self,
        path: &str,
        handler: impl Handler<A>,
    ) -> &mut Operation {
        self.mount("patch", path, web::route().to(handler), A::NEEDS)
    }
    /// A DELETE.
    pub fn delete<A: Entry + FromRequest + 'static>(
        &mut self,
        path: &str,
        handler: impl Handler<A>,
    ) -> &mut Operation {
        self.mount("delete", path, web::route().to(handler), A::NEEDS)
    }
    /// A POST whose permission is said as data.
    pub(super) fn step(
        &mut self,
        path: &str,
        route: Route,
        kind: &'static str,
        action: &'static str,
    ) -> &mut Operation {
        self.mount("post", path, route, Needs::Permission { kind, action })
    }
    fn mount(
        &mut self,
        method: &'static str,
        path: &str,
        route: Route,
        needs: Needs,
    ) -> &mut Operation {
        let at = self.places.iter().position(|place| place.path == path);
        let mut place = match at {
            Some(at) => self.places.swap_remove(at),
            None => Place {
                path: path.to_owned(),
                resource: web::resource(path),
                methods: vec![],
            },
        };
        let (route, methods): (Route, &[&'static str]) = match method {
            "get" => (
                route.guard(guard::Any(guard::Get()).or(guard::Head())),
                &["GET", "HEAD"],
            ),
            "post" => (route.guard(guard::Post()), &["POST"]),
            "put" => (route.guard(guard::Put()), &["PUT"]),
            "patch" => (route.guard(guard::Patch()), &["PATCH"]),
            _ => (route.guard(guard::Delete()), &["DELETE"]),
        };
        place.resource = place.resource.route(route);
        place.methods.extend(methods);
        self.places.push(place);
        self.operations
            .push_mut(Operation::new(self.kinds, method, path, needs))
    }
    /// Mounts and describes all of it. Words go before what stands for any word.
    pub fn close(mut self) {
        for operation in self.operations {
            let (path, method) = (operation.path.clone(), operation.method);
            let (operation, schemas) = operation.described();
            self.document.operation(&path, method, operation);
            for (name, schema) in schemas {
                self.document.schema(&name, schema);
            }
        }
        let open = |path: &str| -> Vec<bool> {
            path.split('/').map(|part| part.starts_with('{')).collect()
        };
        self.places
            .sort_by_key(|place| (open(&place.path), place.path.clone()));
        let mut wings: BTreeMap<String, Scope> = BTreeMap::new();
        for Place {
            path,
            resource,
            mut methods,
        } in self.places
        {
            methods.sort_unstable();
            let others = move |request: HttpRequest| {
                let counted = super::door::count(&request);
                let problem = counted.err().unwrap_or_else(|| other_methods(&methods));
                std::future::ready(Err::<Answer, _>(problem))
            };
            let name = wing(&path).to_owned();
            let within = wings
                .remove(&name)
                .unwrap_or_else(|| web::scope("").guard(begins_with(name.clone())));
            wings.insert(
                name,
                within.service(resource.default_service(web::to(others))),
            );
        }
        for (_, scope) in wings {
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
pub fn other_methods(methods: &[impl AsRef<str>]) -> Problem {
    Problem::new(Code::MethodNotAllowed, "This path has other methods.")
        .allowing(methods.iter().map(|method| method.as_ref()))
}
