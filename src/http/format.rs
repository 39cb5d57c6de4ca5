//! Other formats than JSON: which is asked for, and text that is safe in a table.
use super::Then;
use crate::core::{Code, Invalid, Problem, Result};
use actix_web::{HttpRequest, http::header};

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
        None => {
            let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*").to_ascii_lowercase();
            let place = |media: &str| accept.find(media).unwrap_or(usize::MAX);
            match (place(media), place("application/json").min(place("*/*")).min(place("application/*"))) {
                (usize::MAX, usize::MAX) => Err(Problem::new(Code::NotAcceptable, format!("There is application/json and {media}."))),
                (other, json) => Ok(other < json),
            }
        }
    }
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

    #[test]
    fn formulas_are_neutral() {
        assert_eq!((neutral("=1+1"), neutral("none")), ("'=1+1".into(), "none".into()));
    }
}
