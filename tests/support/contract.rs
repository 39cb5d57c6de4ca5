//! The document is held against every answer of every test: operation, status, media type, headers
//! and body are what it says, and a request that was taken is one that it allows. Answers are read
//! strictly: a member that is not documented is a fault.
use super::Reply;
use actix_web::http::Method;
use flate2::read::GzDecoder;
use jsonschema::{Draft, Registry, Validator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, LazyLock, Mutex};

/// A request, as it was sent.
pub struct Asked {
    pub method: Method,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Asked {
    pub fn new(method: Method, uri: &str, body: Option<&[u8]>) -> Self {
        Asked {
            method,
            uri: uri.to_owned(),
            headers: vec![],
            body: body.map(<[u8]>::to_vec),
        }
    }
}

/// What any answer may have, documented or not: HTTP's own, and what browsers are told.
const PLAIN: &[&str] = &[
    "allow",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "referrer-policy",
    "strict-transport-security",
    "vary",
    "x-content-type-options",
];
/// What stands beside the contract: the page that a problem's `type` leads to, the document in
/// other forms.
const BESIDE: &[&str] = &["/docs", "/problems/"];

/// An operation's path in pieces, and what the document has under it.
struct Place {
    pieces: Vec<Option<String>>,
    template: String,
}
struct Contract {
    document: Value,
    places: Vec<Place>,
    /// The document as it stands, and the same with every object closed: for requests, and for
    /// answers.
    given: Registry<'static>,
    closed: Registry<'static>,
    known: Mutex<HashMap<(bool, String), Arc<Validator>>>,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let document = isms::api::document::document();
    let pieces = |path: &str| {
        path.split('/')
            .map(|piece| (!piece.starts_with('{')).then(|| piece.to_owned()))
            .collect()
    };
    let places = document["paths"].as_object().unwrap().keys();
    let mut places: Vec<Place> = places
        .map(|path| Place {
            pieces: pieces(path),
            template: path.clone(),
        })
        .collect();
    places.sort_by_key(|place| place.pieces.iter().filter(|piece| piece.is_none()).count());
    let registry = |of: Value| {
        Registry::new()
            .draft(Draft::Draft202012)
            .add("urn:contract", of)
            .unwrap()
            .prepare()
            .unwrap()
    };
    let mut strict = document.clone();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        strict["components"]["schemas"][name] = closed(&document, schema);
    }
    Contract {
        places,
        given: registry(document.clone()),
        closed: registry(strict),
        document,
        known: Mutex::default(),
    }
});

