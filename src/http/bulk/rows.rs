//! How the table of an import is read: headings, cells, keys. Nothing is asked of the database.
use super::table::{self, Column};
use crate::core::{Code, Invalid, Problem, Result, Schemas};
use crate::http::describe::Description;
use crate::http::format::plain;
use crate::records::{Resource, Selector, Upsert};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Rows of one import.
pub const MOST: usize = 5000;
/// Faults that are listed.
pub(super) const FAULTS: usize = 1000;

/// A row: its number, what is wrong with its cells, and what it says besides.
#[derive(Debug)]
pub(super) struct Row<R> {
    pub(super) number: usize,
    pub(super) faults: Vec<Invalid>,
    pub(super) said: Upsert<R>,
}

pub(super) fn in_row(fault: Invalid, row: usize) -> Invalid {
    Invalid {
        detail: format!("row {row}: {}", fault.detail),
        ..fault
    }
}
pub(super) fn refused(first: Problem, faults: Vec<Invalid>) -> Problem {
    let more = if faults.len() >= FAULTS {
        " or more"
    } else {
        ""
    };
    let said = faults
        .first()
        .map(|fault| fault.detail.clone())
        .unwrap_or_default();
    let count = if let [_] = faults.as_slice() {
        "1 fault".to_owned()
    } else {
        format!("{}{more} faults", faults.len())
    };
    first
        .saying(format!("{count}; nothing was stored. The first: {said}"))
        .listing(faults)
}

/// Reads a table into upserts; a cell that is empty clears, a column that is not there leaves.
/// Columns that the server writes are passed over, so that an export can be changed and imported.
pub(super) fn read<R: Resource>(schemas: &Schemas, bytes: &[u8]) -> Result<Vec<Row<R>>> {
    let text = std::str::from_utf8(bytes).map_err(|broken| {
        let row = bytes
            .iter()
            .take(broken.valid_up_to())
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Problem::new(Code::Malformed, format!("Row {row} is not UTF-8."))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut table = csv::ReaderBuilder::new()
        .delimiter(separator(text))
        .from_reader(text.as_bytes());
    let headings: Vec<String> = table
        .headers()
        .map_err(|broken| malformed(1, &broken))?
        .iter()
        .map(|name| plain(name.trim()))
        .collect();
    let columns = chosen::<R>(&headings)?;
    let coded = headings.iter().position(|name| name == "code");
    let (mut rows, mut faults, mut seen) =
        (Vec::new(), Vec::new(), [BTreeMap::new(), BTreeMap::new()]);
    for (n, record) in table.records().enumerate() {
        let row = n + 2;
        if n >= MOST {
            faults.push(in_row(
                Invalid::body(
                    format!("/rows/{row}"),
                    "too_many",
                    format!("a table may have at most {MOST} rows"),
                ),
                row,
            ));
            break;
        }
        let record = record.map_err(|broken| malformed(row, &broken))?;
        if record.iter().all(str::is_empty) {
            continue;
        }
        let (mut body, mut of_cells) = (Map::new(), Vec::new());
        for (column, cell) in columns
            .iter()
            .zip(record.iter())
            .filter_map(|(column, cell)| Some((column.as_ref()?, cell)))
        {
            match column.value(cell) {
                Ok(value) => drop(body.insert(column.name.clone(), value)),
                Err(words) => of_cells.push(Invalid::body(
                    format!("/rows/{row}/{}", column.name),
                    "invalid",
                    words,
                )),
            }
        }
        let code = coded
            .and_then(|at| record.get(at))
            .map(|cell| plain(cell.trim()))
            .filter(|code| !code.is_empty());
        let selector = code
            .as_deref()
            .and_then(|code| Selector::parse(code, &R::KIND))
            .filter(|code| matches!(code, Selector::Number(..)));
        if code.is_some() && selector.is_none() {
            let words = format!("send a code like {}-12, or leave it empty", R::KIND.code);
            of_cells.push(Invalid::body(format!("/rows/{row}/code"), "invalid", words));
        }
        let keys = [
            body.get("external_ref")
                .and_then(Value::as_str)
                .map(str::to_owned),
            code,
        ];
        for ((member, key), seen) in ["external_ref", "code"]
            .into_iter()
            .zip(keys)
            .zip(&mut seen)
        {
            if let Some(before) = key.and_then(|key| seen.insert(key, row)) {
                let words = format!("the same {member} is in row {before}");
                of_cells.push(Invalid::body(
                    format!("/rows/{row}/{member}"),
                    "twice",
                    words,
                ));
            }
        }
        rows.push(Row {
            number: row,
            faults: of_cells,
            said: Upsert::row(schemas, selector, body),
        });
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push(Invalid::body(
            "/rows",
            "required",
            "must be a table with headings and at least one row",
        ));
    }
    if faults.is_empty() {
        Ok(rows)
    } else {
        Err(refused(Problem::new(Code::ValidationFailed, ""), faults))
    }
}

/// What stands between the cells: a comma, a semicolon or a tab, whichever the headings have most
/// of.
fn separator(text: &str) -> u8 {
    let headings = text.lines().next().unwrap_or_default();
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in headings.bytes() {
        quoted ^= byte == b'"';
        counts
            .iter_mut()
            .filter(|(one, _)| *one == byte && !quoted)
            .for_each(|(_, count)| *count += 1);
    }
    let [comma, others @ ..] = counts;
    others
        .into_iter()
        .fold(
            comma,
            |best, other| if other.1 > best.1 { other } else { best },
        )
        .0
}

/// A table that cannot be read at all.
fn malformed(row: usize, broken: &csv::Error) -> Problem {
    let words = match broken.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} cells instead of {expected_len}"),
        _ => "cannot be read".to_owned(),
    };
    let fault = in_row(
        Invalid::body(format!("/rows/{row}"), "malformed", words),
        row,
    );
    Problem::new(
        Code::Malformed,
        format!(
            "The table is not well formed; nothing was stored. {}.",
            fault.detail
        ),
    )
    .listing(vec![fault])
}

