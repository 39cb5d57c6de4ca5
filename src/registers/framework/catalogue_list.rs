//! The shelf: every framework that a caller sees at a moment, the built-in ones and the
//! organization's own, with the mappings between them.
use crate::access::Caller;
use crate::core::catalogue::{self, FRAMEWORKS, Framework, Mapping, Requirement};
use crate::core::{Code, Problem, Result};
use crate::http::ViewQuery;
use crate::records::Reader;
use crate::records::frameworks::{self, Own};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::iter::Peekable;
use std::sync::Arc;

pub use crate::records::frameworks::seen;

/// One framework; 404 where this caller sees none.
pub fn framework(reader: &mut Reader<'_>, slug: &str) -> Result<Arc<Framework>> {
    if !seen(reader.caller(), slug) {
        return Err(unknown(reader, slug));
    }
    match catalogue::framework(slug) {
        Some(built_in) => Ok(built_in.clone()),
        None => own(reader, slug).map(|own| own.framework.clone()),
    }
}

/// One of the organization's own; 404 where this caller sees none.
pub fn own(reader: &mut Reader<'_>, slug: &str) -> Result<Arc<Own>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    if !seen(reader.caller(), slug) || !catalogue::is_slug(slug) {
        return Err(unknown(reader, slug));
    }
    match frameworks::find(reader.conn(), tenant, seq, slug)? {
        Some(own) => Ok(own),
        None => Err(unknown(reader, slug)),
    }
}

/// 404 for a framework that there is not: with those that may have been meant, and all that this
/// caller sees.
fn unknown(reader: &mut Reader<'_>, slug: &str) -> Problem {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let heads = frameworks::heads(reader.conn(), tenant, seq).unwrap_or_default();
    let own = heads.iter().map(|head| head.slug.as_str());
    let all: Vec<&str> = catalogue::slugs()
        .chain(own)
        .filter(|slug| seen(reader.caller(), slug))
        .collect();
    let mut detail = catalogue::no_framework(slug, all.iter().copied());
    detail.replace_range(..1, "T");
    Problem::not_found()
        .saying(detail)
        .allowing(all.into_iter().take(100))
}

/// The whole shelf.
pub struct Shelf {
    caller: Caller,
    own: Vec<Arc<Own>>,
}

impl Shelf {
    /// As this caller sees it: two queries at most.
    pub fn open(reader: &mut Reader<'_>) -> Result<Shelf> {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let mut own = frameworks::all(reader.conn(), tenant, seq)?;
        let caller = reader.caller().clone();
        own.retain(|one| seen(&caller, &one.head.slug));
        Ok(Shelf { caller, own })
    }
    /// A framework.
    pub fn framework(&self, slug: &str) -> Option<&Arc<Framework>> {
        let own = || {
            self.own
                .iter()
                .map(|own| &own.framework)
                .find(|framework| framework.slug == slug)
        };
        catalogue::framework(slug)
            .filter(|_| seen(&self.caller, slug))
            .or_else(own)
    }
    /// A requirement, and where it stands: the framework, the place in it.
    pub fn requirement(&self, id: &str) -> Option<(&Arc<Framework>, usize, &Requirement)> {
        let (slug, reference) = catalogue::parts(id)?;
        let framework = self.framework(slug)?;
        let place = framework.place(reference)?;
        Some((framework, place, framework.requirements().get(place)?))
    }
    /// The mappings of a framework, told from its side, each with the own framework that brought
    /// it.
    pub fn mappings<'s>(
        &'s self,
        slug: &'s str,
    ) -> impl Iterator<Item = (Option<&'s str>, Mapping<'s>)> {
        let of = |id: &str| catalogue::parts(id).map(|(slug, _)| slug.to_owned());
        let built_in = catalogue::mappings_of(slug).map(|pair| (None, pair));
        let brought = self.own.iter().flat_map(move |own| {
            own.mappings.iter().filter_map(move |mapping| {
                let (told, by) = (mapping.told(), Some(own.head.slug.as_str()));
                match (
                    of(told.source).as_deref() == Some(slug),
                    of(told.target).as_deref() == Some(slug),
                ) {
                    (true, _) => Some((by, told)),
                    (_, true) => Some((by, told.inverse())),
                    _ => None,
                }
            })
        });
        // What a later revision is without, or another framework's limits hide, leads nowhere.
        let leads = |(_, pair): &(Option<&str>, Mapping<'_>)| {
            self.requirement(pair.source).is_some() && self.requirement(pair.target).is_some()
        };
        built_in.chain(brought).filter(leads)
    }
    /// Every framework in the order that lists have: built in, then own.
    pub fn places(&self) -> Vec<&str> {
        let own = self.own.iter().map(|own| own.head.slug.as_str());
        FRAMEWORKS
            .iter()
            .map(|framework| framework.slug.as_str())
            .chain(own)
            .collect()
    }
}

