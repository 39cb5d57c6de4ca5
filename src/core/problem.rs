//! Every error that leaves the house: RFC 9457 `application/problem+json`, from the one table of
//! codes.
use super::Code;
use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header};
use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

/// What fallible functions of the house return.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// Characters of a detail; what a caller sent may be longer.
const DETAIL: usize = 2000;
/// Faults of a query that are listed.
const FAULTS: usize = 50;
/// Characters of a name, and of a reason, in the list of faults.
const NAMED: usize = 200;
const REASON: usize = 500;

/// An RFC 9457 problem. Its body is boxed, so that results stay small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Body>);

/// What an RFC 9457 problem says.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// Where this code is explained.
    #[schema(max_length = 200, example = "/problems/validation_failed")]
    r#type: &'static str,
    /// The code in words; the same for each occurrence.
    #[schema(max_length = 200)]
    title: &'static str,
    /// The HTTP status again.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What programs branch on.
    #[schema(max_length = 64)]
    code: &'static str,
    /// This occurrence in words.
    #[schema(max_length = 2000)]
    pub detail: String,
    /// The request, as in the log and in `X-Request-Id`.
    #[schema(required, max_length = 36)]
    request_id: Option<String>,
    /// Every invalid value, not only the first.
    #[schema(max_items = 10000)]
    errors: Vec<Invalid>,
    /// The transitions that the state allows, the methods of the path, or the words that may be
    /// sent instead.
    #[schema(max_items = 100)]
    pub allowed: Vec<String>,
    /// The records that need this one, or the requirements that are not ready.
    #[schema(max_items = 100)]
    needed_by: Vec<String>,
    #[serde(skip)]
    retry_after: Option<u64>,
    #[serde(skip)]
    refused: bool,
}

/// One invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invalid {
    /// Where it stands: `body`, `query`, `path` or `header`.
    #[schema(max_length = 10)]
    pub location: &'static str,
    /// JSON Pointer (RFC 6901) into the body, or the name of the parameter.
    #[schema(max_length = 500)]
    pub pointer: String,
    /// Why, for programs.
    #[schema(max_length = 64)]
    pub code: String,
    /// Why, for people.
    #[schema(max_length = 1000)]
    pub detail: String,
}

impl Invalid {
    /// A value of the body.
    pub fn body(
        pointer: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Invalid {
            location: "body",
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
        }
    }
    /// A day of the body that lies before the one that it follows; each with its member.
    pub fn backwards(
        (first, from): (&str, Option<NaiveDate>),
        (then, to): (&str, Option<NaiveDate>),
    ) -> Option<Self> {
        let wrong = from.zip(to).is_some_and(|(from, to)| to < from);
        wrong.then(|| Invalid::body(format!("/{then}"), "order", format!("is before {first}")))
    }
    /// A query parameter.
    pub fn query(
        name: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let short = |text: String, most: usize| {
            if text.len() <= most {
                text
            } else {
                text.chars().take(most).collect()
            }
        };
        Invalid {
            location: "query",
            pointer: short(name.into(), NAMED),
            code: code.into(),
            detail: short(detail.into(), REASON),
        }
    }
}

