//! The handlers of every register.
use super::format::{Formats, wants};
use super::past::HistoryView;
use super::said::{NewLink, OptionalComment, Reviewed};
use super::{
    Answer, Archive, Change, Guard, Input, Read, RecordId, Review, Target, ViewQuery, bulk,
};
use crate::core::{Code, Id, Problem, Result};
use crate::records::{IfMatch, ListQuery, Patch, Relation, Resource, Selector, veil};
use actix_web::{HttpRequest, HttpResponse, Responder, web::Path};
use serde_json::{Map, json};

pub(super) async fn list<R: Resource>(
    guard: Guard<Read<R>>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    veil::asked(guard.caller(), &R::KIND, request.query_string())?;
    let target = Target::of(&request);
    let ask = ListQuery::read::<R::Filter>(guard.house().kinds(), &R::KIND, &target.query)?;
    if wants(
        &Formats::of(&request),
        ask.format.as_deref(),
        "csv",
        "text/csv",
    )? {
        return bulk::export::table::<R>(guard, &request, ask).await;
    }
    let as_of = ask.as_of;
    let page = move |reader: &mut crate::records::Reader<'_>| {
        let listed = crate::records::list::page::<R>(reader, &ask)?;
        Ok((Answer::json(listed.json), listed.next_cursor))
    };
    let answer = guard.view(as_of, move |reader| {
        page(reader).map(|(answer, next)| Answer {
            link: next.map(|cursor| target.next(&cursor)),
            ..answer
        })
    });
    Ok(answer.await?.respond_to(&request))
}

pub(super) async fn get<R: Resource>(
    guard: Guard<Read<R>>,
    at: RecordId,
    query: ViewQuery,
) -> Result<Answer> {
    let selector = at.of(&R::KIND)?;
    guard
        .read_one(query.as_of, move |reader| {
            reader
                .shown::<R>(&selector, query.archived_too)
                .map(Answer::shown)
        })
        .await
}

pub(super) async fn create<R: Resource>(guard: Guard<Change<R>>, input: Input) -> Result<Answer> {
    let body = input.clone().body::<R>().await?;
    guard
        .write(&input, move |tx| {
            let draft = tx.draft(body)?;
            let made = tx.create(draft)?;
            Ok(tx
                .shown(made)?
                .map(|shown| Answer::created(shown, R::KIND.path)))
        })
        .await
}

