//! `column IN (…)` for a few ids, as a statement that stays prepared: the list is filled up to a
//! power of two.
use super::Backend;
use crate::core::Id;
use crate::core::sql::DbUuid;
use diesel::QueryResult;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

/// Is the column one of these ids? (diesel's `eq_any` is prepared anew at each use on SQLite.)
#[derive(Debug, Clone)]
pub struct Among<C> {
    column: C,
    ids: Vec<Id>,
}

/// A column among ids; false where there are none.
pub fn among<C>(column: C, ids: &[Id]) -> Among<C> {
    let mut ids = ids.to_vec();
    if let Some(last) = ids.last().copied() {
        ids.resize(ids.len().next_power_of_two(), last);
    }
    Among { column, ids }
}

impl<C> Expression for Among<C> {
    type SqlType = Bool;
}
impl<C: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for Among<C> where Self: Expression {}
impl<C: SelectableExpression<QS>, QS> SelectableExpression<QS> for Among<C> where
    Self: AppearsOnTable<QS>
{
}
impl<C, GB> ValidGrouping<GB> for Among<C> {
    type IsAggregate = is_aggregate::Never;
}
impl<C> QueryId for Among<C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<C: QueryFragment<Backend>> QueryFragment<Backend> for Among<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        if self.ids.is_empty() {
            out.push_sql("1 = 0");
            return Ok(());
        }
        self.column.walk_ast(out.reborrow())?;
        for (n, id) in self.ids.iter().enumerate() {
            out.push_sql(if n == 0 { " IN (" } else { ", " });
            out.push_bind_param::<DbUuid, _>(id)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::schema::versions as v;

    #[test]
    fn lists_have_a_few_lengths() {
        let ids: Vec<Id> = (0..513).map(|_| Id::new()).collect();
        let asked = |n: usize| among(v::id, ids.get(..n).unwrap_or_default()).ids;
        assert_eq!(
            [0, 1, 2, 8, 9, 50, 512, 513].map(|n| asked(n).len()),
            [0, 1, 2, 8, 16, 64, 512, 1024]
        );
        assert!(
            asked(3)
                .iter()
                .all(|id| ids.iter().take(3).any(|known| known == id))
        );
    }
}
