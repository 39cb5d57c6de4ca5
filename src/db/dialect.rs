//! What the two databases say differently.
use super::{Backend, schema::versions};
use diesel::{BoxableExpression, dsl::sql, sql_types::Bool};

/// `to_seq` of the version that stands now.
pub const OPEN: i64 = i64::MAX;

/// The position that sees the present.
pub const NOW: i64 = i64::MAX - 1;

/// The versions that stand now, said in the words of the partial indexes (a bound value would not match them).
pub fn standing() -> Box<dyn BoxableExpression<versions::table, Backend, SqlType = Bool>> {
    Box::new(sql::<Bool>("versions.to_seq = 9223372036854775807"))
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
