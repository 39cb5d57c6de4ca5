//! What the two databases say differently.
use super::Backend;
use diesel::BoxableExpression;
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

/// `to_seq` of the version that stands now.
pub const OPEN: i64 = i64::MAX;

/// The position that sees the present.
pub const NOW: i64 = i64::MAX - 1;

/// The versions that stand now.
pub fn standing<QS: 'static>() -> Box<dyn BoxableExpression<QS, Backend, SqlType = Bool>> {
    at(NOW)
}

/// The versions that stand at a position, said in the words of the indexes: what stands now in those of the partial indexes on it (a bound value
/// would not match them), what stood then in those of the others (SQLite would else walk the ledger by position, and sort).
pub fn at<QS: 'static>(seq: i64) -> Box<dyn BoxableExpression<QS, Backend, SqlType = Bool>> {
    match seq {
        NOW => Box::new(sql::<Bool>("versions.to_seq = 9223372036854775807")),
        seq => {
            let then = sql::<Bool>("(versions.version > 0 AND +versions.from_seq <= ").bind::<BigInt, _>(seq);
            Box::new(then.sql(" AND versions.to_seq > ").bind::<BigInt, _>(seq).sql(")"))
        }
    }
}

/// The image of a version: the body of the ledger entry that made it, in the same statement.
pub fn body_of() -> SqlLiteral<Text> {
    sql("(SELECT e.body FROM ledger_entries e WHERE e.tenant_id = versions.tenant_id AND e.seq = versions.from_seq)")
}
/// The personal half of that image.
pub fn personal_of() -> SqlLiteral<Nullable<Text>> {
    sql("(SELECT e.personal FROM ledger_entries e WHERE e.tenant_id = versions.tenant_id AND e.seq = versions.from_seq)")
}
/// How many entries the organization's ledger has.
pub fn size_of() -> SqlLiteral<BigInt> {
    sql("(SELECT h.size FROM ledger_heads h WHERE h.tenant_id = versions.tenant_id)")
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