/// The schema that takes no member besides those that it names; what `allOf` is made of becomes
/// one.
fn closed(document: &Value, schema: &Value) -> Value {
    let Some(members) = schema.as_object() else {
        return schema.clone();
    };
    if let Some(parts) = schema["allOf"].as_array() {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts.iter().map(|part| resolved(document, part)) {
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        return closed(
            document,
            &json!({"type": "object", "properties": properties, "required": required}),
        );
    }
    let inner = |(name, value): (&String, &Value)| {
        let value = match name.as_str() {
            "properties" => value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, schema)| (name.clone(), closed(document, schema)))
                .collect(),
            "items" | "additionalProperties" => closed(document, value),
            "oneOf" | "anyOf" => value
                .as_array()
                .unwrap()
                .iter()
                .map(|schema| closed(document, schema))
                .collect(),
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    let mut strict: Map<String, Value> = members.iter().map(inner).collect();
    if members.contains_key("properties") {
        strict.entry("additionalProperties").or_insert(json!(false));
    }
    strict.into()
}
fn resolved<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    part["$ref"].as_str().map_or(part, |target| {
        document
            .pointer(&target[1..])
            .unwrap_or_else(|| panic!("{target} leads nowhere"))
    })
}
/// A name as a piece of a JSON Pointer in a URI.
fn piece(name: &str) -> String {
    let pointer = name.replace('~', "~0").replace('/', "~1");
    percent_encoding::utf8_percent_encode(&pointer, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl Contract {
    /// The validator of the schema at a place of the document; made once in the process.
    fn validator(&self, answer: bool, place: &str, schema: &Value) -> Arc<Validator> {
        let target = schema["$ref"]
            .as_str()
            .map_or_else(|| place.to_owned(), |target| target[1..].to_owned());
        let mut known = self.known.lock().unwrap();
        let make = || {
            let options = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                .offline();
            let options = options.with_registry(if answer { &self.closed } else { &self.given });
            Arc::new(
                options
                    .build(&json!({"$ref": format!("urn:contract#{target}")}))
                    .unwrap_or_else(|e| panic!("{target}: {e}")),
            )
        };
        known
            .entry((answer, target.clone()))
            .or_insert_with(make)
            .clone()
    }
    fn faults(&self, answer: bool, place: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator(answer, place, schema);
        let short = |text: String| text.chars().take(300).collect::<String>();
        validator
            .iter_errors(value)
            .take(5)
            .map(|fault| format!("{}: {}", fault.instance_path(), short(fault.to_string())))
            .collect()
    }
    /// The operation that a request meets: its place in the document.
    fn operation(&self, method: &Method, path: &str) -> Option<(String, &Value)> {
        let pieces: Vec<&str> = path.split('/').collect();
        let fits = |place: &&Place| {
            place.pieces.len() == pieces.len()
                && place.pieces.iter().zip(&pieces).all(|(wanted, given)| {
                    wanted
                        .as_ref()
                        .map_or(!given.is_empty(), |wanted| wanted == given)
                })
        };
        let method = if method == Method::HEAD {
            "get".to_owned()
        } else {
            method.as_str().to_lowercase()
        };
        let place = self.places.iter().find(fits)?;
        let operation = self.document["paths"][&place.template].get(&method)?;
        Some((
            format!("/paths/{}/{method}", piece(&place.template)),
            operation,
        ))
    }
}

/// What of a value a schema of the document does not take.
pub fn examined(answer: bool, place: &str, schema: &Value, value: &Value) -> Vec<String> {
    CONTRACT.faults(answer, place, schema, value)
}

/// Fails the test when the answer is not what the document says.
pub fn hold(asked: &Asked, reply: &Reply) {
    let faults = faults(asked, reply);
    assert!(
        faults.is_empty(),
        "{}: {} is not what the document says:\n  {}\n  {}",
        reply.of,
        reply.status,
        faults.join("\n  "),
        reply.text().chars().take(1000).collect::<String>()
    );
}

fn faults(asked: &Asked, reply: &Reply) -> Vec<String> {
    let (path, query) = asked.uri.split_once('?').unwrap_or((&asked.uri, ""));
    if path == "/" || BESIDE.iter().any(|beside| path.starts_with(beside)) {
        return vec![];
    }
    // A list that is asked for a table answers as its export is documented.
    let table = format!("{path}/export");
    let (path, query) = match as_table(asked) && CONTRACT.operation(&asked.method, &table).is_some()
    {
        true => (table.as_str(), without_format(query)),
        false => (path, query.to_owned()),
    };
    let Some((place, operation)) = CONTRACT.operation(&asked.method, path) else {
        return unknown(asked, reply);
    };
    let mut faults = Vec::new();
    let status = reply.status.to_string();
    let Some(response) = operation["responses"].get(&status) else {
        return vec![format!(
            "{} does not document {status}",
            operation["operationId"]
        )];
    };
    let place_of_response = response["$ref"].as_str().map_or_else(
        || format!("{place}/responses/{status}"),
        |target| target[1..].to_owned(),
    );
    let response = resolved(&CONTRACT.document, response);
    headers(response, reply, &mut faults);
    body(&place_of_response, response, reply, &mut faults);
    problem(reply, &mut faults);
    if reply.status < 300 {
        request(&place, operation, asked, &query, &mut faults);
    }
    faults
}

/// The rest of a query.
fn without_format(query: &str) -> String {
    let rest = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "format");
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(rest)
        .finish()
}

/// Does it ask for a table?
fn as_table(asked: &Asked) -> bool {
    let accepts = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("accept") && value == "text/csv"
    };
    asked.uri.contains("format=csv") || asked.headers.iter().any(accepts)
}

/// What is not in the document answers a problem.
fn unknown(asked: &Asked, reply: &Reply) -> Vec<String> {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let media = reply.header("content-type").unwrap_or_default();
    match serde_json::from_slice(&plain(reply)) {
        Ok(problem) if reply.status >= 400 && media == "application/problem+json" => {
            CONTRACT.faults(true, "", &schema, &problem)
        }
        _ => vec![format!(
            "the document has no {} of this path, and the answer is no problem but {media:?}",
            asked.method
        )],
    }
}

/// What is always there is there, and what is there is documented.
fn headers(response: &Value, reply: &Reply, faults: &mut Vec<String>) {
    let none = Map::new();
    let documented = response["headers"].as_object().unwrap_or(&none);
    let names: BTreeMap<String, &Value> = documented
        .iter()
        .map(|(name, header)| (name.to_lowercase(), resolved(&CONTRACT.document, header)))
        .collect();
    for (name, header) in &names {
        match reply.header(name) {
            None if header["required"] == true => {
                faults.push(format!("the header {name} is missing"))
            }
            Some(value) => faults.extend(
                text_faults(header, &value)
                    .into_iter()
                    .map(|fault| format!("the header {name}{fault}")),
            ),
            None => {}
        }
    }
    let sent = reply.headers.keys().map(|name| name.as_str());
    faults.extend(
        sent.filter(|name| !names.contains_key(*name) && !PLAIN.contains(name))
            .map(|name| format!("the header {name} is not documented for {}", reply.status)),
    );
}

