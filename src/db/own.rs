//! What a list asks of the row that a version has in the table of its kind.
use super::Backend;
use super::dialect::expression;
use diesel::QueryResult;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

/// A predicate on columns of that table.
pub type Test = Box<dyn QueryFragment<Backend> + Send>;

/// The version has a row in a table for which of each group of tests one holds. One expression for
/// all kinds, and not a query of diesel for each, since every filter would be compiled with it.
pub struct OwnRow {
    table: &'static str,
    groups: Vec<Vec<Test>>,
}

impl OwnRow {
    /// In a table whose key is that of the version.
    pub fn new(table: &'static str, groups: Vec<Vec<Test>>) -> Self {
        OwnRow { table, groups }
    }
}

expression!(OwnRow, Bool, |this, out| {
    let table = this.table;
    out.push_sql(&format!(
        "EXISTS (SELECT 1 FROM {table} WHERE {table}.tenant_id = versions.tenant_id AND \
            {table}.id = versions.id AND {table}.version = versions.version"
    ));
    for group in &this.groups {
        for (n, test) in group.iter().enumerate() {
            out.push_sql(if n == 0 { " AND (" } else { " OR " });
            test.walk_ast(out.reborrow())?;
        }
        out.push_sql(")");
    }
    out.push_sql(")");
    Ok(())
});
