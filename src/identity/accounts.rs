//! What is asked of each write of an account, whatever the operation: whose person it is moves only
//! with the knowledge of somebody else.
use crate::access::ActorKind;
use crate::core::{Code, Invalid, Problem, Result};
use crate::records::{Record, Resource, Writing, duties};

/// Accounts have no limits, so a limited key makes and changes none; and whoever has acted stays
/// the person that they were, unless another administrator says why not.
pub fn permitted<R: Resource>(
    tx: &mut Writing<'_>,
    before: Option<&Record<R>>,
    after: &Record<R>,
) -> Result<()> {
    if !tx.caller().limits.none() {
        return Err(Problem::new(
            Code::OutsideLimits,
            "Your key is limited, but accounts are not. Use a key without limits.",
        ));
    }
    let Some(before) = before else { return Ok(()) };
    let (was, is) = (before.links.one("person_id"), after.links.one("person_id"));
    if was == is || tx.caller().actor.kind == ActorKind::System {
        return Ok(());
    }
    let (tenant, account) = (tx.caller().tenant, before.spine.id);
    if !duties::has_acted(tx.conn(), tenant, account)? {
        return Ok(());
    }
    tx.person()?;
    let since = tx.position();
    tx.none_of(
        [account].into_iter().chain(was),
        since,
        "acted with this account",
    )?;
    match tx.reason() {
        Some(_) => Ok(()),
        None => {
            let needed =
                "this account has acted: say in `Change-Reason` why it belongs to another person";
            Err(Problem::invalid(vec![Invalid {
                location: "header",
                ..Invalid::body("Change-Reason", "required", needed)
            }]))
        }
    }
}
