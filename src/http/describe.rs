//! What the document says of a register, made of its words and its body once: the rest of the
//! description is the same code for all of them.
use super::Document;
use super::references::schema;
use super::said::{NewLink, OptionalComment, Reviewed};
use crate::records::history::HistoryPage;
use crate::records::reader::Ref;
use crate::records::spine::Spine;
use crate::records::{Common, Kind, Relation, Resource};
use serde_json::{Map, Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

type Members = Map<String, Value>;

/// Which of the common operations a register has; what it has not, it does in its own way or not
/// at all.
#[derive(Debug, Clone, Copy)]
pub struct Operations {
    /// POST of a JSON body.
    pub create: bool,
    /// PATCH, and links one by one.
    pub update: bool,
    /// DELETE, restore.
    pub archive: bool,
    /// Review.
    pub review: bool,
    /// A table as input.
    pub import: bool,
}

impl Operations {
    /// All but tables as input.
    pub const ALL: Operations = Operations {
        create: true,
        update: true,
        archive: true,
        review: true,
        import: false,
    };
    /// All but these and reviews.
    pub const KEPT: Operations = Operations {
        review: false,
        ..Operations::ALL
    };
    /// Nothing but reading.
    pub const READ: Operations = Operations {
        create: false,
        update: false,
        archive: false,
        review: false,
        import: false,
    };
}

/// A register, as the document knows it.
#[derive(Debug)]
pub struct Description {
    /// Its words.
    pub kind: Kind,
    /// The name of its schema: `Asset`.
    pub name: String,
    /// A valid body.
    pub example: Value,
    /// Its own filters, as parameters.
    pub filters: Vec<Value>,
    /// What `include=counts` says of it besides.
    pub counts: Vec<(&'static str, Value)>,
    /// The schemas that it names.
    pub named: Vec<(String, Value)>,
    body: Value,
    state: Members,
    computed: Vec<(&'static str, Value)>,
}

impl Description {
    /// Of a register.
    pub fn of<R: Resource>() -> Self {
        let mut named = Vec::new();
        for collect in [R::schemas, R::State::schemas, R::more_schemas] {
            collect(&mut named);
        }
        let filters = R::Filter::into_params(|| Some(ParameterIn::Query));
        Description {
            kind: R::KIND,
            name: R::name().into_owned(),
            example: R::example(),
            filters: filters.iter().map(|parameter| json!(parameter)).collect(),
            counts: R::counts_schemas(),
            named: written(named),
            body: json!(R::schema()),
            state: members::<R::State>(),
            computed: R::computed_schemas(),
        }
    }
    /// The members that clients write.
    pub fn writable(&self) -> Members {
        let mut all = members::<Common>();
        all.extend(members_of(&self.body));
        all.extend(
            self.kind
                .all_relations()
                .map(|relation| link(relation, true)),
        );
        all
    }
    /// The members that clients have to write.
    fn required(&self) -> Vec<Value> {
        let links = self
            .kind
            .all_relations()
            .filter(|relation| relation.required);
        let links: Vec<Value> = links.map(|relation| json!(relation.member)).collect();
        [
            required(&json!(Common::schema())),
            required(&self.body),
            links,
        ]
        .concat()
    }
    /// The members of a record as it is answered.
    pub fn members(&self) -> Members {
        let mut all = members::<Spine>();
        let status = json!({"type": "string", "enum": self.kind.statuses(),
            "description": "Where it is in its life."});
        all.insert("status".to_owned(), status);
        let mut shown = members::<Common>();
        shown.extend(members_of(&self.body));
        shown.extend(
            self.kind
                .all_relations()
                .map(|relation| link(relation, false)),
        );
        shown.extend(self.state.clone());
        for (member, schema) in shown {
            let erasable = self.kind.personal.contains(&member.as_str());
            all.insert(member, if erasable { nullable(schema) } else { schema });
        }
        for (member, schema) in &self.computed {
            all.insert((*member).to_owned(), schema.clone());
        }
        if !self.kind.transitions.is_empty() {
            all.insert("allowed_transitions".to_owned(), transitions(&self.kind));
        }
        all
    }
    /// Every schema that its records name.
    pub fn all_named(&self) -> Members {
        let mut common = Vec::new();
        for collect in [Common::schemas, Spine::schemas, HistoryPage::schemas] {
            collect(&mut common);
        }
        let mut all = Members::new();
        for (name, schema) in written(common).into_iter().chain(self.named.clone()) {
            all.insert(name, schema);
        }
        all
    }
}

fn written(found: Vec<(String, RefOr<Schema>)>) -> Vec<(String, Value)> {
    found
        .into_iter()
        .map(|(name, schema)| (name, json!(schema)))
        .collect()
}

/// `Asset`, `AssetInput`, `AssetPatch`, `AssetPage`, and the schemas that they name.
pub fn schemas(to: &mut Document, of: &Description, does: Operations) {
    let (name, about) = (&of.name, of.kind.about);
    let needed = of.required();
    let mut record = of.members();
    if let Some(code) = record.get_mut("code").and_then(Value::as_object_mut) {
        code.insert("example".into(), json!(format!("{}-1", of.kind.code)));
    }
    let all: Vec<_> = record.keys().cloned().collect();
    to.schema(
        name,
        json!({"type": "object", "description": about, "properties": record, "required": all}),
    );
    let mut body = Members::new();
    for (member, schema) in of.writable() {
        let optional = !needed.contains(&json!(member));
        body.insert(member, if optional { nullable(schema) } else { schema });
    }
    if does.create {
        let input = json!({"type": "object", "description": about, "additionalProperties": false,
            "properties": body, "required": needed, "example": of.example});
        to.schema(&format!("{name}Input"), input);
    }
    if does.update {
        let patch = json!({"type": "object",
            "description": "A JSON merge patch (RFC 7396): absent leaves, null clears.",
            "additionalProperties": false, "properties": body,
            "example": {"name": "A better name"}});
        to.schema(&format!("{name}Patch"), patch);
    }
    to.schema(&format!("{name}Page"), page(of));
    for (name, schema) in of.all_named() {
        to.schema(&name, schema);
    }
    let (counted, counts) = counts(of);
    to.schema(&counted, counts);
    to.schema(&HistoryPage::name(), json!(HistoryPage::schema()));
    to.schema(&Ref::name(), json!(Ref::schema()));
    to.schema(&OptionalComment::name(), json!(OptionalComment::schema()));
    to.schema(&NewLink::name(), json!(NewLink::schema()));
    to.schema(&Reviewed::name(), json!(Reviewed::schema()));
}

/// A page of a register's records.
fn page(of: &Description) -> Value {
    json!({"type": "object", "description": "A page of a list; `total`, `counts` and `refs` only \
        where asked for with `include`.", "required": ["data", "next_cursor", "has_more"],
        "properties": {
            "data": {"type": "array", "maxItems": 200, "items": schema(&of.name),
                "description": "The records, in the order asked for."},
            "next_cursor": {"type": ["string", "null"], "maxLength": 2000,
                "description": "Ask with it for the next page; null on the last."},
            "has_more": {"type": "boolean", "description": "Is there a next page?"},
            "total": {"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX,
                "description": "How many there are under these filters."},
            "counts": schema(&counts_of(of)),
            "refs": {"type": "object", "description": "What the ids in this page are.",
                "maxProperties": 200000, "additionalProperties": schema("Ref")}}})
}

/// The name of a register's counts: `ListCounts`, or one of its own where it counts more.
fn counts_of(of: &Description) -> String {
    if of.counts.is_empty() {
        "ListCounts".into()
    } else {
        format!("{}Counts", of.name)
    }
}

/// Counts under the filters of a list, and what their schema is called.
fn counts(of: &Description) -> (String, Value) {
    let number =
        || json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX});
    let said = |what: &str| {
        json!({"type": "integer", "format": "int64", "minimum": 0,
        "maximum": i64::MAX, "description": what})
    };
    let by = |what: &str, most: i64| {
        json!({"type": "object", "description": what,
        "maxProperties": most, "additionalProperties": number()})
    };
    let mut counts = json!({"type": "object", "description": "Counts under the same filters.",
        "required": ["by_status", "by_owner", "without_owner", "overdue", "review_overdue"],
        "properties": {
            "by_status": by("By state.", 50),
            "by_owner": by("By owner: the id of the person.", 1_000_000),
            "without_owner": said("Without an owner."),
            "overdue": said("Past their due day and not done."),
            "review_overdue": said("Past the day of their review and not done.")}});
    for (name, schema) in &of.counts {
        if let Some(members) = counts.get_mut("properties").and_then(Value::as_object_mut) {
            members.insert((*name).to_owned(), schema.clone());
        }
        if let Some(needed) = counts.get_mut("required").and_then(Value::as_array_mut) {
            needed.push(json!(name));
        }
    }
    (counts_of(of), counts)
}

/// `NewApiKey`: what is answered when an `ApiKey` was made, with a secret that is shown once and
/// left out of a replay.
pub fn with_secret(to: &mut Document, of: &str, name: &str, about: &str, secret: (&str, Value)) {
    let mut made = to.known(of).cloned().unwrap_or_default();
    if let Some(members) = made.as_object_mut() {
        members.insert("description".into(), json!(about));
        let properties = members.get_mut("properties").and_then(Value::as_object_mut);
        properties.map(|all| all.insert(secret.0.into(), secret.1));
    }
    to.schema(name, made);
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
    members_of(&json!(T::schema()))
}
fn members_of(schema: &Value) -> Members {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}
fn required(schema: &Value) -> Vec<Value> {
    schema
        .get("required")
        .and_then(Value::as_array)
        .cloned()
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
pub(super) fn many_relations(kind: &Kind) -> Vec<&'static str> {
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
