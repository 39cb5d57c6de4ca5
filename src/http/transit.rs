//! A transition, as every workflow makes it: the record at the version the caller knows (404, 428,
//! 412), may this person do it (403), what is said with it (422), does the state allow it (409),
//! the change, and the entry.
use super::{Answer, At, Guard, Input, Permission};
use crate::core::Result;
use crate::records::{Covers, Known, Record, Resource, Tx};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;
use validator::Validate;

/// What is said with a transition.
pub trait Said: DeserializeOwned + Validate + ToSchema + Send + 'static {
    /// Why; it becomes the reason of the entry.
    fn comment(&self) -> Option<&str>;
}

/// What is said with a transition that is not accepted without a reason.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "As decided in the ISMS meeting."}))]
pub struct Because {
    /// Why; it stands in the history.
    #[schema(min_length = 1, max_length = 2000)]
    pub comment: String,
}

impl Said for Because {
    fn comment(&self) -> Option<&str> {
        Some(&self.comment)
    }
}

/// Makes the transition `verb`: `may` decides who, `change` what else changes with the state.
pub async fn transit<R: Resource, P: Permission + Covers<R>, B: Said>(
    guard: Guard<P>,
    (at, known, input): (At, Known, Input),
    verb: &'static str,
    may: impl FnOnce(&mut Tx<'_, P>, &Record<R>) -> Result<()> + Send + 'static,
    change: impl FnOnce(&mut Tx<'_, P>, &mut Record<R>, B) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    let (selector, known) = (at.of(&R::KIND)?, known.for_verb(verb));
    super::input::no_parameters(guard.request())?;
    let said = input.clone().read::<B>();
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<R>(&selector, &known)?;
            may(tx, &stored)?;
            let said = said?;
            let mut record = stored.clone();
            let comment = said.comment().map(str::to_owned);
            tx.step(&mut record, verb, comment.as_deref())?;
            change(tx, &mut record, said)?;
            let saved = tx.save(&stored, record, verb)?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

/// Whoever may call it may do it.
pub fn anyone<R: Resource, P>(_: &mut Tx<'_, P>, _: &Record<R>) -> Result<()> {
    Ok(())
}
/// Some person has to do it; which one does not matter.
pub fn a_person<R: Resource, P>(tx: &mut Tx<'_, P>, _: &Record<R>) -> Result<()> {
    tx.person().map(drop)
}
/// Nothing changes but the state.
pub fn nothing<R: Resource, P, B>(_: &mut Tx<'_, P>, _: &mut Record<R>, _: B) -> Result<()> {
    Ok(())
}
