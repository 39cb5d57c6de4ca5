//! Revisions (ISO/IEC 27001:2022 7.5): scope and risk methodology are lasting records; what is
//! approved is a revision of them. `revise` opens the next as draft while the one in force stays;
//! approving supersedes it. A revision is the body at the ledger entry that approved it: nothing is
//! copied.
use crate::access::Actor;
use crate::core::{Code, Instant, Problem, Result};
use crate::db::schema::ledger_entries as e;
use crate::http::{
    Answer, Approve, At, Because, Guard, Input, Read, Return, Revise, Submit, ViewQuery,
    handlers::Comment, transit,
};
use crate::records::history::{self, Entry};
use crate::records::{
    Comment as Needs, Deed, Known, Reader, Record, Resource, Transition, Tx, Writing,
};
use actix_web::HttpRequest;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the server says about a record with revisions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Revised {
    /// The revision that the record's members show.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// The revision that was approved last and is in force.
    #[schema(required, minimum = 1)]
    pub revision_in_force: Option<i32>,
    /// Who asked for approval of this revision.
    #[schema(required)]
    pub submitted_by: Option<Actor>,
    /// When the revision in force was approved.
    #[schema(required)]
    pub approved_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub approved_by: Option<Actor>,
}
impl Default for Revised {
    fn default() -> Self {
        Revised {
            revision: 1,
            revision_in_force: None,
            submitted_by: None,
            approved_at: None,
            approved_by: None,
        }
    }
}

/// draft → in_review.
pub const SUBMIT: Transition = Transition {
    verb: "submit",
    from: &["draft"],
    to: "in_review",
    comment: Needs::Optional,
};
/// in_review → approved.
pub const APPROVE: Transition = Transition {
    verb: "approve",
    from: &["in_review"],
    to: "approved",
    comment: Needs::Optional,
};
/// in_review → draft, with the reason.
pub const RETURN: Transition = Transition {
    verb: "return",
    from: &["in_review"],
    to: "draft",
    comment: Needs::Required,
};
/// approved → draft of the next revision.
pub const REVISE: Transition = Transition {
    verb: "revise",
    from: &["approved"],
    to: "draft",
    comment: Needs::Optional,
};

/// draft or approved → retired, out of force.
pub const RETIRE: Transition = Transition {
    verb: "retire",
    from: &["draft", "approved"],
    to: "retired",
    comment: Needs::Optional,
};

/// What is in force stays in the lists, also while its next revision is a draft: it is retired
/// first.
pub fn archivable<R: Resource<State = Revised>>(record: &Record<R>) -> Result<()> {
    match (record.state.revision_in_force, record.spine.status.as_str()) {
        (None, "draft" | "retired") => Ok(()),
        (None, status) => {
            changeable(record).map_err(|problem| problem.allowing(R::KIND.allowed(status)))
        }
        (Some(_), "approved") => changeable(record),
        (Some(revision), status) => Err(Problem::new(
            Code::IllegalTransition,
            format!("Revision {revision} is in force. Retire the record first."),
        )
        .allowing(R::KIND.allowed(status))),
    }
}

/// What is approved changes by a new revision; what is in review waits.
pub fn changeable<R: Resource>(record: &Record<R>) -> Result<()> {
    match record.spine.status.as_str() {
        "draft" => Ok(()),
        "approved" => Err(Problem::new(
            Code::ReviseFirst,
            "The record is approved. Open the next revision with `revise`.",
        )
        .allowing(R::KIND.allowed("approved"))),
        status => Err(Problem::new(
            Code::IllegalTransition,
            format!("The record cannot change while it is `{status}`."),
        )
        .allowing(R::KIND.allowed(status))),
    }
}

/// Asks for approval of the draft.
pub async fn submit<R: Resource<State = Revised>>(
    guard: Guard<Submit<R>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    submit_with(guard, at, known, input, |_, _| Ok(())).await
}
/// The same, after what else has to be so.
pub async fn submit_with<R: Resource<State = Revised>>(
    guard: Guard<Submit<R>>,
    at: At,
    known: Known,
    input: Input,
    ready: impl FnOnce(&mut Writing<'_>, &Record<R>) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    let asked = |tx: &mut Tx<'_, _>, record: &mut Record<R>, _: Comment| {
        ready(tx, record)?;
        record.state.submitted_by = Some(tx.caller().actor.clone());
        Ok(())
    };
    transit::transit(
        guard,
        (at, known, input),
        "submit",
        transit::a_person,
        asked,
    )
    .await
}

/// Puts the draft in force; by a person who neither asked for it nor wrote a part of it.
pub async fn approve<R: Resource<State = Revised>>(
    guard: Guard<Approve<R>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    approve_with(guard, at, known, input, |_, _, _: Comment| Ok(())).await
}
/// The same, with what else has to happen with it.
pub async fn approve_with<R: Resource<State = Revised>, B: transit::Said>(
    guard: Guard<Approve<R>>,
    at: At,
    known: Known,
    input: Input,
    more: impl FnOnce(&mut Tx<'_, Approve<R>>, &mut Record<R>, B) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    let another = |tx: &mut Tx<'_, _>, stored: &Record<R>| {
        let asked = stored.state.submitted_by.as_ref().map(|by| Deed {
            by,
            record: stored.spine.id,
            action: "submit",
            what: "submitted it",
        });
        tx.another_than(asked.as_slice())?;
        tx.another_than_editors(stored.spine.id)
    };
    let in_force = |tx: &mut Tx<'_, _>, record: &mut Record<R>, said: B| {
        more(tx, record, said)?;
        looked_at(tx, record)?;
        approved(&mut record.state, &tx.caller().actor, tx.now());
        Ok(())
    };
    transit::transit(guard, (at, known, input), "approve", another, in_force).await
}

/// What is approved was looked at: its next review is due an interval from today, unless its author
/// gave another day.
fn looked_at<R: Resource<State = Revised>, P>(
    tx: &mut Tx<'_, P>,
    record: &mut Record<R>,
) -> Result<()> {
    let before = approvals::<R>(&mut tx.reader(), record.spine.id)?
        .pop()
        .and_then(|last| last.common.review_due_on);
    let due = record.common.review_due_on;
    if due.is_none_or(|day| day <= tx.today() || Some(day) == before) {
        record.common.review_due_on = tx.review_in(None);
    }
    Ok(())
}

/// Pure: what approving changes.
pub fn approved(state: &mut Revised, by: &Actor, at: Instant) {
    state.revision_in_force = Some(state.revision);
    (state.approved_at, state.approved_by) = (Some(at), Some(by.clone()));
}

/// Sends it back to its author.
pub async fn return_to_draft<R: Resource<State = Revised>>(
    guard: Guard<Return<R>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let back = |_: &mut Tx<'_, _>, record: &mut Record<R>, _: Because| {
        record.state.submitted_by = None;
        Ok(())
    };
    transit::transit(guard, (at, known, input), "return", transit::anyone, back).await
}

