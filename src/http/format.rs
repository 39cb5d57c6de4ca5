//! Other formats than JSON: which is asked for, and text that is safe in a table.
use crate::core::{Code, Problem, Result};
use actix_web::HttpRequest;
use actix_web::http::header::{self, Accept, Header, HeaderValue, Quality};
use std::cmp::Reverse;

/// The media type of tables (RFC 4180).
pub const CSV: &str = "text/csv; charset=utf-8";

/// Is another format of the view asked for, by `format` or by `Accept`? A browser's link cannot set
/// headers, so the parameter comes first.
pub fn wants(formats: &Formats, said: Option<&str>, format: &str, media: &str) -> Result<bool> {
    match said {
        Some("json") => Ok(false),
        Some(asked) if asked == format => Ok(true),
        Some(_) => Err(Problem::parameter(
            "format",
            format!("must be json or {format}"),
        )),
        None => match (formats.quality(media), formats.quality("application/json")) {
            (None, None) => Err(Problem::new(
                Code::NotAcceptable,
                format!("Available: application/json, {media}."),
            )),
            (other, json) => Ok(other > json),
        },
    }
}

/// What `Accept` says (RFC 9110 12.5.1). Without the header, or with one that cannot be read,
/// everything is as good.
#[derive(Debug, Clone)]
pub struct Formats(Option<Accept>);

impl Formats {
    /// Of a request.
    pub fn of(request: &HttpRequest) -> Self {
        let any = |given: &HeaderValue| given == "*/*";
        match request.headers().get(header::ACCEPT) {
            Some(given) if !any(given) => {
                Formats(Accept::parse(request).ok().filter(|all| !all.is_empty()))
            }
            _ => Formats(None),
        }
    }
    /// How much a media type is wanted: its quality, then how exactly it is named, then how early;
    /// `None` is not at all.
    pub fn quality(&self, media: &str) -> Option<Wanted> {
        let Some(accept) = &self.0 else {
            return Some(Wanted::default());
        };
        let (kind, _) = media.split_once('/')?;
        let ranges = accept.iter().enumerate().filter_map(|(place, range)| {
            let exactly = match range.item.essence_str() {
                "*/*" => 0,
                essence if essence == media => 2,
                essence if essence.strip_suffix("/*") == Some(kind) => 1,
                _ => return None,
            };
            Some((exactly, Reverse(place), range.quality))
        });
        // The range that names it most exactly says how much it is wanted.
        let named = ranges.max_by_key(|(exactly, place, _)| (*exactly, *place));
        let (exactly, place, quality) = named?;
        (quality > Quality::ZERO).then_some(Wanted {
            quality: Some(quality),
            exactly,
            place: Some(place),
        })
    }
}

/// How much a media type is wanted; the more the greater.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    quality: Option<Quality>,
    exactly: u8,
    place: Option<Reverse<usize>>,
}

/// What a spreadsheet may take for the beginning of a formula, in its half-width and its full-width
/// form.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// What may separate cells, whatever the program that opens the table was told; a cell of ours may
/// hold it.
const SEPARATORS: [char; 6] = [',', ';', '|', '\t', '\r', '\n'];

/// Text that no spreadsheet takes for a formula: an apostrophe is put before whatever might begin
/// one, at the beginning of the text and after everything that might begin another cell. [`plain`]
/// takes exactly these away.
pub fn neutral(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 4);
    for (n, part) in text.split_inclusive(SEPARATORS).enumerate() {
        if begins_formula(n, part) {
            safe.push('\'');
        }
        safe.push_str(part);
    }
    safe
}
/// A text as it was before it was made neutral.
pub fn plain(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for (n, part) in cell.split_inclusive(SEPARATORS).enumerate() {
        let rest = part
            .strip_prefix('\'')
            .filter(|rest| begins_formula(n, rest));
        text.push_str(rest.unwrap_or(part));
    }
    text
}
/// May this part be the beginning of a formula, behind blanks, quotes, marks that nobody sees, and
/// apostrophes?
fn begins_formula(n: usize, part: &str) -> bool {
    let unseen = |letter: char| {
        letter == '\''
            || letter == '"'
            || letter.is_whitespace() && !SEPARATORS.contains(&letter)
            || matches!(letter,
                '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{00ad}')
            || letter.is_control() && !SEPARATORS.contains(&letter)
    };
    // A tab or a line break at the beginning of a cell is dropped by some programs, and what
    // follows begins it.
    let dropped = |letter| n == 0 && ['\t', '\r', '\n'].contains(&letter);
    part.trim_start_matches(unseen)
        .starts_with(|letter| FORMULA.contains(&letter) || dropped(letter))
}

