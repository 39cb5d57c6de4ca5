//! Workflows as data: the steps of a register's life are rows of a table in its room. Mounting,
//! document, permission, `allowed_transitions` and the order of checks follow from them.
//!
//! ```ignore
//! const STEPS: &[Step<Action>] = &[
//!     Step::to("start", &["open"], "in_progress").says("Start {a}", "Someone has begun."),
//!     Step::to("complete", &["open", "in_progress"], "done")
//!         .says("Complete {a}", "It is done; a result says what came of it.")
//!         .body(&With::<_, Completion>(completed)),
//!     Step::to("cancel", &["open", "in_progress"], "cancelled")
//!         .says("Cancel {a}", "It will not be done; the comment says why.")
//!         .because(),
//! ];
//! const STATES: [Transition; 3] = transitions(STEPS); // for its kind; mounted with `mount(api, STEPS)`
//! ```
use super::said::{HasComment, OptionalComment, RequiredComment};
use super::{Answer, Api, Guard, Input, Operation, RecordId};
use crate::core::Result;
use crate::records::{CommentRule, Covers, IfMatch, Record, Resource, Transition, Tx};
use crate::service::session::May;
use actix_web::{FromRequest, HttpRequest, web};
use std::marker::PhantomData;

/// The permission of a workflow's steps: it covers the records of its register. Which step it is
/// for was asked when the request came in.
pub struct Steps<R>(PhantomData<fn() -> R>);
impl<R: Resource> Covers<R> for Steps<R> {}

