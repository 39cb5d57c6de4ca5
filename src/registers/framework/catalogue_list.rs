//! The shelf: every framework that a caller sees at a moment, the built-in ones and the
//! organization's own, with the mappings between them.
use crate::access::Caller;
use crate::core::catalogue::{self, FRAMEWORKS, Framework, Mapping, Requirement};
use crate::core::{Problem, Result};
use crate::records::Reader;
use crate::records::frameworks::{self, Own};
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
