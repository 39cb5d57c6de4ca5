//! What a single record or a view is asked: the moment, the format, the page, and the parameters of
//! its own, which one struct describes and reads.
use super::format::{Formats, wants};
use crate::core::{Invalid, Problem, Result};
use crate::ledger::AsOf;
use crate::records::ask::{LIMIT, MOST};
use crate::records::query::{self, Nothing, Question};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use std::future::{Ready, ready};

/// Characters of a cursor.
const CURSOR: usize = 2000;

/// A query of a view. What the operation does not document is refused before it is read.
#[derive(Debug)]
pub struct ViewQuery<Q = Nothing> {
    /// In the past.
    pub as_of: Option<AsOf>,
    /// Archived ones too?
    pub archived_too: bool,
    /// In another format than JSON.
    pub format: Option<String>,
    /// Which part of it.
    pub page: Page,
    /// Its own parameters.
    pub own: Q,
    /// Where it was asked.
    pub target: Target,
    formats: Formats,
}

/// The target of a request (RFC 9112 3.2).
#[derive(Debug, Clone)]
pub struct Target {
    /// Before the question mark.
    pub path: String,
    /// Behind it.
    pub query: String,
}

impl Target {
    pub(super) fn of(request: &HttpRequest) -> Self {
        Target {
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
        }
    }
    /// `Link` to the next page (RFC 8288).
    pub fn next(&self, cursor: &str) -> String {
        let rest = form_urlencoded::parse(self.query.as_bytes());
        let next = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(rest.filter(|(name, _)| name != "cursor"))
            .append_pair("cursor", cursor)
            .finish();
        format!("<{}?{next}>; rel=\"next\"", self.path)
    }
    /// The parameters of an operation that has no others than these.
    pub fn only<Q: Question>(&self) -> Result<Q> {
        let given = form_urlencoded::parse(self.query.as_bytes()).into_owned();
        query::read(&given.collect::<Vec<_>>()).map_err(Problem::parameters)
    }
}

impl FromRequest for Target {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Target::of(request)))
    }
}

/// A part of what is too long for one answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// 1 to 200.
    pub limit: i64,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl Page {
    /// The position that the page ends before, where cursors are positions of the ledger.
    pub fn before(&self) -> Result<Option<i64>> {
        let needed = |_| Problem::parameter("cursor", "must be `next_cursor` of the page before");
        let cursor = self.cursor.as_deref();
        cursor.map(|text| text.parse().map_err(needed)).transpose()
    }
}

impl<Q: Question> ViewQuery<Q> {
    /// Reads it; every fault is named.
    fn read(request: &HttpRequest) -> Result<Self> {
        let (mut as_of, mut archived_too, mut format) = (None, false, None);
        let mut page = Page {
            limit: LIMIT,
            cursor: None,
        };
        let (mut own, mut faults) = (Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            let mut bad = |words: &str| {
                faults.push(Invalid::query(&*name, "invalid_parameter", words));
            };
            match (&*name, &*value) {
                ("as_of", text) => match text.parse() {
                    Ok(moment) => as_of = Some(moment),
                    Err(fault) => faults.push(fault),
                },
                ("archived", "any") => archived_too = true,
                ("archived", "false") => archived_too = false,
                ("archived", _) => bad("must be any or false"),
                ("format", _) => format = Some(value.into_owned()),
                ("limit", text) => match text.parse() {
                    Ok(limit) if (1..=MOST).contains(&limit) => page.limit = limit,
                    _ => bad("must be a number from 1 to 200"),
                },
                ("cursor", text) if text.len() > CURSOR || text.contains('\0') => {
                    bad("must be `next_cursor` of the page before");
                }
                ("cursor", _) => page.cursor = Some(value.into_owned()),
                _ => own.push((name.into_owned(), value.into_owned())),
            }
        }
        match query::read(&own) {
            Ok(own) if faults.is_empty() => Ok(ViewQuery {
                as_of,
                archived_too,
                format,
                page,
                own,
                target: Target::of(request),
                formats: Formats::of(request),
            }),
            read => {
                faults.extend(read.err().into_iter().flatten());
                Err(Problem::parameters(faults))
            }
        }
    }
    /// Is another format asked for than JSON?
    pub fn wants(&self, format: &str, media: &str) -> Result<bool> {
        wants(&self.formats, self.format.as_deref(), format, media)
    }
    /// Refuses these parameters, where not a part but the whole is answered.
    pub fn whole(&self, parts: &[&str], code: &str, words: &str) -> Result<()> {
        whole(&self.target.query, parts, code, words)
    }
}

impl<Q: Question> FromRequest for ViewQuery<Q> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request))
    }
}

/// Refuses these parameters, where not a part but the whole is answered.
pub fn whole(query: &str, parts: &[&str], code: &str, words: &str) -> Result<()> {
    let faults: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| parts.contains(&&**name))
        .map(|(name, _)| Invalid::query(name, code, words))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::parameters(faults))
}

/// The query of an operation that has no other parameters than these.
#[derive(Debug)]
pub struct Only<Q>(pub Q);

impl<Q: Question> FromRequest for Only<Q> {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Target::of(request).only().map(Only))
    }
}