pub(super) async fn update<R: Resource>(
    guard: Guard<Change<R>>,
    at: RecordId,
    known: IfMatch,
    query: ViewQuery,
    input: Input,
) -> Result<Answer> {
    let selector = at.of(&R::KIND)?;
    let patch = input.patch::<R>().await?;
    guard
        .write_raw(&[], move |tx| {
            let stored = tx.load_any::<R>(&selector, &known, query.archived_too)?;
            let saved = tx.patch(stored, patch)?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

pub(super) async fn delete<R: Resource>(
    guard: Guard<Archive<R>>,
    at: RecordId,
    known: IfMatch,
) -> Result<Answer> {
    let selector = at.of(&R::KIND)?;
    guard
        .write_raw(&[], move |tx| {
            let stored = tx.load::<R>(&selector, &known)?;
            let gone = tx.archive(stored)?;
            Ok(tx.shown(gone)?.map(|shown| Answer::gone(&shown)))
        })
        .await
}

pub(super) async fn restore<R: Resource>(
    guard: Guard<Archive<R>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, said) = (at.of(&R::KIND)?, input.clone().read::<OptionalComment>());
    guard
        .write(&input, move |tx| {
            let stored = tx.load_any::<R>(&selector, &known, true)?;
            tx.because(said?.comment);
            let back = tx.restore(stored)?;
            Ok(tx.shown(back)?.map(Answer::shown))
        })
        .await
}

pub(super) async fn review<R: Resource>(
    guard: Guard<Review<R>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, said) = (at.of(&R::KIND)?, input.clone().read::<Reviewed>());
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<R>(&selector, &known)?;
            let said = said?;
            let next = match said.review_due_on {
                Some(day) if day <= tx.today() => {
                    return Err(Problem::invalid_one(
                        "/review_due_on",
                        "in_the_past",
                        "the next review lies in the future",
                    ));
                }
                Some(day) => Some(day),
                None => {
                    let days = R::review_days(&mut tx.reader(), &stored)?;
                    tx.review_in(days)
                }
            };
            tx.because(match (said.comment, said.outcome) {
                (Some(comment), Some(outcome)) => Some(format!("{outcome}: {comment}")),
                (comment, outcome) => comment.or(outcome),
            });
            let mut record = stored.clone();
            record.common.review_due_on = next;
            let saved = tx.save(&stored, record, "review")?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

pub(super) async fn history<R: Resource>(
    guard: Guard<Read<R>>,
    at: RecordId,
    query: HistoryView,
) -> Result<Answer> {
    let selector = at.of(&R::KIND)?;
    guard
        .view(query.as_of, move |reader| {
            Answer::of(&query.history::<R>(reader, Some(&selector))?)
        })
        .await
}

pub(super) async fn link_to<R: Resource>(
    guard: Guard<Change<R>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, said) = (at.of(&R::KIND)?, input.clone().read::<NewLink>());
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<R>(&selector, &known)?;
            let link = said?;
            let relation = R::KIND
                .relation(&link.relation)
                .filter(|relation| relation.many());
            let relation = relation.ok_or_else(|| {
                Problem::invalid_one(
                    "/relation",
                    "unknown_relation",
                    "there is no such member with several links",
                )
            })?;
            let before: Vec<String> = stored
                .links
                .many(relation.member)
                .iter()
                .map(Id::to_string)
                .collect();
            let links = json!([before, vec![link.to]].concat());
            let patch = Map::from_iter([(relation.member.to_owned(), links)]);
            let patch = Patch::read(tx.schemas(), patch);
            let saved = tx
                .patch(stored, patch)
                .map_err(|problem| of_link(&problem, relation).unwrap_or(problem))?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

/// A fault of the new link alone stands at `/to`.
fn of_link(problem: &Problem, relation: &Relation) -> Option<Problem> {
    let [only] = problem.errors() else {
        return None;
    };
    (problem.is(Code::ValidationFailed)
        && only.pointer.starts_with(&format!("/{}", relation.member)))
    .then(|| Problem::invalid_one("/to", &only.code, only.detail.clone()))
}

pub(super) async fn unlink<R: Resource>(
    guard: Guard<Change<R>>,
    place: Path<(String, String, String)>,
    known: IfMatch,
) -> Result<Answer> {
    let (id, member, to) = place.into_inner();
    let selector = Selector::parse(&id, &R::KIND).ok_or_else(Problem::not_found)?;
    let relation = R::KIND
        .relation(&member)
        .filter(|relation| relation.many())
        .ok_or_else(Problem::not_found)?;
    let led_to = guard.house().kinds().led_to(relation.to);
    let target = Selector::among(&to, led_to).ok_or_else(Problem::not_found)?;
    guard
        .write_raw(&[], move |tx| {
            let stored = tx.load::<R>(&selector, &known)?;
            let tenant = tx.caller().tenant;
            let gone = target
                .resolve(tx.conn(), tenant)?
                .filter(|id| stored.links.many(relation.member).contains(id))
                .ok_or_else(Problem::not_found)?;
            let rest: Vec<&Id> = stored
                .links
                .many(relation.member)
                .iter()
                .filter(|id| **id != gone)
                .collect();
            let patch = Map::from_iter([(relation.member.to_owned(), json!(rest))]);
            let patch = Patch::read(tx.schemas(), patch);
            let saved = tx.patch(stored, patch)?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}