/// What a step changes, once it is known what was said with it.
pub type Change<R> =
    Box<dyn FnOnce(&mut Tx<'_, Steps<R>>, &mut Record<R>) -> Result<()> + Send + 'static>;

/// The body of a step: what is said, and what follows from it.
pub trait Body<R: Resource>: Sync {
    /// For the document.
    fn describe(&self, to: &mut Operation);
    /// Reads what was said; the comment, and the change.
    fn take(&self, input: Input) -> Result<(Option<String>, Change<R>)>;
}

/// A body of this type, and a plain function for what else changes.
pub struct With<R: Resource, B>(pub Effect<R, B>);
/// What changes beside the state.
pub type Effect<R, B> = fn(&mut Tx<'_, Steps<R>>, &mut Record<R>, B) -> Result<()>;

impl<R: Resource, B: HasComment> Body<R> for With<R, B> {
    fn describe(&self, to: &mut Operation) {
        to.body::<B>();
        if B::OPTIONAL {
            to.optional();
        }
    }
    fn take(&self, input: Input) -> Result<(Option<String>, Change<R>)> {
        let said: B = input.read()?;
        let (comment, change) = (said.comment().map(str::to_owned), self.0);
        Ok((
            comment,
            Box::new(move |tx, record| change(tx, record, said)),
        ))
    }
}

/// One step of a workflow.
pub struct Step<R: Resource> {
    transition: Transition,
    more: &'static [(&'static [&'static str], &'static str)],
    summary: &'static str,
    about: &'static str,
    owned: bool,
    apart: bool,
    may: fn(&mut Tx<'_, Steps<R>>, &Record<R>) -> Result<()>,
    body: &'static dyn Body<R>,
}

impl<R: Resource> Step<R> {
    /// `verb` leads from any of these states to that one. Anyone with the permission may take it,
    /// a comment may be given, and nothing else changes.
    pub const fn to(verb: &'static str, from: &'static [&'static str], to: &'static str) -> Self {
        Step {
            transition: Transition {
                verb,
                from,
                to,
                comment: CommentRule::Optional,
                decision: false,
            },
            more: &[],
            summary: "",
            about: "",
            owned: true,
            apart: false,
            may: anyone,
            body: &With::<R, OptionalComment>(nothing),
        }
    }
    /// From other states it leads elsewhere.
    pub const fn or(self, more: &'static [(&'static [&'static str], &'static str)]) -> Self {
        Step { more, ..self }
    }
    /// What it does, in a few words and in full; `{a}` stands for the record: `a risk`.
    pub const fn says(self, summary: &'static str, about: &'static str) -> Self {
        Step {
            summary,
            about,
            ..self
        }
    }
    /// It is a decision about the version that was read: `If-Match: *` will not do.
    pub const fn decides(self) -> Self {
        let transition = Transition {
            decision: true,
            ..self.transition
        };
        Step { transition, ..self }
    }
    /// Who may take it, beside the policy.
    pub const fn by(self, may: fn(&mut Tx<'_, Steps<R>>, &Record<R>) -> Result<()>) -> Self {
        Step { may, ..self }
    }
    /// Who may take it, in place of the rule that contributors change what they own.
    pub const fn by_right(self, may: fn(&mut Tx<'_, Steps<R>>, &Record<R>) -> Result<()>) -> Self {
        Step {
            may,
            owned: false,
            ..self
        }
    }
    /// What is said with it, and what changes.
    pub const fn body(self, body: &'static dyn Body<R>) -> Self {
        Step { body, ..self }
    }
    /// It has a handler of its own.
    pub const fn apart(self) -> Self {
        Step {
            apart: true,
            ..self
        }
    }
    /// A comment is required.
    pub const fn because(self) -> Self {
        self.body(&With::<R, RequiredComment>(nothing)).commented()
    }
    /// A comment is required in the body that was named.
    pub const fn commented(self) -> Self {
        let transition = Transition {
            comment: CommentRule::Required,
            ..self.transition
        };
        Step { transition, ..self }
    }
}

/// The state machine of these steps, for [`Kind`](crate::records::Kind).
#[expect(
    clippy::indexing_slicing,
    reason = "a wrong index does not compile: it is a constant"
)]
pub const fn transitions<R: Resource, const N: usize>(steps: &[Step<R>]) -> [Transition; N] {
    let none = Transition {
        verb: "",
        from: &[],
        to: "",
        comment: CommentRule::Optional,
        decision: false,
    };
    let (mut all, mut n, mut step) = ([none; N], 0, 0);
    while step < steps.len() {
        let (first, more) = (steps[step].transition, steps[step].more);
        all[n] = first;
        n += 1;
        let mut other = 0;
        while other < more.len() {
            let (from, to) = more[other];
            all[n] = Transition { from, to, ..first };
            n += 1;
            other += 1;
        }
        step += 1;
    }
    assert!(n == N, "say how many transitions there are");
    all
}

/// Mounts and describes the steps of a register.
pub fn mount<R: Resource>(api: &mut Api<'_>, steps: &'static [Step<R>]) {
    let a = R::KIND.one();
    for step in steps.iter().filter(|step| !step.apart) {
        let verb = step.transition.verb;
        let path = format!("/v1/{}/{{id}}/{verb}", R::KIND.path);
        let handler = move |request, payload| take(step, request, payload);
        let op = api.step(&path, web::route().to(handler), R::KIND.name, verb);
        op.id(format!("{verb}{}", R::name())).says(
            step.summary.replace("{a}", &a),
            step.about.replace("{a}", &a),
        );
        match step.transition.decision {
            true => op.decides::<R>(),
            false => op.changes::<R>(),
        };
        step.body.describe(op);
        if step.transition.comment == CommentRule::Required {
            op.required();
        }
    }
}

/// Takes a step: the record at the version the caller knows (404, 428, 412), may this person do it
/// (403), what is said with it (422), does the state allow it (409), the change, and the entry.
async fn take<R: Resource>(
    step: &'static Step<R>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<Answer> {
    let verb = step.transition.verb;
    // The body of a caller who may not do it is not read.
    let guard = Guard::<Steps<R>>::enter(&request, May::named(R::KIND.name, verb))?;
    let mut payload = payload.into_inner();
    let at = RecordId::extract(&request).await?;
    let known = IfMatch::extract(&request).await?;
    let known = if step.transition.decision {
        known.for_decision()
    } else {
        known
    };
    let input = Input::from_request(&request, &mut payload).await?;
    let (selector, said) = (at.of(&R::KIND)?, step.body.take(input.clone()));
    guard
        .write(&input, move |tx| {
            let stored = match step.owned {
                true => tx.load::<R>(&selector, &known)?,
                false => tx.load_of_anyone::<R>(&selector, &known)?,
            };
            (step.may)(tx, &stored)?;
            let (comment, change) = said?;
            let mut record = stored.clone();
            tx.step(&mut record, verb, comment.as_deref())?;
            change(tx, &mut record)?;
            let saved = tx.save(&stored, record, verb)?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

/// Whoever has the permission may do it.
pub fn anyone<R: Resource>(_: &mut Tx<'_, Steps<R>>, _: &Record<R>) -> Result<()> {
    Ok(())
}
/// A person has to do it; which one does not matter.
pub fn a_person<R: Resource>(tx: &mut Tx<'_, Steps<R>>, _: &Record<R>) -> Result<()> {
    tx.person().map(drop)
}
/// Nothing changes but the state.
pub fn nothing<R: Resource, B>(_: &mut Tx<'_, Steps<R>>, _: &mut Record<R>, _: B) -> Result<()> {
    Ok(())
}
