//! Batches: up to 1,000 creations, upserts and patches in one request and one commit, one ledger
//! entry each. Each item has its own outcome; with `atomic=true` all of them are made or none.
use crate::core::{Code, Invalid, Problem, Result, Schemas};
use crate::http::input::Large;
use crate::http::{Answer, Change, Guard, Only, Operations};
use crate::ledger::{self, Recorded};
use crate::records::record::assemble;
use crate::records::{
    Ahead, Body, Covers, IfMatch, Patch, Record, Resource, Row, Selector, Tx, Upsert, Upserted,
};
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// Items of one batch.
pub const MOST: usize = 1000;

/// One item: what is to be done.
#[derive(Debug)]
enum Item {
    /// A new record.
    Create(Map<String, Value>),
    /// The record with this external reference, new or changed.
    Upsert(Map<String, Value>),
    /// A merge patch of a record at a version.
    Patch(Selector, IfMatch, Map<String, Value>),
}

/// What became of an item.
type Outcome = std::result::Result<(StatusCode, Row), Problem>;

/// How a batch is made.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BatchQuery {
    /// All or none.
    #[param(default = false)]
    atomic: bool,
}

/// Makes a batch of a register.
pub async fn batch<R: Resource>(
    guard: Guard<Change<R>>,
    Only(BatchQuery { atomic }): Only<BatchQuery>,
    input: Large,
    does: Operations,
) -> Result<Answer> {
    let kept = guard.headers().contains_key("Idempotency-Key");
    let (size, schemas) = (input.0.size(), input.0.schemas());
    let read = move || -> Result<_> {
        let content = if kept { input.0.content()? } else { vec![] };
        let items = items(input.0.members(), does)?;
        Ok((
            content,
            items
                .into_iter()
                .map(|said| Ok(ready::<R>(&schemas, read(said, &R::KIND, does)?)))
                .collect::<Vec<_>>(),
        ))
    };
    let (content, items) = guard.house().aside().by_size(size, read).await??;
    guard
        .write_raw(&content, move |tx| run::<R, _>(tx, items, atomic))
        .await
}

/// An item that was read whole before the write begins, with what is wrong with it.
#[derive(Debug)]
enum Ready<R> {
    Create(Body<R>),
    Upsert(Upsert<R>),
    Patch(Selector, IfMatch, Patch<R>),
}
fn ready<R: Resource>(schemas: &Schemas, item: Item) -> Ready<R> {
    match item {
        Item::Create(body) => Ready::Create(Body::read(schemas, body)),
        Item::Upsert(body) => Ready::Upsert(Upsert::read(schemas, body)),
        Item::Patch(selector, known, body) => {
            Ready::Patch(selector, known, Patch::read(schemas, body))
        }
    }
}

/// What an item may say.
#[derive(Debug, Default)]
struct HasComment {
    id: Option<String>,
    if_match: Option<String>,
    bodies: Vec<(&'static str, Map<String, Value>)>,
}

/// The items of the body. What is no batch is refused whole; what is wrong with a record is the
/// outcome of its item.
fn items(mut body: Map<String, Value>, does: Operations) -> Result<Vec<HasComment>> {
    let mut faults: Vec<Invalid> = Vec::new();
    let items = match body.remove("items") {
        Some(Value::Array(items)) if (1..=MOST).contains(&items.len()) => items,
        Some(_) => {
            faults.push(Invalid::body(
                "/items",
                "invalid",
                format!("must be an array of 1 to {MOST} items"),
            ));
            vec![]
        }
        None => {
            faults.push(Invalid::body("/items", "required", "is required"));
            vec![]
        }
    };
    let unknown = body.keys().take(Problem::LISTED + 1);
    faults.extend(
        unknown.map(|name| Invalid::body(format!("/{name}"), "unknown_member", "unknown member")),
    );
    let read = items
        .into_iter()
        .enumerate()
        .map(|(n, item)| said(item, does, &format!("/items/{n}"), &mut faults))
        .collect();
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(Problem::invalid(faults))
    }
}

/// The ways of an item.
fn ways(does: Operations) -> &'static [&'static str] {
    if does.create {
        &["create", "upsert", "patch"]
    } else {
        &["patch"]
    }
}