/// A walk through what is no register: `limit`, and where the last page ended.
pub struct Walk {
    limit: usize,
    after: Option<String>,
    question: String,
    path: String,
    query: String,
}

/// One page of it.
pub struct Page<T> {
    /// What it holds.
    pub data: Vec<T>,
    /// Where the next one begins.
    pub next_cursor: Option<String>,
    /// The link to it.
    pub link: Option<String>,
    /// Is there one?
    pub has_more: bool,
}

impl Walk {
    /// Where this page begins; a cursor goes with the question of its page.
    pub fn read<Q>(asked: &ViewQuery<Q>) -> Result<Walk> {
        let (page, target) = (asked.page.clone(), asked.target.clone());
        let elsewhere = ["limit", "cursor", "as_of", "archived"];
        let mut given: Vec<_> = form_urlencoded::parse(target.query.as_bytes())
            .filter(|(name, _)| !elsewhere.contains(&&**name))
            .collect();
        given.sort();
        let question = format!(
            "{:08x}",
            crc32fast::hash(&serde_json::to_vec(&given).map_err(Problem::internal)?)
        );
        let read = |text: &str| {
            let text = URL_SAFE_NO_PAD
                .decode(text)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())?;
            text.split_once(' ')
                .filter(|(of, _)| *of == question)
                .map(|(_, after)| after.to_owned())
        };
        let after = page
            .cursor
            .map(|text| read(&text).ok_or_else(foreign))
            .transpose()?;
        Ok(Walk {
            limit: usize::try_from(page.limit).unwrap_or(50),
            after,
            question,
            path: target.path,
            query: target.query,
        })
    }
    /// The page that begins there.
    pub fn page<T>(
        &self,
        all: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>> {
        let mut rest = all.peekable();
        if let Some(after) = &self.after {
            rest.by_ref()
                .find(|one| key(one) == *after)
                .ok_or_else(foreign)?;
        }
        Ok(self.cut(rest, key))
    }
    /// The same of what may change from page to page: it goes on behind the place, whether what
    /// was there still is or not. The keys rise.
    pub fn behind<T>(&self, all: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Page<T> {
        let after = self.after.as_ref();
        let rest = all.skip_while(|one| after.is_some_and(|after| key(one) <= *after));
        self.cut(rest.peekable(), &key)
    }
    fn cut<T>(
        &self,
        mut rest: Peekable<impl Iterator<Item = T>>,
        key: impl Fn(&T) -> String,
    ) -> Page<T> {
        let data: Vec<T> = rest.by_ref().take(self.limit).collect();
        let has_more = rest.peek().is_some();
        let next = data
            .last()
            .filter(|_| has_more)
            .map(|last| URL_SAFE_NO_PAD.encode(format!("{} {}", self.question, key(last))));
        Page {
            data,
            link: next.as_deref().map(|cursor| self.link(cursor)),
            next_cursor: next,
            has_more,
        }
    }
    /// `Link` to the next page (RFC 8288).
    fn link(&self, cursor: &str) -> String {
        let rest = form_urlencoded::parse(self.query.as_bytes());
        let next = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(rest.filter(|(name, _)| name != "cursor"))
            .append_pair("cursor", cursor)
            .finish();
        format!("<{}?{next}>; rel=\"next\"", self.path)
    }
}

fn foreign() -> Problem {
    Problem::new(
        Code::InvalidCursor,
        "Use the same filters as for the previous page.",
    )
}

/// Does one of the values that were asked for fit, or was none asked for?
pub fn any<T>(asked: &[T], fits: impl Fn(&T) -> bool) -> bool {
    asked.is_empty() || asked.iter().any(fits)
}
