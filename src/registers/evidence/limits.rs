//! What the limits of a key leave of evidence.
use crate::access::{Caller, Limits};
use crate::db::schema::evidence as ev;
use crate::records::columns::row_of;
use crate::records::{Condition, sight};
use diesel::prelude::*;

/// Evidence of these sources.
pub fn of_sources(limits: &Limits) -> Condition {
    row_of("evidence", ev::source.eq_any(limits.sources.clone()))
}

/// Evidence that was collected in this period.
pub fn of_period(limits: &Limits) -> Condition {
    let since = limits
        .period_start_on
        .map(|day| row_of("evidence", ev::collected_on.ge(day)));
    let until = limits
        .period_end_on
        .map(|day| row_of("evidence", ev::collected_on.le(day)));
    since
        .into_iter()
        .chain(until)
        .reduce(sight::both)
        .unwrap_or_else(sight::nothing)
}

/// A machine that is limited to no source sees what it pushed itself.
pub fn own_pushes(caller: &Caller) -> Option<Condition> {
    let only = caller.collects() && caller.limits.sources.is_empty();
    only.then(|| row_of("evidence", ev::pushed_by.eq(caller.actor.id)))
}