fn said(item: Value, does: Operations, at: &str, faults: &mut Vec<Invalid>) -> HasComment {
    let mut said = HasComment::default();
    let Value::Object(members) = item else {
        faults.push(Invalid::body(at, "invalid", "must be an object"));
        return said;
    };
    for (name, value) in members {
        if faults.len() > Problem::LISTED {
            break;
        }
        let place = format!("{at}/{name}");
        match (name.as_str(), value) {
            (name, Value::Null)
                if ["id", "if_match"].contains(&name) || ways(does).contains(&name) => {}
            ("id", Value::String(id)) if id.len() <= 64 => said.id = Some(id),
            ("id", _) => faults.push(Invalid::body(place, "invalid", "must be an id or a code")),
            ("if_match", Value::String(tag)) if tag.len() <= 255 => said.if_match = Some(tag),
            ("if_match", Value::Number(version)) if version.is_u64() => {
                said.if_match = Some(version.to_string())
            }
            ("if_match", _) => faults.push(Invalid::body(
                place,
                "invalid",
                "must be a version or an entity tag",
            )),
            (name, value) => match (ways(does).iter().find(|way| **way == name), value) {
                (Some(way), Value::Object(body)) => said.bodies.push((way, body)),
                (Some(_), _) => faults.push(Invalid::body(place, "invalid", "must be an object")),
                (None, _) => faults.push(Invalid::body(place, "unknown_member", "unknown member")),
            },
        }
    }
    said
}

fn run<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    items: Vec<Result<Ready<R>>>,
    atomic: bool,
) -> Result<Recorded<Answer>> {
    let mut ahead = Ahead::default();
    for item in items.iter().flatten() {
        match item {
            Ready::Create(body) => ahead.body(body),
            Ready::Upsert(body) => body.ahead(&mut ahead),
            Ready::Patch(selector, _, patch) => {
                ahead.selectors.push(*selector);
                ahead.patch(patch);
            }
        }
    }
    tx.together::<R, _>(&ahead, |tx| made(tx, items, atomic))
}

fn made<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    items: Vec<Result<Ready<R>>>,
    atomic: bool,
) -> Result<Recorded<Answer>> {
    let (mut outcomes, mut proof): (Vec<Outcome>, _) = (Vec::with_capacity(items.len()), None);
    for item in items {
        ledger::in_time()?;
        let made = tx.attempt(|tx| {
            let (status, recorded) = apply::<R, P>(tx, item?)?;
            let row = tx.row(recorded.get())?;
            Ok((status, row, recorded))
        });
        // Out of time or out of database: not a matter of this item.
        if made
            .as_ref()
            .is_err_and(|problem| problem.is(Code::Unavailable))
        {
            return Err(Problem::new(
                Code::Unavailable,
                "The batch could not be finished and was undone. Send it again in smaller parts.",
            )
            .retry_after(5));
        }
        outcomes.push(made.map(|(status, row, recorded)| {
            proof = Some(recorded);
            (status, row)
        }));
    }
    if atomic && outcomes.iter().any(|outcome| outcome.is_err()) {
        return Err(refused(&outcomes));
    }
    let answer = Answer::json(answered::<R, P>(tx, &outcomes)?);
    match proof {
        Some(recorded) => Ok(recorded.map(|_| answer)),
        None => tx.unchanged(answer),
    }
}

fn apply<R: Resource, P: Covers<R>>(
    tx: &mut Tx<'_, P>,
    item: Ready<R>,
) -> Result<(StatusCode, Recorded<Record<R>>)> {
    match item {
        Ready::Create(body) => {
            let draft = tx
                .draft::<R>(body)
                .map_err(|problem| problem.below("/create"))?;
            Ok((
                StatusCode::CREATED,
                tx.create(draft)
                    .map_err(|problem| problem.below("/create"))?,
            ))
        }
        Ready::Upsert(body) => {
            let (recorded, outcome) = tx
                .upsert::<R>(body)
                .map_err(|problem| problem.below("/upsert"))?;
            Ok((
                if outcome == Upserted::Created {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                },
                recorded,
            ))
        }
        Ready::Patch(selector, known, patch) => {
            let before = tx.load::<R>(&selector, &known)?;
            Ok((
                StatusCode::OK,
                tx.patch(before, patch)
                    .map_err(|problem| problem.below("/patch"))?,
            ))
        }
    }
}

