//! What is made of the document once, at the start, and held by the application: its text, the page
//! that shows it, the parameters and methods that it knows.
use super::docs::Page;
use super::published::Published;
use crate::http::query::{Parameters, parameters};
use actix_web::dev::ResourceDef;
use actix_web::web::Data;
use serde_json::Value;

/// The published document, ready to be served.
pub struct Contract {
    /// Its text.
    pub openapi: Published,
    /// The parts of the page that shows it.
    pub page: Data<Page>,
    /// What each operation may be asked.
    pub parameters: Data<Parameters>,
    methods: Vec<(ResourceDef, Vec<String>)>,
}

impl Contract {
    /// Of the whole document.
    pub fn of(document: &Value) -> Self {
        let paths = document.get("paths").and_then(Value::as_object);
        let paths = paths.into_iter().flatten();
        Contract {
            openapi: Published::new(document.to_string(), "application/json"),
            page: Data::default(),
            parameters: Data::new(parameters(document)),
            methods: paths
                .map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item)))
                .collect(),
        }
    }
    /// The methods of a path that the document has.
    pub fn methods(&self, path: &str) -> Option<&[String]> {
        let mut all = self.methods.iter();
        let found = all.find(|(known, _)| known.is_match(path));
        found.map(|(_, methods)| methods.as_slice())
    }
}

/// The methods of a path, HEAD with GET.
fn methods(item: &Value) -> Vec<String> {
    let operations = item.as_object().into_iter().flatten();
    let mut all: Vec<String> = operations
        .map(|(method, _)| method.to_uppercase())
        .collect();
    if all.iter().any(|method| method == "GET") {
        all.push("HEAD".into());
    }
    all.sort();
    all
}
