//! Other formats than JSON: which is asked for, and text that is safe in a table.
use super::Then;
use crate::core::{Code, Invalid, Problem, Result};
use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header, Quality};
use std::cmp::Reverse;

/// The media type of tables (RFC 4180).
pub const CSV: &str = "text/csv; charset=utf-8";

/// Is another format of the view asked for, by `format` or by `Accept`? A browser's link cannot set headers, so the parameter comes first.
pub fn wants(request: &HttpRequest, then: &Then, format: &str, media: &str) -> Result<bool> {
    chosen(request, then.get("format"), format, media)
}
/// The same for what the query says of it.
pub fn chosen(request: &HttpRequest, said: Option<&str>, format: &str, media: &str) -> Result<bool> {
    match said {
        Some("json") => Ok(false),
        Some(asked) if asked == format => Ok(true),
        Some(_) => Err(Problem::parameters(vec![Invalid::query("format", "invalid_parameter", format!("json or {format} is needed"))])),
        None => match (quality(request, media), quality(request, "application/json")) {
            (None, None) => Err(Problem::new(Code::NotAcceptable, format!("Available: application/json, {media}."))),
            (other, json) => Ok(other > json),
        },
    }
}

/// How much `Accept` wants a media type (RFC 9110 12.5.1): its quality, then how exactly it is named, then how early; `None` is not at all. Without the
/// header, or with one that cannot be read, everything is as good.
pub fn quality(request: &HttpRequest, media: &str) -> Option<Wanted> {
    let accept = Accept::parse(request).ok().filter(|accept| !accept.is_empty());
    let Some(accept) = accept else { return Some(Wanted::default()) };
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
    let (exactly, place, quality) = ranges.max_by_key(|(exactly, place, _)| (*exactly, *place))?;
    (quality > Quality::ZERO).then_some(Wanted { quality: Some(quality), exactly, place: Some(place) })
}

/// How much a media type is wanted; the more the greater.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    quality: Option<Quality>,
    exactly: u8,
    place: Option<Reverse<usize>>,
}

/// What a query says of the format, and the rest of it.
pub fn format_of(query: &str) -> (Option<String>, String) {
    let (format, rest): (Vec<_>, Vec<_>) = form_urlencoded::parse(query.as_bytes()).partition(|(name, _)| name == "format");
    let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    (format.into_iter().next_back().map(|(_, format)| format.into_owned()), rest)
}

/// Text that no spreadsheet takes for a formula.
pub fn neutral(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
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
            let request = TestRequest::default().insert_header(("Accept", accept)).to_http_request();
            assert_eq!(chosen(&request, None, "csv", "text/csv").ok(), csv, "{accept}");
        }
        assert_eq!(chosen(&TestRequest::default().to_http_request(), None, "csv", "text/csv").ok(), Some(false));
    }

    #[test]
    fn formulas_are_neutral() {
        assert_eq!((neutral("=1+1"), neutral("none")), ("'=1+1".into(), "none".into()));
    }
}