/// What is to be done; every fault is named.
fn read(said: HasComment, kind: &crate::records::Kind, does: Operations) -> Result<Item> {
    let HasComment {
        id,
        if_match,
        mut bodies,
    } = said;
    let (Some((way, body)), true) = (bodies.pop(), bodies.is_empty()) else {
        let words = format!("must have exactly one of {}", ways(does).join(", "));
        return Err(Problem::invalid_one("", "either", words));
    };
    let only =
        |name: &str| Invalid::body(format!("/{name}"), "either", "is only valid with a patch");
    let faults: Vec<Invalid> = [
        id.as_ref().map(|_| only("id")),
        if_match.as_ref().map(|_| only("if_match")),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (way, id) {
        ("patch", Some(id)) => match Selector::parse(&id, kind) {
            Some(selector) => {
                let bad = || {
                    Problem::invalid_one(
                        "/if_match",
                        "invalid",
                        "must be a version, or an entity tag in double quotes",
                    )
                };
                let known = if_match.map_or(Ok(IfMatch::Missing), |tag| {
                    IfMatch::of_member(&tag).ok_or_else(bad)
                })?;
                Ok(Item::Patch(selector, known, body))
            }
            None => Err(Problem::invalid_one(
                "/id",
                "unknown_reference",
                "must be an id or a code",
            )),
        },
        ("patch", None) => Err(Problem::invalid_one("/id", "required", "is required")),
        _ if !faults.is_empty() => Err(Problem::invalid(faults)),
        ("create", _) => Ok(Item::Create(body)),
        _ => Ok(Item::Upsert(body)),
    }
}

/// The problem of a whole batch: of the kind of its first fault, with every fault at its place.
fn refused(outcomes: &[Outcome]) -> Problem {
    let failed = outcomes
        .iter()
        .enumerate()
        .filter_map(|(n, outcome)| Some((n, outcome.as_ref().err()?)));
    let faults: Vec<Invalid> = failed
        .clone()
        .flat_map(|(n, problem)| {
            let place = format!("/items/{n}");
            problem.clone().below(&place).placed(&place)
        })
        .collect();
    let count = failed.clone().count();
    let more = if faults.len() > Problem::LISTED {
        format!(" These are the first {} errors.", Problem::LISTED)
    } else {
        String::new()
    };
    let faults = faults.into_iter().take(Problem::LISTED).collect();
    match failed.map(|(_, problem)| problem).next() {
        Some(first) => first
            .clone()
            .saying(format!(
                "{count} of {} items were refused; nothing was stored.{more}",
                outcomes.len()
            ))
            .listing(faults),
        None => Problem::internal("a batch without a fault was refused"),
    }
}

/// The outcomes as JSON, in the order of the items; what is computed is computed for all records
/// together.
fn answered<R: Resource, P>(tx: &mut Tx<'_, P>, outcomes: &[Outcome]) -> Result<String> {
    let mut rows: Vec<Row> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .map(|(_, row)| row.clone())
        .collect();
    tx.reader().name(&mut rows)?;
    let computed = R::computed(&mut tx.reader(), &rows)?;
    let mut records = rows
        .iter()
        .zip(computed)
        .map(|(row, computed)| assemble(&R::KIND, row, &computed));
    let (mut data, mut failed, mut share) =
        (Vec::with_capacity(outcomes.len()), 0, Problem::LISTED);
    for (n, outcome) in outcomes.iter().enumerate() {
        data.push(match outcome {
            Ok((status, _)) => {
                let record = records
                    .next()
                    .ok_or_else(|| Problem::internal("a record is missing"))??;
                format!(
                    "{{\"index\":{n},\"status\":{},\"record\":{record},\"problem\":null}}",
                    status.as_u16()
                )
            }
            Err(problem) => {
                failed += 1;
                let status = problem.status_code().as_u16();
                let problem = problem
                    .clone()
                    .listing_up_to(share)
                    .below(&format!("/items/{n}"));
                share -= problem.errors().len().min(share);
                format!(
                    "{{\"index\":{n},\"status\":{status},\"record\":null,\"problem\":{}}}",
                    problem.json()?
                )
            }
        });
    }
    Ok(format!(
        "{{\"data\":[{}],\"succeeded\":{},\"failed\":{failed}}}",
        data.join(","),
        outcomes.len() - failed
    ))
}
