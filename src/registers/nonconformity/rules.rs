//! The rules of a nonconformity's life: pure, but for the queries that find its actions.
use crate::access::{Actor, Caller, Role};
use crate::core::{Code, Id, Problem, Result};
use crate::db::among::among;
use crate::db::dialect::{OPEN, body_of};
use crate::db::schema::{links as l, versions as v};
use crate::records::{Covers, Record, Tx};
use crate::registers::action::Action;
use crate::registers::nonconformity::{Course, Nonconformity};
use diesel::prelude::*;
use std::collections::BTreeSet;

/// The states of the actions that a nonconformity led to.
pub fn actions_of<P: Covers<Nonconformity>>(tx: &mut Tx<'_, P>, id: Id) -> Result<Vec<String>> {
    let tenant = tx.caller().tenant;
    let there = v::tenant_id
        .eq(tenant)
        .and(v::kind.eq("action"))
        .and(v::archived_at.is_null());
    let led = l::relation
        .eq("origin_id")
        .and(l::to_id.eq(id))
        .and(l::to_seq.eq(OPEN));
    let led = v::table
        .inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))))
        .filter(there)
        .filter(led)
        .filter(v::to_seq.eq(OPEN))
        .select(v::status);
    Ok(led.load(tx.conn())?)
}

/// Every action that it ever led to, though it was archived or belongs to something else by now.
pub fn ever_led<P: Covers<Nonconformity>>(
    tx: &mut Tx<'_, P>,
    id: Id,
) -> Result<Vec<Record<Action>>> {
    let tenant = tx.caller().tenant;
    let own = l::tenant_id
        .eq(tenant)
        .and(l::to_id.eq(id))
        .and(l::relation.eq("origin_id"));
    let led: Vec<Id> = l::table.filter(own).select(l::from_id).load(tx.conn())?;
    let led: Vec<Id> = BTreeSet::from_iter(led).into_iter().collect();
    let mut all = Vec::with_capacity(led.len());
    for some in led.chunks(500) {
        let own = v::tenant_id.eq(tenant).and(among(v::id, some));
        let standing = v::table.filter(own.and(v::kind.eq("action")).and(v::to_seq.eq(OPEN)));
        let images: Vec<(i16, String)> = standing.select((v::schema, body_of())).load(tx.conn())?;
        for (schema, body) in images {
            all.push(Record::of_image(schema, &body, None)?);
        }
    }
    Ok(all)
}

/// Pure: may this caller change what it says? Who only audits: what they raised or own.
pub fn raised(caller: &Caller, record: &Record<Nonconformity>) -> Result<()> {
    let audits = caller.roles.contains(&Role::InternalAuditor)
        && !caller
            .roles
            .iter()
            .any(|role| [Role::Manager, Role::Contributor].contains(role));
    let me = caller.actor.person_id;
    let by = &record.spine.created_by;
    let theirs = by.id == caller.actor.id
        || me.is_some() && [by.person_id, record.links.one("owner_id")].contains(&me);
    match audits && !theirs {
        true => Err(Problem::new(
            Code::NotAssigned,
            "Internal auditors may change only nonconformities that they raised or own.",
        )),
        false => Ok(()),
    }
}

/// Pure: may it be called planned, with actions in these states? What did not help before is no
/// plan for the next iteration.
pub fn planned(actions: &[impl AsRef<str>], iteration: i32) -> Result<()> {
    let counts = |status: &str| status != "cancelled" && (iteration == 1 || status != "done");
    match actions.iter().any(|status| counts(status.as_ref())) {
        true => Ok(()),
        false => {
            refused("A plan requires an action. Create one with this nonconformity as `origin_id`.")
        }
    }
}

/// Pure: may it be called implemented?
pub fn implemented(actions: &[impl AsRef<str>]) -> Result<()> {
    let many = |counts: &dyn Fn(&str) -> bool| {
        actions
            .iter()
            .filter(|status| counts(status.as_ref()))
            .count()
    };
    match (
        many(&|status| !["done", "cancelled"].contains(&status)),
        many(&|status| status == "done"),
    ) {
        (0, 0) => refused("None of its actions is done. Complete one first."),
        (0, _) => Ok(()),
        (n, _) => refused(format!(
            "{n} of its actions are not done. Complete or cancel them first."
        )),
    }
}
fn refused(why: impl Into<String>) -> Result<()> {
    Err(Problem::new(Code::IllegalTransition, why).allowing(["return"]))
}

/// Pure: where a verification leads.
pub fn verified(course: &mut Course, effective: bool, by: Actor) -> &'static str {
    (course.effective, course.verified_by) = (Some(effective), Some(by));
    if effective {
        return "verified";
    }
    course.iteration += 1;
    (course.implemented_by, course.analysis_due) = (None, true);
    "analysed"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::ActorKind;
    use crate::records::Resource;

    #[test]
    fn a_plan_needs_an_action_and_its_end_all_of_them() {
        for (actions, iteration, enough) in [
            (&[] as &[&str], 1, false),
            (&["cancelled"], 1, false),
            (&["open"], 1, true),
            (&["done"], 1, true),
            (&["done"], 2, false),
            (&["done", "open"], 2, true),
        ] {
            assert_eq!(planned(actions, iteration).is_ok(), enough, "{actions:?}");
        }
        assert!(implemented(&["done", "cancelled"]).is_ok());
        for bad in [
            &[] as &[&str],
            &["cancelled"],
            &["done", "open"],
            &["in_progress"],
        ] {
            assert!(implemented(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_did_not_help_is_analysed_again() {
        let by = Actor {
            kind: ActorKind::User,
            id: Id::new(),
            name: "x".into(),
            person_id: None,
        };
        let mut course = Course {
            implemented_by: Some(by.clone()),
            ..Course::default()
        };
        assert_eq!(verified(&mut course, false, by.clone()), "analysed");
        assert_eq!(
            (
                course.iteration,
                course.effective,
                course.implemented_by.clone()
            ),
            (2, Some(false), None)
        );
        assert_eq!(verified(&mut course, true, by), "verified");
        assert_eq!(course.iteration, 2);
    }

    #[test]
    fn every_state_but_the_last_leads_on() {
        let kind = Nonconformity::KIND;
        assert_eq!(
            kind.statuses(),
            [
                "open",
                "contained",
                "analysed",
                "action_planned",
                "implemented",
                "verified",
                "closed"
            ]
        );
        for status in kind.statuses() {
            assert_eq!(
                kind.allowed(status).next().is_none(),
                status == "closed",
                "{status}"
            );
        }
        assert!(
            kind.transition("plan", "open")
                .is_err_and(|problem| problem.is(Code::IllegalTransition))
        );
    }
}