/// A problem says of its code what the table of codes says.
fn problem(reply: &Reply, faults: &mut Vec<String>) {
    if reply
        .header("content-type")
        .is_none_or(|media| media != "application/problem+json")
    {
        return;
    }
    let problem: Value = serde_json::from_slice(&plain(reply)).unwrap_or_default();
    let row = isms::core::Code::ALL
        .iter()
        .map(|code| code.row())
        .find(|(_, name, ..)| problem["code"] == **name);
    match row {
        Some((place, _, status, title))
            if problem["type"] == place && problem["title"] == title && reply.status == status => {}
        _ => faults.push(format!(
            "{} is not as the table of codes has it",
            problem["code"]
        )),
    }
}
/// The body has a documented media type, and its schema holds.
fn body(place: &str, response: &Value, reply: &Reply, faults: &mut Vec<String>) {
    let Some(content) = response["content"].as_object() else {
        faults.extend((!reply.bytes.is_empty()).then(|| "there is a body".to_owned()));
        return;
    };
    let media = reply.header("content-type").unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    let Some(part) = content.get(essence) else {
        faults.push(format!("the media type {media:?} is not documented"));
        return;
    };
    let (bytes, schema) = (plain(reply), &part["schema"]);
    let value = match (essence.ends_with("json"), String::from_utf8(bytes)) {
        (true, Ok(text)) => {
            serde_json::from_str(&text).unwrap_or_else(|e| json!(format!("no JSON: {e}")))
        }
        (false, Ok(text)) => json!(text),
        (json, Err(e)) => {
            faults.extend(json.then(|| e.to_string()));
            return;
        }
    };
    faults.extend(CONTRACT.faults(
        true,
        &format!("{place}/content/{}/schema", piece(essence)),
        schema,
        &value,
    ));
}
fn plain(reply: &Reply) -> Vec<u8> {
    match reply.header("content-encoding").as_deref() {
        Some("gzip") => {
            let mut bytes = Vec::new();
            GzDecoder::new(reply.bytes.as_slice())
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        }
        _ => reply.bytes.clone(),
    }
}

/// What was taken is what the document allows.
fn request(place: &str, operation: &Value, asked: &Asked, query: &str, faults: &mut Vec<String>) {
    let parameters = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| resolved(&CONTRACT.document, one));
    let parameters: Vec<&Value> = parameters.collect();
    let named = |of: &str, name: &str| {
        parameters
            .iter()
            .find(|one| one["in"] == of && one["name"].as_str().unwrap().eq_ignore_ascii_case(name))
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match named("query", &name) {
            None => faults.push(format!(
                "the parameter {name} was taken, and is not documented"
            )),
            Some(parameter) => faults.extend(
                text_faults(parameter, &value)
                    .into_iter()
                    .map(|fault| format!("{name}={value} was taken{fault}")),
            ),
        }
    }
    for parameter in parameters.iter().filter(|one| one["in"] == "header") {
        let name = parameter["name"].as_str().unwrap();
        let given = asked
            .headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let given: Vec<&str> = given.map(|(_, value)| value.as_str()).collect();
        if given.is_empty() && parameter["required"] == true {
            faults.push(format!("it was taken without {name}"));
        }
        for value in given {
            faults.extend(
                text_faults(parameter, value)
                    .into_iter()
                    .map(|fault| format!("{name}: {value} was taken{fault}")),
            );
        }
    }
    let asked_body = asked.body.as_deref().filter(|body| !body.is_empty());
    let documented = &operation["requestBody"];
    let Some(bytes) = asked_body else {
        faults.extend(
            (documented["required"] == true).then(|| "it was taken without its body".to_owned()),
        );
        return;
    };
    let media = asked
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let essence = media
        .and_then(|(_, value)| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    match documented["content"].get(&essence) {
        None => faults.push(format!(
            "a body of {essence:?} was taken, and is not documented"
        )),
        Some(part) if essence.ends_with("json") => {
            let value: Value =
                serde_json::from_slice(bytes).unwrap_or_else(|e| json!(format!("no JSON: {e}")));
            let place = format!("{place}/requestBody/content/{}/schema", piece(&essence));
            let wrong = CONTRACT.faults(false, &place, &part["schema"], &value);
            faults.extend(
                wrong
                    .into_iter()
                    .map(|fault| format!("a body was taken that the document forbids, at {fault}")),
            );
        }
        Some(_) => {}
    }
}

/// A parameter or header is text; its schema says what it is read as.
fn text_faults(holder: &Value, text: &str) -> Vec<String> {
    let schema = resolved(&CONTRACT.document, &holder["schema"]);
    let schema = if schema["type"] == "array" {
        resolved(&CONTRACT.document, &schema["items"])
    } else {
        schema
    };
    let is = |kind: &str| {
        schema["type"] == kind
            || schema["type"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one == kind))
    };
    let value = match () {
        () if is("integer") || is("number") || is("boolean") => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
        () => json!(text),
    };
    let key = format!("{schema}");
    let mut known = CONTRACT.known.lock().unwrap();
    let make = || {
        Arc::new(
            jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                .build(schema)
                .unwrap(),
        )
    };
    let validator = known.entry((false, key)).or_insert_with(make).clone();
    drop(known);
    validator
        .iter_errors(&value)
        .map(|fault| format!(": {fault}"))
        .collect()
}
