//! Batches: up to 1,000 creations, upserts and patches in one request and one commit, one ledger entry each. Each item has its own outcome;
//! with `atomic=true` all of them are made or none.
use crate::core::{Invalid, Problem, Result};
use crate::http::input::Large;
use crate::http::{Answer, Change, Guard, Operations};
use crate::ledger::Recorded;
use crate::records::record::assemble;
use crate::records::{Covers, Known, MergePatch, Record, Resource, Row, Selector, Tx, Upserted};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, ResponseError};
use serde_json::{Map, Value};

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
    Patch(Selector, Known, Map<String, Value>),
}

/// What became of an item.
type Outcome = std::result::Result<(StatusCode, Row), Problem>;

/// Makes a batch of a register.
pub async fn batch<R: Resource>(guard: Guard<Change<R>>, request: HttpRequest, input: Large, does: Operations) -> Result<Answer> {
    let atomic = super::flag(&request, "atomic")?;
    let content = input.0.content()?;
    let items = items(input.0.members())?;
    guard.effect(&content, move |tx| run::<R, _>(tx, items, atomic, does)).await
}

/// The items of the body.
fn items(mut body: Map<String, Value>) -> Result<Vec<Value>> {
    let mut faults: Vec<Invalid> = Vec::new();
    let items = match body.remove("items") {
        Some(Value::Array(items)) if (1..=MOST).contains(&items.len()) => items,
        Some(_) => {
            faults.push(Invalid::body("/items", "invalid", format!("an array of 1 to {MOST} items is needed")));
            vec![]
        }
        None => {
            faults.push(Invalid::body("/items", "required", "is needed"));
            vec![]
        }
    };
    faults.extend(body.keys().map(|name| Invalid::body(format!("/{name}"), "unknown_member", "there is no such member")));
    if faults.is_empty() { Ok(items) } else { Err(Problem::invalid(faults)) }
}

