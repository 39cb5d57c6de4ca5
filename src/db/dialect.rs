//! What the two databases say differently, and SQL that the planner has to see word for word.
use super::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{BoxableExpression, QueryResult};
use std::marker::PhantomData;

/// `to_seq` of the version that stands now.
pub const OPEN: i64 = i64::MAX;

/// The position that sees the present.
pub const NOW: i64 = i64::MAX - 1;

/// SQL text that is always the same. Unlike diesel's own `sql`, a statement with it stays prepared.
#[derive(Debug, Clone, Copy)]
pub struct Words<ST>(&'static str, PhantomData<ST>);

impl<ST> Words<ST> {
    const fn new(text: &'static str) -> Self {
        Words(text, PhantomData)
    }
}

/// What stood at a position.
#[derive(Debug, Clone, Copy)]
pub struct Stood(i64);

macro_rules! expression {
    ($type:ty, $sql:ty, |$this:ident, $out:ident| $walk:expr $(; $($bound:tt)+)?) => {
        impl$(<$($bound)+>)? Expression for $type {
            type SqlType = $sql;
        }
        impl<QS $(, $($bound)+)?> AppearsOnTable<QS> for $type {}
        impl<QS $(, $($bound)+)?> SelectableExpression<QS> for $type {}
        impl<GB $(, $($bound)+)?> ValidGrouping<GB> for $type {
            type IsAggregate = is_aggregate::Never;
        }
        impl$(<$($bound)+>)? QueryId for $type {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
        impl$(<$($bound)+>)? QueryFragment<Backend> for $type {
            fn walk_ast<'b>(&'b self, mut $out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
                let $this = self;
                $walk
            }
        }
    };
}
pub(crate) use expression;

/// The rows of one table that are of the same versions as those of another: what a join is on.
macro_rules! same_version {
    ($these:ident, $those:ident) => {
        $these::table.on($these::tenant_id
            .eq($those::tenant_id)
            .and($these::id.eq($those::id))
            .and($these::version.eq($those::version)))
    };
}
pub(crate) use same_version;

expression!(Words<ST>, ST, |this, out| {
    out.push_sql(this.0);
    Ok(())
}; ST: diesel::sql_types::SqlType + diesel::expression::TypedExpressionType);
expression!(Stood, Bool, |this, out| {
    // The unary plus keeps SQLite from walking the ledger by position; the first condition names
    // the indexes on what stood.
    out.push_sql("(versions.version > 0 AND +versions.from_seq <= ");
    out.push_bind_param::<BigInt, _>(&this.0)?;
    out.push_sql(" AND versions.to_seq > ");
    out.push_bind_param::<BigInt, _>(&this.0)?;
    out.push_sql(")");
    Ok(())
});

/// The versions that stand now.
pub fn standing<QS: 'static>() -> Box<dyn BoxableExpression<QS, Backend, SqlType = Bool>> {
    at(NOW)
}

/// The versions that stand at a position, said in the words of the indexes: what stands now in
/// those of the partial indexes on it (a bound value would not match them), what stood then in
/// those of the others.
pub fn at<QS: 'static>(seq: i64) -> Box<dyn BoxableExpression<QS, Backend, SqlType = Bool>> {
    match seq {
        NOW => Box::new(Words::<Bool>::new("versions.to_seq = 9223372036854775807")),
        seq => Box::new(Stood(seq)),
    }
}

/// The image of a version: the body of the ledger entry that made it, in the same statement.
pub fn body_of() -> Words<Text> {
    Words::new(
        "(SELECT e.body FROM ledger_entries e WHERE e.tenant_id = versions.tenant_id AND e.seq = \
            versions.from_seq)",
    )
}
/// The personal half of that image.
pub fn personal_of() -> Words<Nullable<Text>> {
    Words::new(
        "(SELECT e.personal FROM ledger_entries e WHERE e.tenant_id = versions.tenant_id AND \
            e.seq = versions.from_seq)",
    )
}
/// The position of the last entry about an account of the organization.
pub fn accounts_of() -> Words<BigInt> {
    Words::new("(SELECT h.accounts_seq FROM ledger_heads h WHERE h.tenant_id = versions.tenant_id)")
}
/// How many entries the organization's ledger has.
pub fn size_of() -> Words<BigInt> {
    Words::new("(SELECT h.size FROM ledger_heads h WHERE h.tenant_id = versions.tenant_id)")
}

/// `LIKE` pattern for text that has this inside; the escape is `\` on both databases when said so.
pub fn inside(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