/// Rows as a table (RFC 4180): every cell of text is neutral. The one place where tables are
/// written.
pub fn table(rows: impl IntoIterator<Item = Vec<Cell>>) -> Result<Vec<u8>> {
    let mut table = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let cell = |cell: Cell| match cell {
        Cell::Text(text) => neutral(&text),
        Cell::Plain(value) => value,
    };
    rows.into_iter()
        .try_for_each(|row| table.write_record(row.into_iter().map(cell)))
        .map_err(Problem::internal)?;
    table.into_inner().map_err(Problem::internal)
}

/// What stands in a cell.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Text, made neutral.
    Text(String),
    /// A number or a truth value, written by the service itself.
    Plain(String),
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}
/// A row of text.
pub fn texts(row: impl IntoIterator<Item = impl Into<String>>) -> Vec<Cell> {
    row.into_iter()
        .map(|text| Cell::Text(text.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn accept_is_weighed() {
        for (accept, csv) in [
            ("text/csv", Some(true)),
            ("text/csv;q=0, application/json", Some(false)),
            ("text/csv;q=0.4, application/json;q=0.5", Some(false)),
            ("application/json;q=0.4, text/csv;q=0.5", Some(true)),
            ("application/json, text/csv", Some(false)),
            ("text/csv, application/json", Some(true)),
            ("text/csv, */*", Some(true)),
            ("*/*, text/csv", Some(true)),
            ("text/*, */*;q=0.1", Some(true)),
            ("*/*", Some(false)),
            ("*/*;q=0.1, text/csv;q=0", Some(false)),
            ("application/*", Some(false)),
            ("TEXT/CSV", Some(true)),
            ("application/jsonl", None),
            ("text/csvx", None),
            ("text/html", None),
            ("application/json;q=0", None),
            ("text/csv;q=0.000, application/json;q=0", None),
            ("", Some(false)),
        ] {
            let request = TestRequest::default()
                .insert_header(("Accept", accept))
                .to_http_request();
            assert_eq!(
                wants(&Formats::of(&request), None, "csv", "text/csv").ok(),
                csv,
                "{accept}"
            );
        }
        assert_eq!(
            wants(
                &Formats::of(&TestRequest::default().to_http_request()),
                None,
                "csv",
                "text/csv"
            )
            .ok(),
            Some(false)
        );
    }

    #[test]
    fn formulas_are_neutral_wherever_a_cell_may_begin() {
        for (text, safe) in [
            ("=1+1", "'=1+1"),
            ("none", "none"),
            ("x;=1+1;y", "x;'=1+1;y"),
            ("x,+1", "x,'+1"),
            ("x\t@y", "x\t'@y"),
            ("x\n-1", "x\n'-1"),
            ("x\r\n=1", "x\r\n'=1"),
            (" =1", "' =1"),
            ("\u{a0}=1", "'\u{a0}=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\u{200b}=1", "'\u{200b}=1"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("\t=1", "'\t'=1"),
            ("\tx", "'\tx"),
            ("\r=1", "'\r'=1"),
            ("\"=1\"", "'\"=1\""),
            ("'=1", "''=1"),
            ("'quoted", "'quoted"),
            ("a-b, c+d", "a-b, c+d"),
            ("One.\n\nTwo.", "One.\n\nTwo."),
        ] {
            assert_eq!(neutral(text), safe, "{text:?}");
        }
    }

    #[test]
    fn what_was_made_neutral_comes_back_exactly() {
        let letters = [
            '=', '-', '\'', ' ', ';', ',', '\t', '\r', '\n', '"', 'x', '＝', '\u{a0}', '|',
        ];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| letters.iter().map(move |letter| format!("{text}{letter}")))
                .collect();
            for text in &texts {
                assert_eq!(plain(&neutral(text)), *text, "{text:?}");
                assert!(
                    !neutral(text)
                        .split(SEPARATORS)
                        .any(|part| part.starts_with(FORMULA)),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn numbers_stay_numbers() {
        let row = vec![
            Cell::Plain("-3".into()),
            Cell::Text("-3".into()),
            Cell::Text("a;=b".into()),
        ];
        assert_eq!(table([row]).ok(), Some(b"-3,'-3,a;'=b\r\n".to_vec()));
    }
}