fn run<R: Resource, P: Covers<R>>(tx: &mut Tx<'_, P>, items: Vec<Value>, atomic: bool, does: Operations) -> Result<Recorded<Answer>> {
    let (mut outcomes, mut proof): (Vec<Outcome>, _) = (Vec::with_capacity(items.len()), None);
    for item in items {
        let made = tx.attempt(|tx| {
            let (status, recorded) = apply::<R, P>(tx, read(item, &R::KIND, does)?)?;
            let row = tx.row(recorded.get())?;
            Ok((status, row, recorded))
        });
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

fn apply<R: Resource, P: Covers<R>>(tx: &mut Tx<'_, P>, item: Item) -> Result<(StatusCode, Recorded<Record<R>>)> {
    match item {
        Item::Create(body) => {
            let draft = tx.draft::<R>(body).map_err(|problem| problem.below("/create"))?;
            Ok((StatusCode::CREATED, tx.create(draft).map_err(|problem| problem.below("/create"))?))
        }
        Item::Upsert(body) => {
            let (recorded, outcome) = tx.upsert::<R>(body).map_err(|problem| problem.below("/upsert"))?;
            Ok((if outcome == Upserted::Created { StatusCode::CREATED } else { StatusCode::OK }, recorded))
        }
        Item::Patch(selector, known, patch) => {
            let before = tx.load::<R>(&selector, &known)?;
            Ok((StatusCode::OK, tx.patch(before, MergePatch(patch)).map_err(|problem| problem.below("/patch"))?))
        }
    }
}

/// Reads an item; every fault is named.
fn read(item: Value, kind: &crate::records::Kind, does: Operations) -> Result<Item> {
    let Value::Object(mut members) = item else { return Err(Problem::invalid_one("", "invalid", "an object is needed")) };
    members.retain(|_, value| !value.is_null());
    let ways: &[&str] = if does.create { &["create", "upsert", "patch"] } else { &["patch"] };
    let mut faults: Vec<Invalid> = Vec::new();
    let mut bodies: Vec<(&str, Map<String, Value>)> = Vec::new();
    for way in ways {
        match members.remove(*way) {
            None => {}
            Some(Value::Object(body)) => bodies.push((way, body)),
            Some(_) => faults.push(Invalid::body(format!("/{way}"), "invalid", "an object is needed")),
        }
    }
    let (id, if_match) = (members.remove("id"), members.remove("if_match"));
    faults.extend(members.keys().map(|name| Invalid::body(format!("/{name}"), "unknown_member", "there is no such member")));
    if faults.is_empty() && bodies.len() != 1 {
        faults.push(Invalid::body("", "either", format!("one of {} is needed, and only one", ways.join(", "))));
    }
    let patching = bodies.iter().any(|(way, _)| *way == "patch");
    let mut selector = None;
    match (id, patching) {
        (Some(Value::String(text)), true) => match Selector::parse(&text, kind.name) {
            Some(found) => selector = Some(found),
            None => faults.push(Invalid::body("/id", "invalid", "an id or a code is needed")),
        },
        (Some(_), true) => faults.push(Invalid::body("/id", "invalid", "an id or a code is needed")),
        (None, true) => faults.push(Invalid::body("/id", "required", "is needed")),
        (Some(_), false) => faults.push(Invalid::body("/id", "unknown_member", "only a patch names a record")),
        (None, false) => {}
    }
    let known = match if_match {
        Some(Value::String(tag)) => Known(Some(tag)),
        Some(Value::Number(version)) => Known(Some(version.to_string())),
        None => Known::default(),
        Some(_) => {
            faults.push(Invalid::body("/if_match", "invalid", "a version or an entity tag is needed"));
            Known::default()
        }
    };
    if !patching && known.0.is_some() {
        faults.push(Invalid::body("/if_match", "unknown_member", "only a patch names a version"));
    }
    match (bodies.pop(), selector) {
        _ if !faults.is_empty() => Err(Problem::invalid(faults)),
        (Some(("create", body)), _) => Ok(Item::Create(body)),
        (Some(("upsert", body)), _) => Ok(Item::Upsert(body)),
        (Some((_, patch)), Some(selector)) => Ok(Item::Patch(selector, known, patch)),
        _ => Err(Problem::internal("an item that is neither good nor bad")),
    }
}

/// The problem of a whole batch: of the kind of its first fault, with every fault at its place.
fn refused(outcomes: &[Outcome]) -> Problem {
    let failed = outcomes.iter().enumerate().filter_map(|(n, outcome)| Some((n, outcome.as_ref().err()?)));
    let faults: Vec<Invalid> = failed
        .clone()
        .flat_map(|(n, problem)| {
            let place = format!("/items/{n}");
            problem.clone().below(&place).placed(&place)
        })
        .collect();
    let count = failed.clone().count();
    match failed.map(|(_, problem)| problem).next() {
        Some(first) => {
            first.clone().saying(format!("{count} of {} items are refused; nothing was stored.", outcomes.len())).listing(faults)
        }
        None => Problem::internal("a batch without a fault was refused"),
    }
}

/// The outcomes as JSON, in the order of the items; what is computed is computed for all records together.
fn answered<R: Resource, P>(tx: &mut Tx<'_, P>, outcomes: &[Outcome]) -> Result<String> {
    let rows: Vec<Row> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).map(|(_, row)| row.clone()).collect();
    let mut computed = R::computed(&mut tx.reader(), &rows)?.into_iter();
    let (mut data, mut failed) = (Vec::with_capacity(outcomes.len()), 0);
    for (n, outcome) in outcomes.iter().enumerate() {
        data.push(match outcome {
            Ok((status, row)) => {
                let record = assemble(&R::KIND, row, &computed.next().unwrap_or_default());
                format!("{{\"index\":{n},\"status\":{},\"record\":{record},\"problem\":null}}", status.as_u16())
            }
            Err(problem) => {
                failed += 1;
                let status = problem.status_code().as_u16();
                let problem = problem.clone().below(&format!("/items/{n}"));
                format!("{{\"index\":{n},\"status\":{status},\"record\":null,\"problem\":{}}}", problem.json()?)
            }
        });
    }
    Ok(format!("{{\"data\":[{}],\"succeeded\":{},\"failed\":{failed}}}", data.join(","), outcomes.len() - failed))
}