/// Opens the next revision as a draft; the one in force stays in force.
pub async fn revise<R: Resource<State = Revised>>(
    guard: Guard<Revise<R>>,
    at: At,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let next = |_: &mut Tx<'_, _>, record: &mut Record<R>, _: Comment| {
        record.state.revision += 1;
        record.state.submitted_by = None;
        Ok(())
    };
    transit::transit(guard, (at, known, input), "revise", transit::anyone, next).await
}

/// The entries that approved a record, oldest first.
pub fn approvals<R: Resource<State = Revised>>(
    reader: &mut Reader<'_>,
    id: crate::core::Id,
) -> Result<Vec<Record<R>>> {
    let of_it = e::table.filter(
        e::tenant_id
            .eq(reader.tenant())
            .and(e::record_id.eq(id))
            .and(e::seq.le(reader.moment.seq)),
    );
    let mut entries: Vec<Entry> = of_it
        .filter(e::action.eq("approve"))
        .order(e::seq)
        .select(Entry::as_select())
        .load(reader.conn())?;
    history::name(reader, &mut entries)?;
    entries.iter().map(Entry::record).collect()
}

/// The same, without what the caller did not see then.
fn seen_approvals<R: Resource<State = Revised>>(
    reader: &mut Reader<'_>,
    id: crate::core::Id,
) -> Result<Vec<Record<R>>> {
    let mut all = approvals::<R>(reader, id)?;
    if let Some(seen) = reader.past_seen_versions(R::KIND.name, id)? {
        all.retain(|record| seen.contains(&record.spine.version));
    }
    Ok(all)
}

/// One revision in a list of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revision {
    /// Its number.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// When it was approved.
    #[schema(required)]
    pub approved_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub approved_by: Option<Actor>,
    /// The record's version that was approved.
    #[schema(minimum = 1)]
    pub version: i32,
    /// Is it the one in force?
    pub in_force: bool,
}
/// The approved revisions of a record.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revisions {
    /// Newest first.
    #[schema(max_items = 10000)]
    pub data: Vec<Revision>,
}

/// The approved revisions, newest first.
pub async fn list<R: Resource<State = Revised>>(
    guard: Guard<Read<R>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    let (query, selector) = (ViewQuery::plain(&request)?, at.of(&R::KIND)?);
    guard
        .view(query.as_of, move |reader| {
            let row = reader.row::<R>(&selector, query.archived_too)?;
            let in_force = crate::records::reader::record_of::<R>(&row)?
                .state
                .revision_in_force;
            let all = seen_approvals::<R>(reader, row.id)?
                .into_iter()
                .rev()
                .map(|record| Revision {
                    revision: record.state.revision,
                    approved_at: record.state.approved_at,
                    approved_by: record.state.approved_by,
                    version: record.spine.version,
                    in_force: Some(record.state.revision) == in_force,
                });
            Answer::of(&Revisions {
                data: all.collect(),
            })
        })
        .await
}

/// One approved revision: the record as it was approved.
pub async fn get<R: Resource<State = Revised>>(
    guard: Guard<Read<R>>,
    at: At,
    request: HttpRequest,
) -> Result<Answer> {
    let (query, selector) = (ViewQuery::plain(&request)?, at.of(&R::KIND)?);
    let wanted: i32 = request
        .match_info()
        .query("n")
        .parse()
        .map_err(|_| Problem::not_found())?;
    guard
        .read(query.as_of, move |reader| {
            let id = reader.row::<R>(&selector, query.archived_too)?.id;
            let found = seen_approvals::<R>(reader, id)?
                .into_iter()
                .find(|record| record.state.revision == wanted);
            let record = found.ok_or_else(Problem::not_found)?;
            let (body, personal) = record.image()?;
            let archived = record.spine.archived_at.is_some();
            let (version, status, schema) = (
                record.spine.version,
                record.spine.status.clone(),
                R::KIND.schema,
            );
            let row = crate::records::Row {
                id,
                version,
                status,
                archived,
                body,
                personal,
                schema,
                names: 0,
            };
            Ok(Answer::shown(reader.show::<R>(row)?))
        })
        .await
}

/// The schemas of revisions.
pub fn schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
    to.push((
        Revisions::name().into(),
        <Revisions as utoipa::PartialSchema>::schema(),
    ));
    <Revisions as ToSchema>::schemas(to);
}