/// The column of each heading; `None` for those that the server writes.
fn chosen<R: Resource>(headings: &[String]) -> Result<Vec<Option<Column>>> {
    let of = Description::of::<R>();
    let (writable, all) = (table::writable(&of), table::columns(&of));
    let (mut found, mut faults) = (Vec::with_capacity(headings.len()), Vec::new());
    let known = || {
        ["code"]
            .into_iter()
            .chain(writable.iter().map(|column| column.name.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for (n, name) in headings.iter().enumerate() {
        let column = writable.iter().find(|column| column.name == *name).cloned();
        let shown: String = name.chars().take(60).collect();
        if headings.iter().take(n).any(|other| other == name) {
            faults.push(Invalid::body(
                "/rows/1",
                "twice",
                format!("row 1: the column `{shown}` occurs twice"),
            ));
        } else if column.is_none() && !table::is_read_only(name, &all) {
            let words = format!(
                "row 1: unknown column `{shown}`; the columns are {}",
                known()
            );
            faults.push(Invalid::body("/rows/1", "unknown_member", words));
        }
        found.push(column);
        if faults.len() >= Problem::LISTED {
            break;
        }
    }
    if !headings
        .iter()
        .any(|name| name == "external_ref" || name == "code")
    {
        let words = "row 1: add a column `external_ref` (your own identifier) or `code`, which \
            identifies the rows";
        faults.push(Invalid::body("/rows/1", "required", words));
    }
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(refused(Problem::new(Code::ValidationFailed, ""), faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headings_say_what_separates() {
        for (text, wanted) in [
            ("a,b,c\n1;2;3", b','),
            ("a;b;c\n1,2,3", b';'),
            ("a\tb\tc", b'\t'),
            ("name", b','),
            ("", b','),
            ("\"a,b,c\";b", b';'),
        ] {
            assert_eq!(separator(text), wanted, "{text}");
        }
    }
}
