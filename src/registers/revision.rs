//! Revisions (ISO/IEC 27001:2022 7.5): scope and risk methodology are lasting records; what is
//! approved is a revision of them. `revise` opens the next as draft while the one in force stays;
//! approving supersedes it. A revision is the body at the ledger entry that approved it: nothing is
//! copied.
use crate::access::Actor;
use crate::core::{Code, Instant, Problem, Result};
use crate::db::schema::ledger_entries as e;
use crate::http::OptionalComment;
use crate::http::{
    Answer, Api, Guard, Read, RecordId, RequiredComment, Step, Steps, ViewQuery, With, workflow,
};
use crate::records::history::{self, Entry};
use crate::records::{Deed, Reader, Record, Resource, Tx};
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
pub const fn submit<R: Resource<State = Revised>>() -> Step<R> {
    Step::to("submit", &["draft"], "in_review")
        .says(
            "Ask for approval of {a}",
            "The draft goes into review; another person approves it.",
        )
        .by(workflow::a_person)
        .body(&With::<R, OptionalComment>(|tx, record, _| {
            submitted(tx, record)
        }))
}
/// in_review → approved.
pub const fn approve<R: Resource<State = Revised>>() -> Step<R> {
    Step::to("approve", &["in_review"], "approved")
        .says(
            "Approve {a}",
            "Puts the revision in force. Whoever submitted it cannot approve it: persons are \
                compared, not credentials.",
        )
        .decides()
        .by(another)
        .body(&With::<R, OptionalComment>(|tx, record, _| {
            approved(tx, record)
        }))
}
/// in_review → draft, with the reason.
pub const fn return_to_draft<R: Resource<State = Revised>>() -> Step<R> {
    Step::to("return", &["in_review"], "draft")
        .says("Return {a}", "Sends it back to draft, with the reason.")
        .commented()
        .body(&With::<R, RequiredComment>(|_, record, _| {
            record.state.submitted_by = None;
            Ok(())
        }))
}
/// approved → draft of the next revision; the one in force stays in force.
pub const fn revise<R: Resource<State = Revised>>() -> Step<R> {
    Step::to("revise", &["approved"], "draft")
        .says(
            "Revise {a}",
            "Opens the next revision as a draft; the one in force stays in force.",
        )
        .body(&With::<R, OptionalComment>(|_, record, _| {
            record.state.revision += 1;
            record.state.submitted_by = None;
            Ok(())
        }))
}
/// draft or approved → retired, out of force.
pub const fn retire<R: Resource<State = Revised>>() -> Step<R> {
    Step::to("retire", &["draft", "approved"], "retired")
        .says("Retire {a}", "It is out of force for good.")
        .body(&With::<R, OptionalComment>(|_, record, _| {
            record.state.revision_in_force = None;
            Ok(())
        }))
}

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

type Life<'a, R> = Tx<'a, Steps<R>>;

/// Who asked for approval is kept.
pub fn submitted<R: Resource<State = Revised>>(
    tx: &mut Life<'_, R>,
    record: &mut Record<R>,
) -> Result<()> {
    record.state.submitted_by = Some(tx.caller().actor.clone());
    Ok(())
}
/// Whoever asked for it, or wrote a part of it, does not approve it.
pub fn another<R: Resource<State = Revised>>(
    tx: &mut Life<'_, R>,
    stored: &Record<R>,
) -> Result<()> {
    let asked = stored.state.submitted_by.as_ref().map(|by| Deed {
        by,
        record: stored.spine.id,
        action: "submit",
        what: "submitted it",
    });
    tx.another_than(asked.as_slice())?;
    tx.another_than_editors(stored.spine.id)
}
/// It is in force from now on, and was looked at.
pub fn approved<R: Resource<State = Revised>>(
    tx: &mut Life<'_, R>,
    record: &mut Record<R>,
) -> Result<()> {
    looked_at(tx, record)?;
    in_force(&mut record.state, &tx.caller().actor, tx.now());
    Ok(())
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
pub fn in_force(state: &mut Revised, by: &Actor, at: Instant) {
    state.revision_in_force = Some(state.revision);
    (state.approved_at, state.approved_by) = (Some(at), Some(by.clone()));
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
async fn list<R: Resource<State = Revised>>(
    guard: Guard<Read<R>>,
    at: RecordId,
    query: ViewQuery,
) -> Result<Answer> {
    let selector = at.of(&R::KIND)?;
    guard
        .view(query.as_of, move |reader| {
            let row = reader.row::<R>(&selector, query.archived_too)?;
            let in_force = Record::<R>::of(&row)?.state.revision_in_force;
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
async fn get<R: Resource<State = Revised>>(
    guard: Guard<Read<R>>,
    at: RecordId,
    query: ViewQuery,
) -> Result<Answer> {
    let selector = at.of(&R::KIND)?;
    let wanted = at.number()?;
    guard
        .read(query.as_of, move |reader| {
            let id = reader.row::<R>(&selector, query.archived_too)?.id;
            let found = seen_approvals::<R>(reader, id)?
                .into_iter()
                .find(|record| record.state.revision == wanted);
            let record = found.ok_or_else(Problem::not_found)?;
            let (body, personal) = record.image()?;
            Ok(Answer::shown(reader.show::<R>(record.row(body, personal))?))
        })
        .await
}

/// Mounts the steps of a register with revisions, and its revisions.
pub fn mount<R: Resource<State = Revised>>(api: &mut Api<'_>, steps: &'static [Step<R>]) {
    workflow::mount(api, steps);
    let (one, a) = (R::name(), R::KIND.one());
    let path = format!("/v1/{}/{{id}}/revisions", R::KIND.path);
    api.get(&path, list::<R>)
        .id(format!("list{one}Revisions"))
        .says(
            format!("List the revisions of {a}"),
            "Every revision that was approved, newest first.",
        )
        .past()
        .answers::<Revisions>("The revisions.");
    api.get(&format!("{path}/{{n}}"), get::<R>)
        .id(format!("get{one}Revision"))
        .says(
            format!("Get a revision of {a}"),
            "The record as it was approved.",
        )
        .past()
        .record(&one, "The record.");
}
