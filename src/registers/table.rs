//! Views that are tables as well (RFC 4180): each column with its name and what it says of a row.
use crate::core::{Problem, Result};
use crate::http::format::{self, CSV, texts};
use crate::http::{Answer, Guard};
use crate::ledger::AsOf;
use crate::records::Reader;
use serde::Serialize;

/// A column: its name, and what stands in it.
pub type Column<T> = (&'static str, fn(&T) -> String);

/// The columns that say something of a type, in their order.
macro_rules! table_columns {
    ($name:ident of $row:ident: $type:ty { $($column:literal => $cell:expr,)+ }) => {
        const $name: &[$crate::registers::table::Column<$type>] = &[$(($column, |$row| {
            let _: &$type = $row;
            $cell
        })),+];
    };
}
pub(crate) use table_columns;

/// The names of these columns.
pub fn names<T>(columns: &[Column<T>]) -> impl Iterator<Item = String> {
    columns.iter().map(|(name, _)| (*name).to_owned())
}

/// A table that grows row by row.
pub struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With columns of these names.
    pub fn of(names: impl Iterator<Item = String>) -> Self {
        Table {
            names: names.collect(),
            rows: vec![],
        }
    }
    /// One row more, empty.
    pub fn row(&mut self) -> Row<'_> {
        self.rows.push(vec![String::new(); self.names.len()]);
        Row {
            names: &self.names,
            cells: self
                .rows
                .last_mut()
                .map(Vec::as_mut_slice)
                .unwrap_or_default(),
        }
    }
    /// As text.
    pub fn text(self) -> Result<String> {
        let rows = std::iter::once(self.names).chain(self.rows).map(texts);
        String::from_utf8(format::table(rows)?).map_err(Problem::internal)
    }
}

/// A row that is being filled.
pub struct Row<'t> {
    names: &'t [String],
    cells: &'t mut [String],
}

impl Row<'_> {
    /// With what these columns say of something; nothing where there is nothing.
    pub fn says<'o, T: 'o>(self, of: impl Into<Option<&'o T>>, columns: &[Column<T>]) -> Self {
        self.says_as("", of, columns)
    }
    /// The same under names that begin so.
    pub fn says_as<'o, T: 'o>(
        self,
        begin: &str,
        of: impl Into<Option<&'o T>>,
        columns: &[Column<T>],
    ) -> Self {
        if let Some(of) = of.into() {
            for (name, cell) in self.names.iter().zip(self.cells.iter_mut()) {
                let named = |(own, _): &&Column<T>| name.strip_prefix(begin) == Some(*own);
                if let Some((_, says)) = columns.iter().find(named) {
                    *cell = says(of);
                }
            }
        }
        self
    }
}

/// A value as it stands in a cell; nothing is an empty one.
pub fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
/// A word of a vocabulary, likewise.
pub fn word(word: Option<impl Into<&'static str>>) -> String {
    text(word.map(Into::into))
}
/// Several in one cell.
pub fn list(all: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.as_ref().to_owned()).collect();
    all.join(";")
}

/// Answers a view as JSON, or as a table.
pub async fn view<P: 'static, T: Serialize + 'static>(
    guard: &Guard<P>,
    csv: bool,
    as_of: Option<AsOf>,
    compute: impl FnOnce(&mut Reader<'_>) -> Result<T> + Send + 'static,
    table: fn(&T) -> Result<String>,
) -> Result<Answer> {
    let work = move |reader: &mut Reader<'_>| {
        let view = compute(reader)?;
        match csv {
            true => Ok(Answer::json(table(&view)?).as_media(CSV)),
            false => Answer::of(&view),
        }
    };
    let format = if csv { "csv" } else { "json" };
    guard.view_as(Some(format), as_of, work).await
}