impl Problem {
    /// A problem with a sentence about this occurrence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (place, name, status, title) = code.row();
        let (errors, allowed, needed_by) = (vec![], vec![], vec![]);
        let detail = detail.into().chars().take(DETAIL).collect();
        Problem(Box::new(Body {
            r#type: place,
            title,
            status,
            code: name,
            detail,
            request_id: None,
            errors,
            allowed,
            needed_by,
            retry_after: None,
            refused: false,
        }))
    }
    /// Faults of one body that are listed.
    pub const LISTED: usize = 50;
    /// 422 with every invalid value, in the order of their places; the first 50, where there are
    /// more.
    pub fn invalid(mut errors: Vec<Invalid>) -> Self {
        errors.sort_by(|a, b| (&a.pointer, &a.code).cmp(&(&b.pointer, &b.code)));
        match errors.len() > Self::LISTED {
            true => {
                errors.truncate(Self::LISTED);
                let words = format!(
                    "More than {} values are invalid; these are the first.",
                    Self::LISTED
                );
                Problem::new(Code::ValidationFailed, words).listing(errors)
            }
            false => Problem::invalid_all(errors),
        }
    }
    /// The same with all of them: for tables, which list more.
    pub fn invalid_all(mut errors: Vec<Invalid>) -> Self {
        errors.sort_by(|a, b| (&a.pointer, &a.code).cmp(&(&b.pointer, &b.code)));
        let detail = match errors.as_slice() {
            [only] => format!("1 value is invalid: {}.", only.detail.trim_end_matches('.')),
            all => format!("{} values are invalid.", all.len()),
        };
        Problem::new(Code::ValidationFailed, detail).listing(errors)
    }
    /// 422 for one value of the body.
    pub fn invalid_one(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        Problem::invalid(vec![Invalid::body(pointer, code, detail)])
    }
    /// 400 with the faults of the query: up to 50, and how many more there are.
    pub fn parameters(mut errors: Vec<Invalid>) -> Self {
        let code = if errors.iter().any(|e| e.code == "unknown_parameter") {
            Code::UnknownParameter
        } else {
            Code::InvalidParameter
        };
        let more = errors.len().saturating_sub(FAULTS);
        errors.truncate(FAULTS);
        let mut words: Vec<_> = errors
            .iter()
            .map(|e| format!("{}: {}", e.pointer, e.detail))
            .collect();
        words.dedup();
        if more > 0 {
            words.insert(0, format!("{more} more errors are not listed"));
        }
        Problem::new(code, words.join("; ")).listing(errors)
    }
    /// 400 with one fault of the query.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Problem::parameters(vec![Invalid::query(name, "invalid_parameter", detail)])
    }
    /// 404 in the one form that tells nothing about other organizations.
    pub fn not_found() -> Self {
        Problem::new(
            Code::NotFound,
            "There is no such record, or it is not visible to you.",
        )
    }
    /// 500: the cause goes to the log, a constant sentence to the caller.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        log::error!("{cause}");
        Problem::new(
            Code::Internal,
            "The cause is in the server's log, under the request id.",
        )
    }
    /// With every invalid value.
    pub fn listing(mut self, errors: Vec<Invalid>) -> Self {
        self.0.errors = errors;
        self
    }
    /// With another sentence about this occurrence.
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }
    /// With so many of its invalid values at most: what is left of a batch's share.
    pub fn listing_up_to(mut self, most: usize) -> Self {
        if self.0.errors.len() > most {
            self.0.errors.truncate(most);
            self.0.detail.push_str(&format!(
                " At most {} errors are listed for a batch.",
                Self::LISTED
            ));
        }
        self
    }
    /// Of a part of a body that stands there: each place begins with it.
    pub fn below(mut self, place: &str) -> Self {
        self.0
            .errors
            .iter_mut()
            .filter(|fault| fault.location == "body")
            .for_each(|fault| fault.pointer.insert_str(0, place));
        self
    }
    /// Its faults, each at its place in a body; a problem that names none stands at `place`.
    pub fn placed(&self, place: &str) -> Vec<Invalid> {
        match self.0.errors.as_slice() {
            [] => vec![Invalid::body(place, self.0.code, self.0.detail.clone())],
            faults => faults.to_vec(),
        }
    }
    /// As it stands in an answer with others.
    pub fn json(&self) -> Result<String> {
        serde_json::to_string(&self.0).map_err(Problem::internal)
    }
    /// With what the caller may do instead.
    pub fn allowing(mut self, allowed: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }
    /// With the records in the way.
    pub fn needed_by(mut self, records: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.needed_by = records.into_iter().map(Into::into).collect();
        self
    }
    /// With the seconds to wait.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }
    /// Of a credential that was sent and is not good.
    pub fn of_credential(mut self) -> Self {
        self.0.refused = true;
        self
    }
    /// With the request's id.
    pub fn of_request(mut self, request_id: String) -> Self {
        self.0.request_id = Some(request_id);
        self
    }
    /// Is it this one?
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code.row().1
    }
    /// What it says, for an answer that holds several.
    pub fn said(self) -> Body {
        *self.0
    }
    /// What it says of this occurrence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
    /// The invalid values.
    pub fn errors(&self) -> &[Invalid] {
        &self.0.errors
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}
impl std::error::Error for Problem {}
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        if self.0.status == 401 {
            // RFC 6750: an error is named where a credential was sent.
            let challenge = if self.0.refused {
                "Bearer realm=\"isms\", error=\"invalid_token\""
            } else {
                "Bearer realm=\"isms\""
            };
            answer.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if self.0.status == 405 {
            answer.insert_header((header::ALLOW, self.0.allowed.join(", ")));
        }
        let wait = self
            .0
            .retry_after
            .or(matches!(self.0.status, 429 | 503).then_some(1));
        if let Some(seconds) = wait {
            answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        answer.insert_header((header::CACHE_CONTROL, "no-store"));
        answer
            .content_type("application/problem+json")
            .body(serde_json::to_vec(&self.0).unwrap_or_default())
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_faults_are_listed() {
        let faults = |n: usize| {
            (0..n)
                .map(|n| Invalid::body(format!("/m{n:03}"), "invalid", "x"))
                .collect()
        };
        assert_eq!(
            (
                Problem::invalid(faults(50)).errors().len(),
                Problem::invalid(faults(51)).errors().len()
            ),
            (50, 50)
        );
        assert!(
            Problem::invalid(faults(51))
                .to_string()
                .contains("More than 50")
        );
        assert!(
            Problem::invalid(faults(9))
                .listing_up_to(3)
                .to_string()
                .contains("At most 50")
        );
    }
}
